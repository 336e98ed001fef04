//! A checkpoint file that is replaced as a whole: a header, then the record.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `PFCK` |
//! | 4 | version of the format, little endian |
//! | 4 | CRC-32 of the record, little endian |
//! | rest | the record |

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use thiserror::Error;

const MAGIC: [u8; 4] = *b"PFCK";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 12;

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
        } else {
            Self::Io(error)
        }
    }
}

/// A number of a header, which is long enough to hold it.
pub(super) fn word(header: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// Replaces a file; readers find the old or the new content, never a part.
pub(crate) fn write(path: &Path, record: &[u8], durability: Durability) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let result = write_and_rename(&temporary, path, record, durability);
    if result.is_err() {
        // On a full disk every byte counts; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn write_and_rename(temporary: &Path, path: &Path, record: &[u8], durability: Durability) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + record.len());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(crc32fast::hash(record).to_le_bytes());
    bytes.extend(record);
    let mut file = File::create(temporary)?;
    file.write_all(&bytes)?;
    fs::rename(temporary, path)?;
    if durability == Durability::Synced {
        // After the rename, so that one journal commit takes both; the checksum covers file systems where
        // the rename could come first.
        file.sync_all()?;
    }
    Ok(())
}

/// Reads a file back.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    let mut bytes = fs::read(path)?;
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
