//! Terminals: a master and its slave, in the devpts of the mount namespace.

use super::{Outcome, check};

/// Where a container has its own.
const PTMX: &std::ffi::CStr = c"/dev/pts/ptmx";

/// A new terminal: the master, which does not block, and its slave; closed by execution.
pub(crate) fn open() -> Outcome<'static, (i32, i32)> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let unlocked: libc::c_int = 0;
    // SAFETY: the path is a C string, the lock's value outlives the call; what is no terminal refuses both requests.
    unsafe {
        let master = libc::open(PTMX.as_ptr(), flags);
        check(master.into()).map_err(|failure| failure.on(PTMX))?;
        check(libc::ioctl(master, libc::TIOCSPTLCK, &raw const unlocked).into())
            .map_err(|failure| failure.on(PTMX))?;
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let slave = libc::ioctl(master, libc::TIOCGPTPEER, flags);
        check(slave.into()).map_err(|failure| failure.on(PTMX))?;
        Ok((master, slave))
    }
}

/// Makes a terminal the controlling one of this process's session, which has none.
pub(crate) fn control(slave: i32) -> Outcome<'static> {
    // SAFETY: a plain system call.
    check(unsafe { libc::ioctl(slave, libc::TIOCSCTTY, 0) }.into()).map(drop)
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
    unsafe { libc::ioctl(master, libc::TIOCSWINSZ, &raw const size) };
}
