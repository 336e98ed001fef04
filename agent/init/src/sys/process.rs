//! Processes: how the container's are started, become the payload, and end.

use std::ffi::{CStr, CString};
use std::ptr;

use super::{Failure, Outcome, check, errno};

/// Forks with clone3(2): into new namespaces, and on cgroup v2 into a cgroup. Returns 0 in the child.
pub(crate) fn clone(flags: u64, cgroup: Option<i32>) -> Outcome<'static, i32> {
    let mut args = CloneArgs {
        flags,
        ..CloneArgs::default()
    };
    // With CLONE_PARENT the child has this process's own exit signal, and must not name one.
    if flags & libc::CLONE_PARENT as u64 == 0 {
        args.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(directory) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = directory as u64;
    }
    // SAFETY: without CLONE_VM this is a fork, and this program has one thread; `args` is a valid clone_args.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    // The kernel's pids are at most 2^22.
    Ok(i32::try_from(check(pid)?).unwrap_or(i32::MAX))
}

/// `CLONE_INTO_CGROUP`; libc's constant does not fit the type it has there.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// clone3(2)'s argument.
#[derive(Default)]
#[repr(C)]
struct CloneArgs {
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

/// Gives the payload a session of its own, and signals as if it had been started from a shell.
pub(crate) fn become_payload() {
    // The kernel's sigaction: all zeros is the default action with no flags. glibc's calls leave out its own two signals,
    // but not what they inherited: some supervisors ignore those.
    let default = [0_u64; 4];
    let none = 0_u64;
    // SAFETY: plain system calls; both values have the kernel's layout and outlive their use.
    unsafe {
        libc::setsid();
        libc::umask(PAYLOAD_UMASK);
        for signal in 1..=LAST_SIGNAL {
            let no_old = ptr::null::<u64>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                no_old,
                size_of::<u64>(),
            );
        }
        let (set, no_old) = (&raw const none, ptr::null::<u64>());
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            set,
            no_old,
            size_of::<u64>(),
        );
    }
}

/// What a login has, as a rule.
const PAYLOAD_UMASK: libc::mode_t = 0o022;

/// The last real-time signal.
const LAST_SIGNAL: i32 = 64;

/// Executes a command found on the `PATH` of its own environment. Only returns the failure.
pub(crate) fn execute<'a>(
    argv: &[*const libc::c_char],
    env: &[*const libc::c_char],
    program: &'a CStr,
) -> Failure<'a> {
    unsafe extern "C" {
        static mut environ: *const *const libc::c_char;
    }
    // SAFETY: both arrays end with a null and hold C strings of the mapped program; there is one thread, and nothing
    // reads the environment after this.
    unsafe {
        environ = env.as_ptr();
        libc::execvp(program.as_ptr(), argv.as_ptr());
    }
    let errno = errno();
    Failure {
        errno,
        subject: program,
    }
}

/// Reaps one child that has ended, if there is one: its pid and wait status.
pub(crate) fn reap() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then_some((pid, status))
}

/// Sends a signal, as kill(2); whether there was anybody to get it. To nobody left is as good as sent.
pub(crate) fn kill(pid: i32, signal: i32) -> bool {
    // SAFETY: a plain system call.
    unsafe { libc::kill(pid, signal) == 0 }
}

pub(crate) fn change_directory(path: &CStr) -> Outcome<'_> {
    // SAFETY: the path is a C string.
    let result = unsafe { libc::chdir(path.as_ptr()) };
    check(result.into()).map(drop).map_err(|failure| failure.on(path))
}

/// Changes into an open directory.
pub(crate) fn change_to(directory: i32) -> Outcome<'static> {
    // SAFETY: a plain system call.
    check(unsafe { libc::fchdir(directory) }.into()).map(drop)
}

/// A path that stands for a descriptor of this process.
pub(crate) fn descriptor_path(descriptor: i32) -> CString {
    CString::new(format!("/proc/self/fd/{descriptor}")).unwrap_or_default()
}
