//! RocksDB's errors, told apart by what a person can do about them.
//!
//! RocksDB reports kinds and English; what the kinds do not tell is read from the text of the system's error.

use std::path::{Path, PathBuf};

use rocksdb::ErrorKind;
use thiserror::Error;

use crate::{CommitError, ReadError};

/// A store that could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("cannot use the data directory {}; check that it can be made and written", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("the data directory {} is in use by another process; stop that one, or use another directory", path.display())]
    Locked { path: PathBuf },
    #[error("no permission to write the data directory {}: {detail}", path.display())]
    Permission { path: PathBuf, detail: String },
    #[error("the disk of the data directory {} is full: {detail}", path.display())]
    DiskFull { path: PathBuf, detail: String },
    #[error("the data directory {} is damaged; restore it from a backup, or start with an empty one: {detail}", path.display())]
    Corrupt { path: PathBuf, detail: String },
    #[error("the data directory {} has format {found}, this program knows {known}; use a newer program", path.display())]
    Format { path: PathBuf, found: u32, known: u32 },
    #[error("the data directory {} has vanished while it was in use", path.display())]
    Vanished { path: PathBuf },
    #[error("there is no store in {}", path.display())]
    Missing { path: PathBuf },
    #[error("cannot open the data directory {}: {detail}", path.display())]
    Other { path: PathBuf, detail: String },
}

impl OpenError {
    pub(super) fn of(path: &Path, error: &rocksdb::Error) -> Self {
        let path = path.to_owned();
        let detail = error.to_string();
        match Cause::of(error) {
            Cause::Locked => Self::Locked { path },
            Cause::Permission => Self::Permission { path, detail },
            Cause::DiskFull => Self::DiskFull { path, detail },
            Cause::Corrupt => Self::Corrupt { path, detail },
            Cause::Other => Self::Other { path, detail },
        }
    }
}

/// Opening again after a failed write is part of the read or commit that needed it.
impl From<OpenError> for ReadError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Corrupt { .. } | OpenError::Format { .. } => corrupt(error.to_string()),
            OpenError::Directory { .. }
            | OpenError::Locked { .. }
            | OpenError::Permission { .. }
            | OpenError::DiskFull { .. }
            | OpenError::Vanished { .. }
            | OpenError::Missing { .. }
            | OpenError::Other { .. } => Self::Unavailable {
                detail: error.to_string(),
            },
        }
    }
}

impl From<OpenError> for CommitError {
    fn from(error: OpenError) -> Self {
        let detail = error.to_string();
        match error {
            OpenError::DiskFull { .. } => Self::DiskFull { detail },
            OpenError::Directory { .. }
            | OpenError::Locked { .. }
            | OpenError::Permission { .. }
            | OpenError::Corrupt { .. }
            | OpenError::Format { .. }
            | OpenError::Vanished { .. }
            | OpenError::Missing { .. }
            | OpenError::Other { .. } => Self::Failed { detail },
        }
    }
}

pub(super) fn corrupt(detail: String) -> ReadError {
    ReadError::Corrupt { detail }
}

pub(super) fn read_error(error: &rocksdb::Error) -> ReadError {
    let detail = error.to_string();
    match Cause::of(error) {
        Cause::Corrupt => ReadError::Corrupt { detail },
        Cause::Locked | Cause::Permission | Cause::DiskFull | Cause::Other => {
            ReadError::Unavailable { detail }
        }
    }
}

pub(super) fn commit_error(error: &rocksdb::Error) -> CommitError {
    let detail = error.to_string();
    match Cause::of(error) {
        Cause::DiskFull => CommitError::DiskFull { detail },
        Cause::Locked | Cause::Permission | Cause::Corrupt | Cause::Other => CommitError::Failed { detail },
    }
}

enum Cause {
    Locked,
    Permission,
    DiskFull,
    Corrupt,
    Other,
}

impl Cause {
    fn of(error: &rocksdb::Error) -> Self {
        let text = error.to_string();
        let says = |what: &str| text.contains(what);
        if says("No space left") || says("Disk quota exceeded") {
            Self::DiskFull
        } else if says("Permission denied") || says("Read-only file system") {
            Self::Permission
        } else if says("lock file") || says("lock hold by current process") {
            Self::Locked
        } else if error.kind() == ErrorKind::Corruption {
            Self::Corrupt
        } else {
            Self::Other
        }
    }
}
