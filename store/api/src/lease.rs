//! How long a leader may be sure of its lease, by its own clock.
//!
//! A leader counts from the moment a keep-alive that was answered was *sent*, and stops a margin early. Clocks may so run
//! apart, by up to one part in [`MARGIN`] of each other less a little, and still no two are sure at once: with a lease of
//! `t`, it is sure for `t - t / MARGIN` of its own seconds, and the store keeps the lease for `t` of its own.

use std::time::Duration;

/// The shortest lease: etcd makes of shorter ones what its own elections take.
pub const MIN_LEASE: Duration = Duration::from_secs(2);
/// The longest: a leader that dies is missed for that long.
pub const MAX_LEASE: Duration = Duration::from_secs(300);
/// How many keep-alives a lease's time has room for.
pub const KEEP_ALIVES: u32 = 4;
/// Between attempts when the store does not answer.
pub const RETRY: Duration = Duration::from_millis(200);
/// The part of a lease's time by which a leader stops early: clocks that run apart by a tenth are broken.
pub const MARGIN: u32 = 10;

/// How long a lease certainly stands after its last keep-alive was sent.
#[must_use]
pub fn certain_for(time: Duration) -> Duration {
    time - time / MARGIN
}
