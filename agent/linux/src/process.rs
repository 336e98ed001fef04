//! Processes as pidfds: a handle that can never mean another process.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, waitid};

/// One process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) start_time: u64,
    pidfd: OwnedFd,
}

impl Process {
    /// Opens a process by its pid, which must be alive or not yet reaped.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: a system call on numbers; it returns a new descriptor (close-on-exec) or an error.
        let pidfd = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
            let fd = Errno::result(i32::try_from(fd).unwrap_or(-1))?;
            OwnedFd::from_raw_fd(fd)
        };
        // Read after the pidfd is there: while it has a line in /proc, the pid has not been given to another process.
        Self::of_child(pid, pidfd)
    }

    /// A process whose pid cannot be another's yet, and its pidfd.
    pub(crate) fn of_child(pid: u32, pidfd: OwnedFd) -> io::Result<Self> {
        let start_time = start_time(pid)?;
        Ok(Self {
            pid,
            start_time,
            pidfd,
        })
    }

    /// Another descriptor of the same process.
    pub(crate) fn pidfd(&self) -> io::Result<OwnedFd> {
        self.pidfd.try_clone()
    }

    /// Whether the process is pid 1 of a namespace below this one: the last of its pids, the innermost, is 1.
    pub(crate) fn is_pid_1(&self) -> io::Result<bool> {
        let status = match fs::read_to_string(format!("/proc/{}/status", self.pid)) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT)) => {
                return Ok(false);
            }
            read => read?,
        };
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        Ok(pids.and_then(|pids| pids.split_whitespace().skip(1).last()) == Some("1"))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: i32) -> io::Result<()> {
        let no_info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is a pidfd, and a null siginfo stands for what kill(2) would send.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal,
                no_info,
                0,
            )
        };
        Errno::result(sent)?;
        Ok(())
    }

    /// Waits until the process has ended; `false` when it has not within the timeout.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<bool> {
        wait_readable(self.pidfd.as_fd(), Instant::now() + timeout)
    }

    /// Takes the process off the kernel's table, if it has ended and is a child of ours.
    pub(crate) fn reap(&self) {
        // An adopted process is some other process's child: then there is nothing to do here.
        let _ = waitid(
            Id::PIDFd(self.pidfd.as_fd()),
            WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG,
        );
    }
}

/// Waits until a descriptor can be read or is closed at the other end; `false` at the deadline.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up, lest the last millisecond be spent turning in circles.
        let millis = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// When a process started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
fn start_time(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name, which may hold anything, spaces and brackets too.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let field = fields
        .split_whitespace()
        .nth(19)
        .and_then(|field| field.parse().ok());
    field.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("/proc/{pid}/stat has no start time"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_pid_and_start_time() {
        let own = Process::open(std::process::id()).unwrap();
        let again = Process::open(std::process::id()).unwrap();
        assert_eq!((own.pid, own.start_time), (again.pid, again.start_time));
        assert!(own.start_time > 0);
        assert!(!own.wait(Duration::ZERO).unwrap());
    }
}
