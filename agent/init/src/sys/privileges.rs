//! What the payload may no longer do.

use super::kernel::syscall;
use super::{DAMAGED, Failure, Outcome, check, decimal, write_file};

pub(crate) fn set(option: i32, value: libc::c_ulong) -> Outcome<'static> {
    // SAFETY: only called with options whose arguments are numbers.
    check(unsafe { syscall!(SYS_prctl, option, value, 0, 0, 0) }).map(drop)
}

/// Gives up every capability that is not in the mask for good: no program brings it back.
pub(crate) fn bound_capabilities(mask: u64) -> Outcome<'static> {
    for capability in (0..64).filter(|capability| mask & 1 << capability == 0) {
        match set(libc::PR_CAPBSET_DROP, capability) {
            // Past the last capability this kernel knows.
            Err(Failure {
                errno: libc::EINVAL, ..
            }) => break,
            other => other?,
        }
    }
    Ok(())
}

/// Becomes a user with these groups and no others. What capabilities it has stays permitted.
pub(crate) fn become_user(uid: u32, gid: u32, groups: &[u32]) -> Outcome<'static> {
    set(libc::PR_SET_KEEPCAPS, 1)?;
    // SAFETY: the groups are valid for their length.
    unsafe {
        check(syscall!(SYS_setgroups, groups.len(), groups.as_ptr()))?;
        check(syscall!(SYS_setresgid, gid, gid, gid))?;
        check(syscall!(SYS_setresuid, uid, uid, uid))?;
    }
    // Another user makes a process dumpable, if the host says so.
    set(libc::PR_SET_DUMPABLE, 0)
}

/// Has the permitted capabilities and, of them, the ambient ones, which stay with programs that are executed by a user
/// other than root.
pub(crate) fn keep_capabilities(permitted: u64, ambient: u64) -> Outcome<'static> {
    set(
        libc::PR_CAP_AMBIENT,
        libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong,
    )?;
    let header = [LINUX_CAPABILITY_VERSION_3, 0];
    let half = |mask: u64, shift: u32| (mask >> shift & 0xffff_ffff) as u32;
    let data = [0, 32].map(|shift| {
        [
            half(permitted, shift),
            half(permitted, shift),
            half(ambient, shift),
        ]
    });
    // SAFETY: header and data have the layout of the version named: effective, permitted, inheritable, twice.
    check(unsafe { syscall!(SYS_capset, header.as_ptr(), data.as_ptr()) })?;
    let raise = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
    for capability in (0..64).filter(|capability| ambient & 1 << capability != 0) {
        let capability: libc::c_ulong = capability;
        // SAFETY: a call whose arguments are numbers.
        check(unsafe { syscall!(SYS_prctl, libc::PR_CAP_AMBIENT, raise, capability, 0, 0) })?;
    }
    Ok(())
}

/// Installs a seccomp filter, for good: the instructions as the kernel has them in `struct sock_filter`.
pub(crate) fn filter_calls(filter: &[u8]) -> Outcome<'static> {
    const SECCOMP_SET_MODE_FILTER: u32 = 1;
    #[repr(C)]
    struct Program {
        len: u16,
        filter: *const u8,
    }
    // The mapped program is not aligned.
    let instructions = filter.to_vec();
    let len = u16::try_from(instructions.len() / 8).map_err(|_| DAMAGED)?;
    let program = Program {
        len,
        filter: instructions.as_ptr(),
    };
    // SAFETY: a valid sock_fprog; the kernel copies the instructions, whose alignment it does not mind.
    check(unsafe { syscall!(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const program) }).map(drop)
}

/// Limits a resource of this process and of those it becomes; see setrlimit(2).
pub(crate) fn limit_resource(kind: u32, soft: u64, hard: u64) -> Outcome<'static> {
    let limit = [soft, hard];
    // SAFETY: a valid rlimit64, and no place for the old one.
    check(unsafe { syscall!(SYS_prlimit64, 0, kind, limit.as_ptr(), 0) }).map(drop)
}

const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// Writes this process's own score for the OOM killer.
pub(crate) fn set_oom_score_adj(score: u64) -> Outcome<'static> {
    write_file(c"/proc/self/oom_score_adj", decimal(score, &mut [0; 20]))
}
