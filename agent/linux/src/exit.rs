//! The exit record proffer-init leaves behind, read by the agent, now or after a restart.

use std::fs;
use std::io;
use std::path::Path;

use nix::libc;
use proffer_init::record::{LEN, Record};
use proffer_types::TaskExit;

use crate::ExitRecordError;

/// What stands in the place of a record until it is written, so that there is room for it on a disk that is full by then.
pub(crate) const NOTHING: [u8; LEN] = [0; LEN];

/// How a container's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitRecord {
    pub exit: TaskExit,
    /// From the start of the payload to its end, in microseconds.
    pub wall_time_us: u64,
}

impl ExitRecord {
    /// Reads the record; `None` while (or when) nothing has been written. Fails on a file that is no whole record.
    pub fn read(path: &Path) -> Result<Option<Self>, ExitRecordError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                let path = path.to_owned();
                return Err(ExitRecordError::Read { path, source });
            }
        };
        // Without the room that was made for it by an earlier agent.
        if bytes.is_empty() || bytes == NOTHING {
            return Ok(None);
        }
        match Record::from_bytes(&bytes) {
            Some(record) => Ok(Some(Self::from(record))),
            None => Err(ExitRecordError::Damaged {
                path: path.to_owned(),
            }),
        }
    }
}

impl From<Record> for ExitRecord {
    fn from(record: Record) -> Self {
        Self {
            exit: of_wait_status(record.wait_status),
            wall_time_us: record.wall_time_us,
        }
    }
}

/// How a process ended, by what waitpid(2) said.
pub(crate) fn of_wait_status(status: i32) -> TaskExit {
    if libc::WIFSIGNALED(status) {
        TaskExit::Signal(libc::WTERMSIG(status))
    } else {
        TaskExit::Code(libc::WEXITSTATUS(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_no_record_and_a_torn_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exit");
        assert_eq!(ExitRecord::read(&path).unwrap(), None);
        for nothing in [&b""[..], &NOTHING] {
            fs::write(&path, nothing).unwrap();
            assert_eq!(ExitRecord::read(&path).unwrap(), None);
        }
        let record = Record {
            wait_status: 3 << 8,
            wall_time_us: 5,
        };
        fs::write(&path, &record.to_bytes()[..20]).unwrap();
        assert!(matches!(
            ExitRecord::read(&path),
            Err(ExitRecordError::Damaged { .. })
        ));
        fs::write(&path, record.to_bytes()).unwrap();
        let exit = TaskExit::Code(3);
        assert_eq!(
            ExitRecord::read(&path).unwrap(),
            Some(ExitRecord {
                exit,
                wall_time_us: 5
            })
        );
    }

    #[test]
    fn an_end_by_a_signal_is_told_from_an_exit_code() {
        let ended = |wait_status| {
            ExitRecord::from(Record {
                wait_status,
                wall_time_us: 0,
            })
        };
        assert_eq!(ended(9).exit, TaskExit::Signal(9));
        assert_eq!(ended(0x80 | 11).exit, TaskExit::Signal(11));
        assert_eq!(ended(137 << 8).exit, TaskExit::Code(137));
    }
}
