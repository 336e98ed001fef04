//! clone3(2) for a child that shares this process's memory until it executes a program, as vfork(2) does: this thread
//! waits until then.
//!
//! The child runs on this thread's stack, below what is in use, and does nothing but system calls.

use std::arch::asm;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

use crate::descriptors;

/// clone3(2)'s argument.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `CLONE_INTO_CGROUP`; libc's constant does not fit the type it has there.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

impl CloneArgs {
    /// With new namespaces, `CLONE_NEW*`.
    pub(crate) fn new(namespaces: u64) -> Self {
        let shared = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
        Self {
            flags: namespaces | u64::from(shared.cast_unsigned()),
            exit_signal: libc::SIGCHLD as u64,
            ..Self::default()
        }
    }

    /// The child is born in a cgroup of v2.
    pub(crate) fn place_in(&mut self, directory: &OwnedFd) {
        self.flags |= CLONE_INTO_CGROUP;
        self.cgroup = u64::from(directory.as_raw_fd().cast_unsigned());
    }
}

/// What the child does: writes itself into `tasks` files, puts descriptors in their places, takes the limit of descriptors
/// that the agent was started with, executes init.
#[derive(Debug)]
pub(crate) struct Child<'a> {
    init: RawFd,
    tasks: &'a [RawFd],
    places: &'a [(RawFd, RawFd)],
    descriptors: Option<libc::rlimit64>,
    /// 0 while nothing has failed.
    errno: i32,
}

impl<'a> Child<'a> {
    /// No descriptor may be one of the places.
    pub(crate) fn new(init: &OwnedFd, tasks: &'a [RawFd], places: &'a [(RawFd, RawFd)]) -> Self {
        Self {
            init: init.as_raw_fd(),
            tasks,
            places,
            descriptors: descriptors::at_start(),
            errno: 0,
        }
    }

    /// Why the child ended without executing init, once it was started.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        (self.errno != 0).then(|| io::Error::from_raw_os_error(self.errno))
    }

    /// Returns only when it failed.
    fn run(&self) -> Result<(), Errno> {
        for file in self.tasks {
            // SAFETY: the byte outlives the call.
            Errno::result(unsafe { libc::write(*file, c"0".as_ptr().cast(), 1) })?;
        }
        for (own, theirs) in self.places {
            // SAFETY: a plain system call; the child has a table of descriptors of its own.
            Errno::result(unsafe { libc::dup3(*own, *theirs, 0) })?;
        }
        if let Some(limit) = &self.descriptors {
            // SAFETY: the limit outlives the call, and there is no old one to be written.
            Errno::result(unsafe { libc::prlimit64(0, libc::RLIMIT_NOFILE, limit, std::ptr::null_mut()) })?;
        }
        let argv = [c"proffer-init".as_ptr(), std::ptr::null()];
        let env = [std::ptr::null::<libc::c_char>()];
        // SAFETY: an empty C string, and two arrays that end with a null.
        let result = unsafe {
            libc::syscall(
                libc::SYS_execveat,
                self.init,
                c"".as_ptr(),
                argv.as_ptr(),
                env.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
        Errno::result(result).map(drop)
    }
}

/// Where the child starts.
extern "C" fn enter(child: *mut Child<'_>) -> ! {
    // SAFETY: [`start`] hands over a reference it does not use until the child has executed init or ended.
    let child = unsafe { &mut *child };
    if let Err(errno) = child.run() {
        child.errno = errno as i32;
    }
    // SAFETY: ends the child at once; nothing of this process's is run.
    unsafe { libc::_exit(127) }
}

/// Starts the child. Returns its pid and pidfd once it has executed init, or ended without.
///
/// All signals must be blocked.
pub(crate) fn start(args: &mut CloneArgs, child: &mut Child<'_>) -> io::Result<(u32, RawFd)> {
    let mut pidfd: RawFd = -1;
    args.pidfd = (&raw mut pidfd) as u64;
    // SAFETY: valid arguments. The child shares memory with this thread, which waits for it; it works below this
    // thread's stack pointer, calls what never returns, and writes to nothing but its own stack, its `errno` and that of
    // this thread. No handler can run in it, since signals are blocked.
    let result = unsafe { clone3(args, child) };
    // A pid, or the negative of an errno.
    let pid = u32::try_from(result);
    let pid = pid.map_err(|_| io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(0)))?;
    Ok((pid, pidfd))
}

#[cfg(target_arch = "x86_64")]
unsafe fn clone3(args: *const CloneArgs, child: *mut Child<'_>) -> i64 {
    let enter: extern "C" fn(*mut Child<'_>) -> ! = enter;
    let result;
    // SAFETY: see `start`. The stack may be used: the compiler keeps nothing below its pointer then.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "and rsp, -16",
            "mov rdi, rdx",
            "call r8",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") args, in("rsi") size_of::<CloneArgs>(), in("rdx") child, in("r8") enter,
            out("rcx") _, out("r11") _,
        );
    }
    result
}

#[cfg(target_arch = "aarch64")]
unsafe fn clone3(args: *const CloneArgs, child: *mut Child<'_>) -> i64 {
    let enter: extern "C" fn(*mut Child<'_>) -> ! = enter;
    let result;
    // SAFETY: see `start`. The stack may be used: the compiler keeps nothing below its pointer then.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, 0",
            "mov x0, x2",
            "blr x3",
            "brk 1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") args => result,
            in("x1") size_of::<CloneArgs>(), in("x2") child, in("x3") enter,
        );
    }
    result
}
