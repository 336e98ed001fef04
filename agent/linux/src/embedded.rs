//! Files in memory: proffer-init, written once and sealed, and the programs it runs.
//!
//! Sealed, neither a task nor a stray write can change what the next container starts from; there is no path to it.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use proffer_init::fd;

/// proffer-init as the build script made it.
const INIT: &[u8] = include_bytes!(env!("PROFFER_INIT"));

/// Descriptors of ours stay above those that a spawned proffer-init gets, so that placing one never closes another.
const LOWEST_FD: i32 = fd::LAST + 1;

/// Puts proffer-init into a sealed file that can be executed.
pub(crate) fn init() -> io::Result<OwnedFd> {
    // Kernels before 6.3 know no flag for it: there every such file can be executed.
    let executable = MFdFlags::from_bits_retain(libc::MFD_EXEC);
    match sealed(c"proffer-init", INIT, executable) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            sealed(c"proffer-init", INIT, MFdFlags::empty())
        }
        other => other,
    }
}

/// Puts bytes into a sealed file.
pub(crate) fn file(name: &CStr, bytes: &[u8]) -> io::Result<OwnedFd> {
    sealed(name, bytes, MFdFlags::empty())
}

fn sealed(name: &CStr, bytes: &[u8], flags: MFdFlags) -> io::Result<OwnedFd> {
    let flags = flags | MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(name, flags)?);
    file.write_all(bytes)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::all()))?;
    out_of_the_way(file.into())
}

/// Moves a descriptor above those of a spawned proffer-init.
pub(crate) fn out_of_the_way(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= LOWEST_FD {
        return Ok(fd);
    }
    let moved = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(LOWEST_FD))?;
    // SAFETY: fcntl returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(moved) })
}
