//! Looks into layers as overlayfs shows them, without mounting them.
//!
//! Invariant: nothing outside the layers is opened. A symbolic link is followed within them, as the task would see it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fgetxattr, fstat, openat, readlinkat};
use rustix::io::Errno;
use thiserror::Error;

use crate::unpack::LayerForm;

/// The kernel's MAXSYMLINKS.
const MAX_LINKS: usize = 40;

/// Why a file of an image cannot be read.
#[derive(Debug, Error)]
pub enum ViewError {
    #[error("`{path}` of the image is no regular file")]
    NotAFile { path: String },
    #[error("`{path}` of the image is larger than {limit} bytes")]
    TooLarge { path: String, limit: u64 },
    #[error("`{path}` of the image has too many symbolic links")]
    TooManyLinks { path: String },
    #[error("`{path}` of the image: {error}")]
    Io { path: String, error: std::io::Error },
}

/// What stands at one name of a directory that layers make together.
enum Found {
    Nothing,
    Directory(Directory),
    Link(Vec<u8>),
    /// Opened by path only.
    Other(OwnedFd),
}

/// A directory, as each layer that has a part of it has it; the topmost first.
struct Directory(Vec<OwnedFd>);

/// Reads a small file; `None` when there is none. `path` is absolute.
pub(crate) fn read_file(layers: &[PathBuf], path: &str, limit: u64) -> Result<Option<Vec<u8>>, ViewError> {
    let io = |errno: Errno| ViewError::Io {
        path: path.to_owned(),
        error: errno.into(),
    };
    let Some(found) = walk(layers, path)? else {
        return Ok(None);
    };
    let Found::Other(file) = found else {
        return Err(ViewError::NotAFile {
            path: path.to_owned(),
        });
    };
    if FileType::from_raw_mode(fstat(&file).map_err(io)?.st_mode) != FileType::RegularFile {
        return Err(ViewError::NotAFile {
            path: path.to_owned(),
        });
    }
    // Only now is it certain that opening it does not wait for anybody.
    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let file = File::from(
        openat(
            CWD,
            link,
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(io)?,
    );
    let mut bytes = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| ViewError::Io {
        path: path.to_owned(),
        error,
    })?;
    match bytes.len() as u64 > limit {
        true => Err(ViewError::TooLarge {
            path: path.to_owned(),
            limit,
        }),
        false => Ok(Some(bytes)),
    }
}

/// How the topmost layer that has this directory has it; `None` when there is none, or something else. Links are not
/// followed. `path` is relative, its names between single slashes, empty for the root.
pub(crate) fn directory(layers: &[PathBuf], path: &[u8]) -> Result<Option<(OwnedFd, Stat)>, Errno> {
    let mut at = root(layers)?;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        match look(&at, name)? {
            Found::Directory(next) => at = next,
            Found::Nothing | Found::Link(_) | Found::Other(_) => return Ok(None),
        }
    }
    match at.0.into_iter().next() {
        Some(topmost) => fstat(&topmost).map(|stat| Some((topmost, stat))),
        None => Ok(None),
    }
}

fn walk(layers: &[PathBuf], path: &str) -> Result<Option<Found>, ViewError> {
    let io = |errno: Errno| ViewError::Io {
        path: path.to_owned(),
        error: errno.into(),
    };
    let names = |path: &[u8]| {
        path.split(|byte| *byte == b'/')
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    let mut ahead: VecDeque<Vec<u8>> = names(path.as_bytes()).into();
    let mut behind: Vec<Directory> = vec![root(layers).map_err(io)?];
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                behind.truncate((behind.len() - 1).max(1));
                continue;
            }
            _ => {}
        }
        let Some(at) = behind.last() else { return Ok(None) };
        match look(at, &name).map_err(io)? {
            Found::Nothing => return Ok(None),
            Found::Directory(next) => behind.push(next),
            Found::Link(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(ViewError::TooManyLinks {
                        path: path.to_owned(),
                    });
                }
                if target.starts_with(b"/") {
                    behind.truncate(1);
                }
                for name in names(&target).into_iter().rev() {
                    ahead.push_front(name);
                }
            }
            Found::Other(file) => return Ok(ahead.iter().all(Vec::is_empty).then_some(Found::Other(file))),
        }
    }
    Ok(behind.pop().map(Found::Directory))
}

const PATH: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn root(layers: &[PathBuf]) -> Result<Directory, Errno> {
    let open = |layer: &PathBuf| openat(CWD, layer as &Path, PATH | OFlags::DIRECTORY, Mode::empty());
    layers.iter().map(open).collect::<Result<_, _>>().map(Directory)
}

fn look(at: &Directory, name: &[u8]) -> Result<Found, Errno> {
    let mut parts = Vec::new();
    for layer in &at.0 {
        let found = match openat(layer, name, PATH, Mode::empty()) {
            Err(Errno::NOENT) => continue,
            opened => opened?,
        };
        let stat = fstat(&found)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let hides = is_opaque(layer, name)?;
                parts.push(found);
                if hides {
                    break;
                }
            }
            // Below a directory of an upper layer anything else is hidden by it.
            _ if !parts.is_empty() => break,
            FileType::CharacterDevice if stat.st_rdev == 0 => return Ok(Found::Nothing),
            FileType::Symlink => {
                return readlinkat(found, "", Vec::new()).map(|link| Found::Link(link.into_bytes()));
            }
            FileType::RegularFile
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => return Ok(Found::Other(found)),
        }
    }
    Ok(if parts.is_empty() {
        Found::Nothing
    } else {
        Found::Directory(Directory(parts))
    })
}

fn is_opaque(parent: &OwnedFd, name: &[u8]) -> Result<bool, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(parent, name, flags, Mode::empty())?;
    let mut value = [0; 1];
    for form in [LayerForm::Root, LayerForm::User] {
        if fgetxattr(&directory, form.opaque(), &mut value[..]).is_ok_and(|length| value[..length] == *b"y") {
            return Ok(true);
        }
    }
    Ok(false)
}
