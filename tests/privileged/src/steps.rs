//! The system calls by which an agent changes something outside itself: the steps between which it may be killed.
//!
//! What only reads, and what only changes the caller's own memory and descriptors, is no step: a kill before it is a kill
//! before the next one.

use std::collections::BTreeMap;
use std::ffi::c_long;

use anyhow::Result;
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// The variable that says with which error a step fails before which the agent would be killed otherwise.
pub const FAIL_WITH: &str = "PROFFER_FAIL_WITH";

/// Follows the step that the agent was killed before, or that failed, in the list of its steps.
pub const KILLED: &str = "killed";

/// What a call is about, by the numbers of its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Nothing,
    /// A path.
    Path(usize),
    /// A directory's descriptor, and after it a path.
    At(usize),
    /// The same, if the flags after the path may make a file.
    Create(usize),
    /// A descriptor, if it is of a file that others see.
    File(usize),
    /// A descriptor, if it is of a netlink socket.
    Netlink(usize),
    /// Flags, unless they make a thread.
    Flags(usize),
    /// A pointer to such flags.
    FlagsBehind(usize),
}

/// A system call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub name: &'static str,
    pub number: c_long,
    pub subject: Subject,
}

const fn call(name: &'static str, number: c_long, subject: Subject) -> Call {
    Call {
        name,
        number,
        subject,
    }
}

/// Every step.
pub const CALLS: &[Call] = &[
    call("mount", libc::SYS_mount, Subject::Path(1)),
    call("umount2", libc::SYS_umount2, Subject::Path(0)),
    call("move_mount", libc::SYS_move_mount, Subject::At(2)),
    call("pivot_root", libc::SYS_pivot_root, Subject::Path(0)),
    call("mkdirat", libc::SYS_mkdirat, Subject::At(0)),
    call("unlinkat", libc::SYS_unlinkat, Subject::At(0)),
    call("renameat", libc::SYS_renameat, Subject::At(2)),
    call("renameat2", libc::SYS_renameat2, Subject::At(2)),
    call("linkat", libc::SYS_linkat, Subject::At(2)),
    call("symlinkat", libc::SYS_symlinkat, Subject::At(1)),
    call("mknodat", libc::SYS_mknodat, Subject::At(0)),
    call("openat", libc::SYS_openat, Subject::Create(0)),
    call("fchownat", libc::SYS_fchownat, Subject::At(0)),
    call("write", libc::SYS_write, Subject::File(0)),
    call("pwrite64", libc::SYS_pwrite64, Subject::File(0)),
    call("writev", libc::SYS_writev, Subject::File(0)),
    call("sendto", libc::SYS_sendto, Subject::Netlink(0)),
    call("sendmsg", libc::SYS_sendmsg, Subject::Netlink(0)),
    call("bind", libc::SYS_bind, Subject::Nothing),
    call("bpf", libc::SYS_bpf, Subject::Nothing),
    call("clone", libc::SYS_clone, Subject::Flags(0)),
    call("clone3", libc::SYS_clone3, Subject::FlagsBehind(0)),
    call("execve", libc::SYS_execve, Subject::Nothing),
    call("execveat", libc::SYS_execveat, Subject::Nothing),
    call("unshare", libc::SYS_unshare, Subject::Nothing),
    call("setns", libc::SYS_setns, Subject::Nothing),
    call("kill", libc::SYS_kill, Subject::Nothing),
    call("pidfd_send_signal", libc::SYS_pidfd_send_signal, Subject::Nothing),
    // What newer machines do without.
    #[cfg(target_arch = "x86_64")]
    call("mkdir", libc::SYS_mkdir, Subject::Path(0)),
    #[cfg(target_arch = "x86_64")]
    call("rmdir", libc::SYS_rmdir, Subject::Path(0)),
    #[cfg(target_arch = "x86_64")]
    call("unlink", libc::SYS_unlink, Subject::Path(0)),
    #[cfg(target_arch = "x86_64")]
    call("rename", libc::SYS_rename, Subject::Path(1)),
    #[cfg(target_arch = "x86_64")]
    call("link", libc::SYS_link, Subject::Path(1)),
    #[cfg(target_arch = "x86_64")]
    call("symlink", libc::SYS_symlink, Subject::Path(1)),
    #[cfg(target_arch = "x86_64")]
    call("mknod", libc::SYS_mknod, Subject::Path(0)),
    #[cfg(target_arch = "x86_64")]
    call("vfork", libc::SYS_vfork, Subject::Nothing),
    #[cfg(target_arch = "x86_64")]
    call("fork", libc::SYS_fork, Subject::Nothing),
];

/// Stops whoever is traced before each step, and nowhere else. Without a tracer every step fails.
pub fn stop_before_each() -> Result<()> {
    let rules: BTreeMap<i64, Vec<_>> = CALLS.iter().map(|call| (call.number, Vec::new())).collect();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Trace(0),
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter_all_threads(&program)?;
    Ok(())
}
