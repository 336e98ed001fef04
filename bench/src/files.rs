//! Open files: a process with ten thousand connections needs all it may have.

use anyhow::Result;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, and returns it.
pub(crate) fn allow_all() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        rustix::process::Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
