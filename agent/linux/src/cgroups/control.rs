//! What a controller does for a container: it limits and it counts.
//!
//! A limit that was written is read back; one that reads otherwise is an error, whatever the write returned.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proffer_container::{Controller, Limit};
use proffer_types::Usage;
use thiserror::Error;

use crate::UsageError;

/// One cgroup controller. Groups are directories; tests use plain ones.
pub(super) trait Control: Debug {
    /// Sets one of its limits and reads it back.
    fn limit(&self, group: &Path, limit: Limit) -> Result<(), ControlError>;

    /// Adds what it counts; nothing by default.
    fn count(&self, group: &Path, usage: &mut Usage) -> Result<(), UsageError>;
}

/// A limit that does not hold.
#[derive(Debug, Error)]
pub(crate) enum ControlError {
    #[error("the {} controller is not available", .0.as_str())]
    Missing(Controller),
    #[error("{limit:?} is no limit of the {} controller here", controller.as_str())]
    Unsupported { controller: Controller, limit: Limit },
    #[error("cannot write to `{}`", group.display())]
    Write {
        group: PathBuf,
        source: cgroups_rs::fs::error::Error,
    },
    #[error("cannot access `{}`", path.display())]
    Access { path: PathBuf, source: io::Error },
    #[error("`{}` reads `{read}` after writing `{wanted}`", path.display())]
    Different {
        path: PathBuf,
        wanted: String,
        read: String,
    },
    #[error("{0} is more than the kernel takes")]
    TooLarge(u64),
}

/// Takes what a cgroups-rs call returned, and the kernel's word for it: each file must hold its value.
pub(super) fn confirm(
    group: &Path,
    outcome: cgroups_rs::fs::error::Result<()>,
    values: &[(&str, String)],
) -> Result<(), ControlError> {
    outcome.map_err(|source| ControlError::Write {
        group: group.to_owned(),
        source,
    })?;
    values
        .iter()
        .try_for_each(|(file, wanted)| read_back(&group.join(file), wanted))
}

/// Writes a value that cgroups-rs has no call for, and reads it back.
pub(super) fn write(group: &Path, file: &str, value: &str) -> Result<(), ControlError> {
    let path = group.join(file);
    match fs::write(&path, value) {
        Ok(()) => read_back(&path, value),
        Err(source) => Err(ControlError::Access { path, source }),
    }
}

fn read_back(path: &Path, wanted: &str) -> Result<(), ControlError> {
    let path = path.to_owned();
    match fs::read_to_string(&path) {
        Ok(read) if read.trim_end() == wanted => Ok(()),
        Ok(read) => Err(ControlError::Different {
            path,
            wanted: wanted.to_owned(),
            read: read.trim_end().to_owned(),
        }),
        Err(source) => Err(ControlError::Access { path, source }),
    }
}

/// The kernel's signed form of a limit.
pub(super) fn signed(value: u64) -> Result<i64, ControlError> {
    i64::try_from(value).map_err(|_| ControlError::TooLarge(value))
}

/// Reads a file that holds one number.
pub(super) fn number(group: &Path, file: &'static str) -> Result<u64, UsageError> {
    let path = group.join(file);
    let text = fs::read_to_string(&path);
    parse(path, text, file, |text| text.trim().parse().ok())
}

/// Reads the number of one key of a file with a key and a number a line.
pub(super) fn keyed_number(group: &Path, file: &str, key: &'static str) -> Result<u64, UsageError> {
    let path = group.join(file);
    let text = fs::read_to_string(&path);
    parse(path, text, key, |text| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, number) = lines.find(|(name, _)| *name == key)?;
        number.trim().parse().ok()
    })
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
