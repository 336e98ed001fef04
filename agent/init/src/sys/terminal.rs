//! Terminals: a master and its slave, in the devpts of the mount namespace.

use core::ptr;

use proffer_init::{control, fd};

use super::kernel::syscall;
use super::{Outcome, check, open as open_file};

/// Where a container has its own.
const PTMX: &core::ffi::CStr = c"/dev/pts/ptmx";

/// A new terminal: the master, which does not block, and its slave; closed by execution.
pub(crate) fn open() -> Outcome<'static, (i32, i32)> {
    let master = open_file(PTMX, libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK)?;
    let unlocked: libc::c_int = 0;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the lock's value outlives the call; what is no terminal refuses both requests.
    let slave = unsafe {
        check(syscall!(SYS_ioctl, master, libc::TIOCSPTLCK, &raw const unlocked))
            .and_then(|_| check(syscall!(SYS_ioctl, master, libc::TIOCGPTPEER, flags)))
    };
    Ok((master, slave.map_err(|failure| failure.on(PTMX))?))
}

/// Makes a terminal the controlling one of this process's session, which has none.
pub(crate) fn control(slave: i32) -> Outcome<'static> {
    // SAFETY: a plain system call.
    check(unsafe { syscall!(SYS_ioctl, slave, libc::TIOCSCTTY, 0) }).map(drop)
}

/// Tells a terminal its size; the kernel tells those who use it.
pub(crate) fn resize(master: i32, rows: u16, columns: u16) {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the size outlives the call.
    unsafe { syscall!(SYS_ioctl, master, libc::TIOCSWINSZ, &raw const size) };
}

/// Hands a terminal's master to the agent.
pub(crate) fn hand_over(master: i32) -> Outcome<'static> {
    const DESCRIPTOR_BYTES: u32 = libc::c_int::BITS / 8;
    let mut tag = control::TERMINAL;
    let mut bytes = libc::iovec {
        iov_base: (&raw mut tag).cast(),
        iov_len: 1,
    };
    // As many `u64` as one descriptor's control message takes, for the alignment.
    let mut ancillary = [0_u64; 4];
    // SAFETY: the message's parts outlive the call, and `ancillary` is large enough and aligned for the one control message
    // that is written into it.
    unsafe {
        let mut message: libc::msghdr = core::mem::zeroed();
        message.msg_iov = &raw mut bytes;
        message.msg_iovlen = 1;
        message.msg_control = ancillary.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(DESCRIPTOR_BYTES) as usize;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(DESCRIPTOR_BYTES) as usize;
        ptr::write_unaligned(libc::CMSG_DATA(header).cast(), master);
        let sent = syscall!(SYS_sendmsg, fd::CONTROL, &raw const message, libc::MSG_NOSIGNAL);
        check(sent).map(drop)
    }
}
