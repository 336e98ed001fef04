//! Signals, which pid 1 waits for instead of handling.

use super::{Outcome, check};

pub(super) fn all_signals() -> libc::sigset_t {
    // SAFETY: sigfillset initialises the set.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}

/// A descriptor that signals are read from; they are blocked, and so wait for it.
pub(crate) fn open() -> Outcome<'static, i32> {
    let all = all_signals();
    // SAFETY: the set outlives the call.
    let descriptor = unsafe { libc::signalfd(-1, &raw const all, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    check(descriptor.into()).map(|_| descriptor)
}

/// The number of the next signal; `None` when there is none.
pub(crate) fn next(signals: i32) -> Option<i32> {
    let mut signal = [0; size_of::<libc::signalfd_siginfo>()];
    let n_read = super::io::read(signals, &mut signal).ok()?;
    // The number is the first field.
    let number = *signal[..n_read].first_chunk()?;
    Some(i32::from_ne_bytes(number))
}
