//! Signals, which pid 1 waits for instead of handling.

use std::ptr;

pub(super) fn all_signals() -> libc::sigset_t {
    // SAFETY: sigfillset initialises the set.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}

/// Waits for the next signal and returns its number.
pub(crate) fn wait_signal() -> i32 {
    let all = all_signals();
    // SAFETY: the set outlives the call; no details are asked for. EINTR counts as signal -1, which nobody handles.
    unsafe { libc::sigwaitinfo(&raw const all, ptr::null_mut()) }
}
