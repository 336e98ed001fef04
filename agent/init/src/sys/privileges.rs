//! What the payload may no longer do.

use super::{Failure, Outcome, check};

pub(crate) fn set(option: i32, value: libc::c_ulong) -> Outcome<'static> {
    // SAFETY: only called with options whose arguments are numbers.
    check(unsafe { libc::prctl(option, value, 0, 0, 0) }.into()).map(drop)
}

/// Gives up every capability that is not in the mask: in the bounding set too, so that no program brings it back.
pub(crate) fn keep_capabilities(mask: u64) -> Outcome<'static> {
    for capability in (0..64).filter(|capability| mask & 1 << capability == 0) {
        match set(libc::PR_CAPBSET_DROP, capability) {
            // Past the last capability this kernel knows.
            Err(Failure {
                errno: libc::EINVAL, ..
            }) => break,
            other => other?,
        }
    }
    set(
        libc::PR_CAP_AMBIENT,
        libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong,
    )?;
    let header = [LINUX_CAPABILITY_VERSION_3, 0];
    let (low, high) = ((mask & 0xffff_ffff) as u32, (mask >> 32) as u32);
    let data = [low, low, 0, high, high, 0];
    // SAFETY: header and data have the layout of the version named: effective, permitted, inheritable, twice.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) }).map(drop)
}

const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// Writes this process's own score for the OOM killer.
pub(crate) fn set_oom_score_adj(score: u64) -> Outcome<'static> {
    let file = c"/proc/self/oom_score_adj";
    let text = score.to_string();
    // SAFETY: the path is a C string, the buffer is valid for its length.
    let written = unsafe {
        let descriptor = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check(descriptor.into()).map_err(|failure| failure.on(file))?;
        let written = check(libc::write(descriptor, text.as_ptr().cast(), text.len()) as libc::c_long);
        libc::close(descriptor);
        written
    };
    written.map(drop).map_err(|failure| failure.on(file))
}
