//! OCI layouts on this host: a directory, or a tar file of one.
//!
//! Invariant: only files below the directories an operator named are read, and only regular ones; no link leads out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use oci_spec::image::{Descriptor, ImageIndex};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use thiserror::Error;

use crate::limits::MAX_MANIFEST_BYTES;
use crate::manifest::{Blob, ManifestError, choose};
use crate::unpack::scan;

/// The annotation by which a layout names its images.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The most files of an archive: manifests and layers of many images.
const MAX_ARCHIVE_FILES: usize = 16384;

/// Why a layout cannot be used.
#[derive(Debug, Error)]
pub enum LayoutError {
    #[error("{path} is not below a directory the agent takes images from{}", if .allowed.is_empty() {
        ": there is none".to_owned()
    } else {
        format!(" ({})", .allowed.join(", "))
    })]
    NotAllowed { path: String, allowed: Vec<String> },
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
    #[error("{path} has no {what}")]
    Missing { path: String, what: String },
    #[error("{path}: {what} is no regular file")]
    NotAFile { path: String, what: String },
    #[error("{path}: {what} has {found} bytes in place of {expected}")]
    Size {
        path: String,
        what: String,
        expected: u64,
        found: u64,
    },
    #[error("{path} is no plain tar archive: {reason}")]
    Archive { path: String, reason: String },
    #[error("{path} has several images; it names {}", .tags.join(", "))]
    Which { path: String, tags: Vec<String> },
    #[error("{path} has no image named `{tag}`; it names {}", .tags.join(", "))]
    NoTag {
        path: String,
        tag: String,
        tags: Vec<String>,
    },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// An opened layout.
pub(crate) struct Layout {
    path: String,
    files: Files,
}

enum Files {
    Directory(OwnedFd),
    /// Where each file of the archive starts, and its length.
    Archive(Arc<File>, BTreeMap<Vec<u8>, (u64, u64)>),
}

impl Layout {
    /// Opens a layout directory. Blocks, as all of this does.
    pub(crate) fn directory(path: &Path, allowed: &[PathBuf]) -> Result<Self, LayoutError> {
        let directory = open_allowed(path, allowed, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(Self {
            path: path.display().to_string(),
            files: Files::Directory(directory),
        })
    }

    /// Opens a tar file.
    pub(crate) fn archive(path: &Path, allowed: &[PathBuf]) -> Result<Self, LayoutError> {
        let shown = path.display().to_string();
        let file = open_allowed(path, allowed, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let (file, _) = regular(file, &shown, "it")?;
        let files = entries(&file).map_err(|reason| LayoutError::Archive {
            path: shown.clone(),
            reason,
        })?;
        Ok(Self {
            path: shown,
            files: Files::Archive(Arc::new(file), files),
        })
    }

    /// Finds the image with a tag; without one there must be just one image, or one for this host.
    pub(crate) fn find(&self, tag: Option<&str>) -> Result<Blob, LayoutError> {
        let (mut file, size) = self.open("index.json")?;
        if size > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge.into());
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| self.io(error))?;
        let index: ImageIndex =
            serde_json::from_slice(&bytes).map_err(|error| ManifestError::Malformed(error.to_string()))?;
        let name = |one: &Descriptor| {
            one.annotations()
                .as_ref()
                .and_then(|all| all.get(REF_NAME))
                .cloned()
        };
        let mut tags: Vec<_> = index.manifests().iter().filter_map(name).take(16).collect();
        tags.sort();
        tags.dedup();
        let path = self.path.clone();
        let fitting: Vec<_> = match tag {
            Some(tag) => index
                .manifests()
                .iter()
                .filter(|one| name(one).as_deref() == Some(tag))
                .cloned()
                .collect(),
            None if tags.len() > 1 => return Err(LayoutError::Which { path, tags }),
            None => index.manifests().clone(),
        };
        match (fitting.is_empty(), tag) {
            (true, Some(tag)) => Err(LayoutError::NoTag {
                path,
                tag: tag.to_owned(),
                tags,
            }),
            (true, None) => Err(LayoutError::Missing {
                path,
                what: "image".to_owned(),
            }),
            (false, _) => Ok(Blob::read(choose(&fitting)?)?),
        }
    }

    /// Opens a blob. Its content is whatever is there: the reader verifies it.
    pub(crate) fn blob(&self, blob: &Blob) -> Result<Box<dyn Read + Send>, LayoutError> {
        let name = format!("blobs/sha256/{}", blob.digest.hex());
        let (file, found) = self.open(&name)?;
        match found == blob.size {
            true => Ok(file),
            false => Err(LayoutError::Size {
                path: self.path.clone(),
                what: name,
                expected: blob.size,
                found,
            }),
        }
    }

    fn open(&self, name: &str) -> Result<(Box<dyn Read + Send>, u64), LayoutError> {
        let missing = || LayoutError::Missing {
            path: self.path.clone(),
            what: name.to_owned(),
        };
        match &self.files {
            Files::Directory(directory) => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = match openat2(
                    directory,
                    name,
                    flags,
                    Mode::empty(),
                    ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
                ) {
                    Err(rustix::io::Errno::NOENT) => return Err(missing()),
                    opened => opened.map_err(|errno| self.io(errno.into()))?,
                };
                let (file, size) = regular(file, &self.path, name)?;
                Ok((Box::new(file), size))
            }
            Files::Archive(file, files) => {
                let (at, size) = *files.get(name.as_bytes()).ok_or_else(missing)?;
                Ok((
                    Box::new(Slice {
                        file: file.clone(),
                        at,
                        end: at + size,
                    }),
                    size,
                ))
            }
        }
    }

    fn io(&self, error: io::Error) -> LayoutError {
        LayoutError::Io {
            path: self.path.clone(),
            error,
        }
    }
}

fn open_allowed(path: &Path, allowed: &[PathBuf], flags: OFlags) -> Result<OwnedFd, LayoutError> {
    let shown = path.display().to_string();
    let io = |errno: rustix::io::Errno| LayoutError::Io {
        path: shown.clone(),
        error: errno.into(),
    };
    let is_plain = !path.components().any(|part| part == Component::ParentDir);
    let below = allowed
        .iter()
        .find_map(|root| Some((root, path.strip_prefix(root).ok()?)))
        .filter(|_| is_plain);
    let Some((root, rest)) = below else {
        let allowed = allowed.iter().map(|root| root.display().to_string()).collect();
        return Err(LayoutError::NotAllowed { path: shown, allowed });
    };
    let root = openat(
        CWD,
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(io)?;
    let rest = if rest.as_os_str().is_empty() {
        Path::new(".")
    } else {
        rest
    };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(root, rest, flags | OFlags::CLOEXEC, Mode::empty(), resolve).map_err(io)
}

fn regular(file: OwnedFd, path: &str, what: &str) -> Result<(File, u64), LayoutError> {
    let stat = fstat(file.as_fd()).map_err(|errno| LayoutError::Io {
        path: path.to_owned(),
        error: errno.into(),
    })?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((file.into(), stat.st_size.unsigned_abs())),
        FileType::Directory
        | FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Err(LayoutError::NotAFile {
            path: path.to_owned(),
            what: what.to_owned(),
        }),
    }
}

/// Where the files of an archive are, without reading them.
fn entries(mut file: &File) -> Result<BTreeMap<Vec<u8>, (u64, u64)>, String> {
    let mut files = BTreeMap::new();
    let mut at = 0;
    while let Some(found) = {
        file.seek(SeekFrom::Start(at))
            .map_err(|error| error.to_string())?;
        scan(&mut file)?
    } {
        let start = file.stream_position().map_err(|error| error.to_string())?;
        if let Some(path) = found.path {
            files.insert(path, (start, found.size));
        }
        if files.len() > MAX_ARCHIVE_FILES {
            return Err(format!("it has more than {MAX_ARCHIVE_FILES} files"));
        }
        at = start.checked_add(found.stored).ok_or("a size that cannot be")?;
    }
    Ok(files)
}

/// A part of a file that others read too.
struct Slice {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
