//! Reading what the kernel counts: files with one number, and files with a key and a number a line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::libc;

use crate::UsageError;

pub(super) const NANOS_PER_MICRO: u64 = 1000;

/// Reads a file that holds one number.
pub(super) fn number(group: &Path, file: &'static str) -> Result<u64, UsageError> {
    let path = group.join(file);
    let text = fs::read_to_string(&path);
    parse(path, text, file, |text| text.trim().parse().ok())
}

/// Reads a file that holds one number; `None` where there is no such file, and for `max`.
pub(super) fn optional(group: &Path, file: &'static str) -> Result<Option<u64>, UsageError> {
    Ok(text(group, file)?.and_then(|text| text.trim().parse().ok()))
}

/// Reads the number of one key of a file with a key and a number a line.
pub(super) fn keyed_number(group: &Path, file: &str, key: &'static str) -> Result<u64, UsageError> {
    let path = group.join(file);
    let text = fs::read_to_string(&path);
    parse(path, text, key, |text| find(text, key))
}

/// Reads a file of the kernel's; `None` where it has none of that name, or one that it does not serve.
pub(super) fn text(group: &Path, file: &str) -> Result<Option<String>, UsageError> {
    let path = group.join(file);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        // Pressure files are there when it is turned off, too.
        Err(source) if source.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(None),
        Err(source) => Err(UsageError::Read { path, source }),
    }
}

/// A file with a key and a number a line.
pub(super) struct Keyed(String);

impl Keyed {
    /// Reads one; `None` where there is no such file.
    pub(super) fn read(group: &Path, file: &str) -> Result<Option<Self>, UsageError> {
        Ok(text(group, file)?.map(Self))
    }

    pub(super) fn get(&self, key: &str) -> Option<u64> {
        find(&self.0, key)
    }

    /// Sets a number to that of a key; one that this kernel does not count stays.
    pub(super) fn set(&self, key: &str, number: &mut u64) {
        if let Some(found) = self.get(key) {
            *number = found;
        }
    }
}

fn find(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, number) = lines.find(|(name, _)| *name == key)?;
    number.trim().parse().ok()
}

fn parse(
    path: PathBuf,
    text: io::Result<String>,
    key: &'static str,
    find: impl FnOnce(&str) -> Option<u64>,
) -> Result<u64, UsageError> {
    match text {
        Ok(text) => find(&text).ok_or(UsageError::Parse { path, key }),
        Err(source) => Err(UsageError::Read { path, source }),
    }
}
