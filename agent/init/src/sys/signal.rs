//! Signals, which pid 1 waits for instead of handling.

use super::kernel::syscall;
use super::{Outcome, check};

/// The kernel's set of signals: a bit each.
pub(crate) const ALL: u64 = u64::MAX;
pub(crate) const NONE: u64 = 0;

/// Blocks these signals, and no others.
pub(super) fn set_mask(mask: u64) {
    // SAFETY: the mask outlives the call.
    unsafe {
        syscall!(
            SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            0,
            size_of::<u64>()
        )
    };
}

/// Has every signal do what it does by default, whatever was inherited: some supervisors ignore some.
pub(super) fn reset_all() {
    /// The last real-time signal.
    const LAST_SIGNAL: i32 = 64;
    // The kernel's sigaction: all zeros is the default action with no flags.
    let default = [0_u64; 4];
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: the action has the kernel's layout and outlives the call.
        unsafe { syscall!(SYS_rt_sigaction, signal, default.as_ptr(), 0, size_of::<u64>()) };
    }
}

/// Ignores SIGPIPE, or has it end the process again: whoever reads a pipe may be gone.
pub(crate) fn ignore_pipe(ignores: bool) {
    /// `SIG_IGN` in the kernel's sigaction.
    const IGNORE: [u64; 4] = [1, 0, 0, 0];
    let action = if ignores { IGNORE } else { [0; 4] };
    // SAFETY: the action has the kernel's layout and outlives the call.
    unsafe {
        syscall!(
            SYS_rt_sigaction,
            libc::SIGPIPE,
            action.as_ptr(),
            0,
            size_of::<u64>()
        )
    };
}

/// A descriptor that signals are read from; they are blocked, and so wait for it.
pub(crate) fn open() -> Outcome<'static, i32> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    let all = ALL;
    // SAFETY: the set outlives the call.
    check(unsafe { syscall!(SYS_signalfd4, -1, &raw const all, size_of::<u64>(), flags) })
}

/// The number of the next signal; `None` when there is none.
pub(crate) fn next(signals: i32) -> Option<i32> {
    let mut signal = [0; size_of::<libc::signalfd_siginfo>()];
    let n_read = super::io::read(signals, &mut signal).ok()?;
    // The number is the first field.
    let number = *signal[..n_read].first_chunk()?;
    Some(i32::from_ne_bytes(number))
}
