//! How a process gets into its cgroup.

use std::ffi::CStr;

use super::{Outcome, check};

pub(super) fn open_directory(path: &CStr) -> Outcome<'static, i32> {
    // SAFETY: the path is a C string.
    let descriptor = unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) };
    check(descriptor.into()).map(|_| descriptor)
}

/// Writes this process into a cgroup v1 `tasks` file. A thread that moves itself need not wait for the
/// kernel's lock on all forks, as it would through `cgroup.procs`.
pub(crate) fn join_cgroup(tasks: &CStr) -> Outcome<'_> {
    // SAFETY: the path is a C string, the buffer is valid for its length.
    let written = unsafe {
        let descriptor = libc::open(tasks.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check(descriptor.into()).map_err(|failure| failure.on(tasks))?;
        let written = check(libc::write(descriptor, c"0".as_ptr().cast(), 1) as libc::c_long);
        libc::close(descriptor);
        written
    };
    written.map(drop).map_err(|failure| failure.on(tasks))
}
