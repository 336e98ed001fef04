//! Format 1: a directory a task, with `task`, `state` and `exit` in it. What is found of it becomes format 2, in steps
//! each of which may be the last before a crash.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags};

use super::file::{self, ReadError};
use super::log;

/// Gives the task of a directory the form of today. Pid 1 of its container has `exit` open, and so writes to it wherever
/// it is.
pub(super) fn convert(dir: &Path) -> Result<(), ReadError> {
    let task = file::read(&dir.join("task"))?;
    let state = match file::read(&dir.join("state")) {
        Ok(state) => Some(state),
        Err(ReadError::Missing) => None,
        Err(error) => return Err(error),
    };
    let records: Vec<&[u8]> = [&task].into_iter().chain(&state).map(Vec::as_slice).collect();
    let new = dir.with_extension("tmp");
    log::write(&new, &records)?;
    match fs::rename(dir.join("exit"), dir.with_extension("exit")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    rustix::fs::renameat_with(CWD, &new, CWD, dir, RenameFlags::EXCHANGE).map_err(io::Error::from)?;
    Ok(fs::remove_dir_all(new)?)
}
