//! Namespaces, and what is said in them.

use core::ffi::CStr;

use super::kernel::syscall;
use super::{Outcome, check, close, open};

pub(crate) fn set_hostname(name: &CStr) -> Outcome<'_> {
    // SAFETY: the name is valid for its length.
    let result = unsafe { syscall!(SYS_sethostname, name.as_ptr(), name.count_bytes()) };
    check(result).map(drop).map_err(|failure| failure.on(name))
}

/// Joins namespaces of the process that a pidfd refers to.
pub(crate) fn join_process(pidfd: i32, flags: u64) -> Outcome<'static> {
    // The flags of namespaces fit: they share 32 bits with clone(2)'s.
    // SAFETY: a plain system call.
    check(unsafe { syscall!(SYS_setns, pidfd, flags) }).map(drop)
}

pub(crate) fn unshare(flags: u64) -> Outcome<'static> {
    // SAFETY: a plain system call.
    check(unsafe { syscall!(SYS_unshare, flags) }).map(drop)
}

/// Joins a namespace by its descriptor.
pub(crate) fn enter(namespace: i32, flag: i32) -> Outcome<'static> {
    // SAFETY: a plain system call.
    check(unsafe { syscall!(SYS_setns, namespace, flag) }).map(drop)
}

/// Joins the namespace that a path is bound to.
pub(crate) fn join(path: &CStr, flag: i32) -> Outcome<'_> {
    let namespace = open(path, libc::O_RDONLY)?;
    let joined = enter(namespace, flag);
    close(namespace);
    joined.map_err(|failure| failure.on(path))
}

/// As `ifreq` has it; libc's constant is wider.
const IFF_UP: libc::c_short = 1;

/// Starts the loopback interface of this network namespace.
pub(crate) fn loopback_up() -> Outcome<'static> {
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    // SAFETY: plain system calls; `request` outlives them, and is what SIOC[GS]IFFLAGS take.
    unsafe {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        let socket = check(syscall!(SYS_socket, libc::AF_INET, kind, 0))?;
        let mut result = syscall!(SYS_ioctl, socket, libc::SIOCGIFFLAGS, &raw mut request);
        if result == 0 {
            request.ifr_ifru.ifru_flags |= IFF_UP;
            result = syscall!(SYS_ioctl, socket, libc::SIOCSIFFLAGS, &raw const request);
        }
        close(socket);
        check(result).map(drop)
    }
}
