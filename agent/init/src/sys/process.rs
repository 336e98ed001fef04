//! Processes: how the container's are started, become the payload, and end.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::kernel::syscall;
use super::{Failure, Outcome, check, decimal, signal};

/// Forks with clone3(2): into new namespaces, and on cgroup v2 into a cgroup. Returns 0 in the child.
pub(crate) fn clone(flags: u64, cgroup: Option<i32>) -> Outcome<'static, i32> {
    let mut args = CloneArgs {
        flags,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(directory) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = directory as u64;
    }
    // SAFETY: without CLONE_VM this is a fork, and this program has one thread; `args` is a valid clone_args.
    check(unsafe { syscall!(SYS_clone3, &raw const args, size_of::<CloneArgs>()) })
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
    // SAFETY: plain system calls.
    unsafe {
        syscall!(SYS_setsid);
        syscall!(SYS_umask, PAYLOAD_UMASK);
    }
    signal::reset_all();
    signal::set_mask(signal::NONE);
}

/// What a login has, as a rule.
const PAYLOAD_UMASK: libc::mode_t = 0o022;

/// Where programs are looked for by those whose environment has no `PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// What executes a file that is no program by itself.
const SHELL: &CStr = c"/bin/sh";

/// Executes a command found on the `PATH` of its own environment, as execvp(3) does. Only returns the failure.
pub(crate) fn execute<'a>(argv: &[*const libc::c_char], env: &[&'a CStr], program: &'a CStr) -> Failure<'a> {
    let mut variables = env.iter().map(|variable| variable.as_ptr()).collect::<Vec<_>>();
    variables.push(core::ptr::null());
    let execute = |path: &CStr| execute_at(path, argv, &variables);
    let name = program.to_bytes();
    let fail = |errno| Failure {
        errno,
        subject: program,
    };
    if name.is_empty() || name.contains(&b'/') {
        return fail(if name.is_empty() {
            libc::ENOENT
        } else {
            execute(program)
        });
    }
    let path = env
        .iter()
        .find_map(|variable| variable.to_bytes().strip_prefix(b"PATH="));
    // The error to tell: that it may not be executed, rather than that it is not in the last directory.
    let mut told = libc::ENOENT;
    for directory in path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':') {
        let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        let Ok(path) = CString::new([directory, slash, name].concat()) else {
            continue;
        };
        match execute(&path) {
            libc::EACCES => told = libc::EACCES,
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
            errno => return fail(errno),
        }
    }
    fail(told)
}

/// Executes a file, by a shell where the kernel does not know what it is; returns why not.
fn execute_at(path: &CStr, argv: &[*const libc::c_char], env: &[*const libc::c_char]) -> i32 {
    let call = |path: &CStr, argv: &[*const libc::c_char]| {
        // SAFETY: a C string, and two arrays that end with a null and hold C strings of the mapped program.
        let result = unsafe { syscall!(SYS_execve, path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
        check(result).err().map_or(0, |failure| failure.errno)
    };
    match call(path, argv) {
        libc::ENOEXEC => {
            let mut by_shell = [SHELL.as_ptr(), path.as_ptr()].to_vec();
            by_shell.extend(argv.get(1..).unwrap_or_default());
            call(SHELL, &by_shell)
        }
        errno => errno,
    }
}

/// Reaps one child that has ended, if there is one: its pid and wait status.
pub(crate) fn reap() -> Option<(i32, i32)> {
    let mut status = 0_i32;
    // SAFETY: the status outlives the call.
    let pid = unsafe { syscall!(SYS_wait4, -1, &raw mut status, libc::WNOHANG, 0) };
    check(pid).ok().filter(|pid| *pid > 0).map(|pid| (pid, status))
}

/// Sends a signal, as kill(2); whether there was anybody to get it. To nobody left is as good as sent.
pub(crate) fn kill(pid: i32, signal: i32) -> bool {
    // SAFETY: a plain system call.
    unsafe { syscall!(SYS_kill, pid, signal) == 0 }
}

pub(crate) fn change_directory(path: &CStr) -> Outcome<'_> {
    // SAFETY: the path is a C string.
    let result = unsafe { syscall!(SYS_chdir, path.as_ptr()) };
    check(result).map(drop).map_err(|failure| failure.on(path))
}

/// Changes into an open directory.
pub(crate) fn change_to(directory: i32) -> Outcome<'static> {
    // SAFETY: a plain system call.
    check(unsafe { syscall!(SYS_fchdir, directory) }).map(drop)
}

/// A path that stands for a descriptor of this process.
pub(crate) fn descriptor_path(descriptor: i32) -> CString {
    let number = u64::try_from(descriptor).unwrap_or(0);
    let path = [b"/proc/self/fd/", decimal(number, &mut [0; 20])].concat();
    CString::new(path).unwrap_or_default()
}
