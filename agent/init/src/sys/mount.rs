//! Mounts of the container's mount namespace.

use std::ffi::CStr;
use std::ptr;

use super::{Outcome, check};

pub(crate) fn make_mounts_private() -> Outcome<'static> {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: the target is a C string; the other pointers may be null for a change of propagation.
    let result = unsafe { libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), flags, ptr::null()) };
    check(result.into()).map(drop).map_err(|failure| failure.on(c"/"))
}

pub(crate) fn mount<'a>(filesystem: &CStr, target: &'a CStr, flags: u64, options: &CStr) -> Outcome<'a> {
    // SAFETY: all four are C strings.
    let result = unsafe {
        libc::mount(
            filesystem.as_ptr(),
            target.as_ptr(),
            filesystem.as_ptr(),
            flags,
            options.as_ptr().cast(),
        )
    };
    check(result.into())
        .map(drop)
        .map_err(|failure| failure.on(target))
}

/// Shows a directory at another place. The flags take a second call: the kernel ignores them in the first.
pub(crate) fn bind_mount<'a>(source: &CStr, target: &'a CStr) -> Outcome<'a> {
    let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: source and target are C strings; the other pointers may be null for binds.
    let result = unsafe {
        let (source, target) = (source.as_ptr(), target.as_ptr());
        let bound = libc::mount(source, target, ptr::null(), libc::MS_BIND, ptr::null());
        match bound {
            0 => libc::mount(ptr::null(), target, ptr::null(), flags, ptr::null()),
            failed => failed,
        }
    };
    check(result.into())
        .map(drop)
        .map_err(|failure| failure.on(target))
}
