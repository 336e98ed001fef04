//! The exit record proffer-init leaves behind, read by the agent, now or after a restart.

use std::path::Path;

use proffer_types::TaskExit;

use crate::ExitRecordError;

/// How a container's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitRecord {
    pub exit: TaskExit,
    /// From the start of the command to its end, in microseconds.
    pub wall_time_us: u64,
}

impl ExitRecord {
    /// Reads the record; `None` while (or when) nothing has been written. Fails on a file that is no whole record.
    pub fn read(path: &Path) -> Result<Option<Self>, ExitRecordError> {
        match std::fs::read(path) {
            Ok(bytes) if bytes.is_empty() => Ok(None),
            Ok(_) => Err(ExitRecordError::Damaged {
                path: path.to_owned(),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ExitRecordError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }
}
