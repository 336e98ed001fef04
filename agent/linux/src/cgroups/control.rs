//! What a controller does for a container: it limits and it counts.
//!
//! A limit that was written is read back; one that reads otherwise is an error, whatever the write returned. Of what is
//! counted, a file that this kernel lacks is skipped.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proffer_container::{Controller, Limit};
use proffer_types::Usage;
use proffer_types::statistics::Statistics;
use thiserror::Error;

use crate::UsageError;

/// One cgroup controller. Groups are directories; tests use plain ones.
pub(super) trait Control: Debug {
    /// Makes a new group ready for processes; nothing to do by default.
    fn prepare(&self, _group: &Path) -> Result<(), ControlError> {
        Ok(())
    }

    /// Sets one of its limits and reads it back.
    fn limit(&self, group: &Path, limit: &Limit) -> Result<(), ControlError>;

    /// Adds what it counts at a task's end; nothing by default.
    fn count(&self, _group: &Path, _usage: &mut Usage) -> Result<(), UsageError> {
        Ok(())
    }

    /// Adds what it counts while a task runs; nothing by default.
    fn read(&self, _group: &Path, _statistics: &mut Statistics) -> Result<(), UsageError> {
        Ok(())
    }
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
    #[error("cannot {0}")]
    Devices(&'static str, #[source] io::Error),
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

/// Writes one line of a file that keeps one a device or a default, and shows them in its own way.
pub(super) fn write_line(group: &Path, file: &str, line: &str) -> Result<(), ControlError> {
    let path = group.join(file);
    fs::write(&path, line).map_err(|source| ControlError::Access { path, source })
}

/// Reads such a file back: one of its lines must be as wanted.
pub(super) fn confirm_line(
    group: &Path,
    file: &str,
    wanted: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<(), ControlError> {
    let path = group.join(file);
    match fs::read_to_string(&path) {
        Ok(read) if read.lines().any(is_wanted) => Ok(()),
        Ok(read) => Err(ControlError::Different {
            path,
            wanted: wanted.to_owned(),
            read: read.trim_end().to_owned(),
        }),
        Err(source) => Err(ControlError::Access { path, source }),
    }
}

/// The error for a limit that a controller does not have in its version.
pub(super) fn unsupported(limit: &Limit) -> ControlError {
    ControlError::Unsupported {
        controller: limit.controller(),
        limit: limit.clone(),
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
