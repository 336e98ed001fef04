//! How many descriptors the agent may have: one or two a container, so more than most processes. What it starts has the
//! limit that it was started with itself: programs that look at every possible descriptor must not find a million.

use std::io;
use std::sync::OnceLock;

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

static AT_START: OnceLock<libc::rlimit64> = OnceLock::new();

/// Raises this process's limit of descriptors to what it may have at most, which is returned.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        // A later call finds it raised.
        let _ = AT_START.set(libc::rlimit64 {
            rlim_cur: soft,
            rlim_max: hard,
        });
    }
    Ok(hard)
}

/// The limit before it was raised, if it was.
pub(crate) fn at_start() -> Option<libc::rlimit64> {
    AT_START.get().copied()
}
