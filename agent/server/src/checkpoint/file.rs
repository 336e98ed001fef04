//! A checkpoint file that is replaced as a whole: a header, then the record.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `PFCK` |
//! | 4 | version of the format, little endian |
//! | 4 | CRC-32 of the record, little endian |
//! | rest | the record |

use std::fs::{self, File, FileType};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use thiserror::Error;

use crate::shortage;

const MAGIC: [u8; 4] = *b"PFCK";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 12;

/// The largest file that is read: what is larger was not written by an agent. A task is at most a message of the
/// master's, 4 MiB, and its states hold a little of it each.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// How much a write outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The process.
    Cached,
    /// The power supply.
    Synced,
}

/// A checkpoint file that gives no record.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    #[error("there is no such file")]
    Missing,
    #[error("reading failed: {0}")]
    Io(io::Error),
    /// Of this process or the host, for now: it says nothing of the file.
    #[error("there is not enough to read it with: {0}")]
    Shortage(io::Error),
    #[error("it is a {0}")]
    Kind(&'static str),
    #[error("it belongs to user {0}")]
    Owner(u32),
    #[error("it has {0} bytes, more than any checkpoint")]
    TooLarge(u64),
    #[error("it is no checkpoint file")]
    NoCheckpoint,
    #[error("it has format version {0}, which this agent does not know")]
    Version(u32),
    #[error("its checksum does not fit its content")]
    Checksum,
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            Self::Missing
        } else if shortage::is(&error) || is_full(&error) {
            Self::Shortage(error)
        } else {
            Self::Io(error)
        }
    }
}

/// Of a file that is given another form, not of one that is only read.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Opens a file of the agent's own: no link is followed, nothing but a file of this user's is opened, and nothing is
/// waited for, as a fifo would have it.
pub(crate) fn open_own(path: &Path, is_written: bool) -> Result<File, ReadError> {
    let access = if is_written { OFlags::RDWR } else { OFlags::RDONLY };
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::LOOP) => return Err(ReadError::Kind("symbolic link")),
        Err(Errno::ISDIR) => return Err(ReadError::Kind("directory")),
        Err(errno) => return Err(io::Error::from(errno).into()),
    };
    let status = file.metadata()?;
    if !status.is_file() {
        return Err(ReadError::Kind(kind(status.file_type())));
    }
    if status.uid() != rustix::process::geteuid().as_raw() {
        return Err(ReadError::Owner(status.uid()));
    }
    if status.len() > MAX_FILE_BYTES {
        return Err(ReadError::TooLarge(status.len()));
    }
    Ok(file)
}

fn kind(of: FileType) -> &'static str {
    if of.is_dir() {
        "directory"
    } else if of.is_fifo() {
        "fifo"
    } else {
        "special file"
    }
}

/// Reads an open file to its end.
pub(crate) fn content(file: &File) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A number of a header, which is long enough to hold it.
pub(super) fn word(header: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// Replaces a file; readers find the old or the new content, never a part.
pub(crate) fn write(path: &Path, record: &[u8], durability: Durability) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + record.len());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(crc32fast::hash(record).to_le_bytes());
    bytes.extend(record);
    replace(path, &bytes, durability)
}

/// Replaces a file that people read, too, in the same way.
pub(crate) fn replace_text(path: &Path, text: &str, durability: Durability) -> io::Result<()> {
    replace(path, text.as_bytes(), durability)
}

fn replace(path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let result = write_and_rename(&temporary, path, bytes, durability);
    if result.is_err() {
        // On a full disk every byte counts; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn write_and_rename(temporary: &Path, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    if durability == Durability::Synced {
        // Before the rename: some file systems put a name on disk before what it names.
        file.sync_all()?;
    }
    fs::rename(temporary, path)?;
    match durability {
        Durability::Synced => sync_directory(path),
        Durability::Cached => Ok(()),
    }
}

/// Puts the name of a file on disk. A journal has taken it with the file; other file systems need not.
pub(crate) fn sync_directory(of: &Path) -> io::Result<()> {
    match of.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Reads a file back.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    let mut bytes = content(&open_own(path, false)?)?;
    let header = bytes.get(..HEADER_BYTES).ok_or(ReadError::NoCheckpoint)?;
    if header[..4] != MAGIC {
        return Err(ReadError::NoCheckpoint);
    }
    let (version, checksum) = (word(header, 4), word(header, 8));
    if version != VERSION {
        return Err(ReadError::Version(version));
    }
    let record = bytes.split_off(HEADER_BYTES);
    if crc32fast::hash(&record) == checksum {
        Ok(record)
    } else {
        Err(ReadError::Checksum)
    }
}
