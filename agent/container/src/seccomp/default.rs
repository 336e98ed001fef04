//! The filter of tasks that ask for none: what a program may want, and nothing that reaches for the host.
//!
//! As Docker's default profile it denies what is dangerous even without privileges; unlike there, capabilities that a
//! task is given do not loosen it. Calls newer than the table do not exist for the task.

use std::collections::BTreeMap;

use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule, TargetArch};

use super::{ENOSYS, EPERM, Policy, SeccompError, architecture, calls};

/// The newest call of the table (Linux 6.10).
const NEWEST: &str = "mseal";

/// Keys are those of a user, not of a container; mounts, modules, clocks and the like are the host's; the rest is a
/// large part of all holes that were found in the kernel, and of little use in a task.
const DENIED: &[&str] = &[
    "_sysctl",
    "acct",
    "add_key",
    "adjtimex",
    "afs_syscall",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "get_mempolicy",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "process_madvise",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
];

/// Every `CLONE_NEW*` but CLONE_NEWTIME, which clone(2) does not take.
const CLONE_NEW: u64 = 0x7e02_0000;

/// PER_LINUX, and with it UNAME26, PER_LINUX32, both; and what asks without changing anything.
const PERSONALITIES: [u64; 5] = [0, 8, 0x0002_0000, 0x0002_0008, 0xffff_ffff];

/// Sockets between a guest and what runs it: no network namespace holds them.
const AF_VSOCK: u64 = 40;

/// Compiles the default filter for this architecture.
pub fn default_filter() -> Result<Vec<u8>, SeccompError> {
    policy(architecture()?)?.compile()
}

pub(super) fn policy(architecture: TargetArch) -> Result<Policy, SeccompError> {
    let number = |name: &str| calls::number(name, architecture);
    let known = |name: &str| number(name).ok_or_else(|| SeccompError::UnknownCall(name.to_owned()));
    // Names that the architecture does not have are of older ones.
    let denied = DENIED.iter().filter_map(|name| number(name));
    let mut calls = denied
        .map(|number| (number, SeccompAction::Errno(EPERM)))
        .collect::<BTreeMap<_, _>>();
    // Its flags are in memory, where no filter sees them. Without it C libraries use clone.
    calls.insert(known("clone3")?, SeccompAction::Errno(ENOSYS));
    let when = |argument, operator, value| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
        SeccompRule::new(vec![condition])
    };
    let personalities = PERSONALITIES.map(|value| when(0, SeccompCmpOp::Eq, value));
    let conditional = BTreeMap::from([
        (
            known("clone")?.into(),
            vec![when(0, SeccompCmpOp::MaskedEq(CLONE_NEW), 0)?],
        ),
        (
            known("personality")?.into(),
            personalities.into_iter().collect::<Result<Vec<_>, _>>()?,
        ),
        (
            known("socket")?.into(),
            vec![when(0, SeccompCmpOp::Ne, AF_VSOCK)?],
        ),
    ]);
    let last = known(NEWEST)?;
    // What is in no rule is allowed, but what fails the conditions of one is not: the second part has its own default.
    let unconditional = (0..=last).filter(|number| !conditional.contains_key(&i64::from(*number)));
    for number in unconditional {
        calls.entry(number).or_insert(SeccompAction::Allow);
    }
    Ok(Policy {
        otherwise: SeccompAction::Errno(EPERM),
        calls,
        conditional,
        matched: SeccompAction::Allow,
        last: Some(last),
    })
}
