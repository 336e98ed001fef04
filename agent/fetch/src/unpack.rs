//! Archives, unpacked: whatever their names and links say, nothing leaves the directory.
//!
//! Only directories, plain files and links are made. A link leads to what is below the directory: its `..` come first,
//! and are not more than the directories it is in, so by induction over the links on the way nothing above is reached.

mod tar;
mod zip;

use std::cell::Cell;
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path};
use std::rc::Rc;

use crate::Limits;
use crate::place::Cancelled;
use crate::source::Source;
use crate::within::{Owner, Within, relative};

/// The longest target of a link, in bytes (`PATH_MAX`).
const MAX_TARGET_BYTES: usize = 4096;

/// What an archive's names, extended headers and tables may take: they are kept in memory.
const MAX_INDEX_BYTES: u64 = 32 << 20;

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tar,
    TarGzip,
    TarZstd,
    TarBzip2,
    Zip,
}

impl Kind {
    /// By the name's ending.
    pub(crate) fn of(source: &Source) -> Option<Self> {
        let name = source.file_name()?.to_ascii_lowercase();
        let endings = [
            (".tar", Self::Tar),
            (".tar.gz", Self::TarGzip),
            (".tgz", Self::TarGzip),
            (".tar.zst", Self::TarZstd),
            (".tar.bz2", Self::TarBzip2),
            (".zip", Self::Zip),
        ];
        let found = endings.into_iter().find(|(ending, _)| name.ends_with(ending));
        found.map(|(_, kind)| kind)
    }
}

/// Unpacks an archive that is open at its start.
pub(crate) fn unpack(kind: Kind, file: File, mut into: Sink) -> io::Result<()> {
    into.max_bytes = into.limits.unpacked(file.metadata()?.len());
    match kind {
        Kind::Tar => tar::unpack(file, into),
        Kind::TarGzip => tar::unpack(flate2::read::MultiGzDecoder::new(file), into),
        Kind::TarZstd => tar::unpack(zstd::Decoder::new(file)?, into),
        Kind::TarBzip2 => tar::unpack(bzip2::read::MultiBzDecoder::new(file), into),
        Kind::Zip => zip::unpack(file, into),
    }
}

/// Where the entries of an archive go.
#[derive(Debug)]
pub(crate) struct Sink {
    within: Within,
    owner: Option<Owner>,
    limits: Limits,
    max_bytes: u64,
    n_bytes: u64,
    n_entries: u64,
    cancelled: Cancelled,
}

impl Sink {
    pub(crate) fn new(within: Within, owner: Option<Owner>, limits: Limits, cancelled: Cancelled) -> Self {
        Self {
            within,
            owner,
            limits,
            max_bytes: limits.max_bytes,
            n_bytes: 0,
            n_entries: 0,
            cancelled,
        }
    }

    /// To be called for each entry, whatever becomes of it.
    fn next(&mut self) -> io::Result<()> {
        self.cancelled.check()?;
        self.n_entries += 1;
        match self.n_entries > self.limits.max_entries {
            true => Err(io::Error::other(format!(
                "it holds more than {} files",
                self.limits.max_entries
            ))),
            false => Ok(()),
        }
    }

    fn directory(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        let made = named(path, self.within.make_dir(path, self.owner))?;
        if relative(path)?.as_os_str().is_empty() {
            // The sandbox itself keeps its mode.
            return Ok(());
        }
        // Whoever unpacks has to write in it.
        let mode = mode & 0o777 | 0o700;
        named(
            path,
            File::from(made).set_permissions(Permissions::from_mode(mode)),
        )
    }

    fn file(&mut self, path: &Path, mode: u32, content: &mut dyn Read) -> io::Result<()> {
        let mut file = named(path, self.within.create(path, self.owner))?;
        let mut metered = Metered {
            content,
            n_bytes: &mut self.n_bytes,
            max_bytes: self.max_bytes,
            cancelled: &self.cancelled,
        };
        named(path, io::copy(&mut metered, &mut file))?;
        let mode = mode & 0o777 | 0o600;
        named(path, file.set_permissions(Permissions::from_mode(mode)))
    }

    fn link(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        named(path, leads_within(path, target))?;
        named(path, self.within.link(path, target, self.owner))
    }

    fn hard_link(&mut self, path: &Path, existing: &Path) -> io::Result<()> {
        named(path, self.within.hard_link(path, existing, self.owner))
    }

    fn refused<T>(&self, path: &Path, why: &str) -> io::Result<T> {
        named(path, Err(io::Error::other(why)))
    }
}

/// An error that names its entry.
fn named<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| {
        let path = path.display().to_string();
        io::Error::other(format!("its entry `{}`: {error}", path.escape_debug()))
    })
}

/// Whether a link's target is below the directory, wherever the links on its way lead.
fn leads_within(path: &Path, target: &Path) -> io::Result<()> {
    let refuse = |why: &str| Err(io::Error::other(why));
    if target.as_os_str().len() > MAX_TARGET_BYTES {
        return refuse("its target is too long");
    }
    let depth = relative(path)?.components().count().saturating_sub(1);
    let mut n_up = 0;
    let mut goes_down = false;
    for component in target.components() {
        match component {
            Component::Normal(_) => goes_down = true,
            Component::CurDir => {}
            Component::ParentDir if goes_down => return refuse("it is a link with `..` in its middle"),
            Component::ParentDir => n_up += 1,
            Component::RootDir | Component::Prefix(_) => return refuse("it is a link out of the directory"),
        }
    }
    match n_up > depth {
        true => refuse("it is a link out of the directory"),
        false => Ok(()),
    }
}

/// Counts what is unpacked.
struct Metered<'a> {
    content: &'a mut dyn Read,
    n_bytes: &'a mut u64,
    max_bytes: u64,
    cancelled: &'a Cancelled,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancelled.check()?;
        let n_read = self.content.read(buffer)?;
        *self.n_bytes += n_read as u64;
        match *self.n_bytes > self.max_bytes {
            true => Err(io::Error::other(format!(
                "it holds more than the {} bytes that an archive of its size may",
                self.max_bytes
            ))),
            false => Ok(n_read),
        }
    }
}

/// A reader that gives a library only so much to keep in memory; no bound while content is read.
struct Indexed<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Indexed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_read = self.inner.read(buffer)?;
        match self.left.get().checked_sub(n_read as u64) {
            Some(left) => {
                self.left.set(left);
                Ok(n_read)
            }
            None => Err(io::Error::other("its names and tables are too long")),
        }
    }
}

#[cfg(test)]
mod tests;
