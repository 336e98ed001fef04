//! Namespaces, and what is said in them.

use std::ffi::CStr;

use super::{Outcome, check};

pub(crate) fn set_hostname(name: &CStr) -> Outcome<'_> {
    // SAFETY: the name is valid for its length.
    let result = unsafe { libc::sethostname(name.as_ptr(), name.count_bytes()) };
    check(result.into()).map(drop).map_err(|failure| failure.on(name))
}

pub(crate) fn unshare(flags: u64) -> Outcome<'static> {
    // SAFETY: a plain system call.
    check(unsafe { libc::syscall(libc::SYS_unshare, flags) }).map(drop)
}
