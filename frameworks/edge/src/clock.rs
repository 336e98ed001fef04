//! The process's clock: a time that only goes forward.

use std::sync::LazyLock;
use std::time::Instant;

use proffer_types::Timestamp;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the process first asked, and a day, so that there is a time before the start.
pub(crate) fn now() -> Timestamp {
    const DAY_MS: u64 = 24 * 3600 * 1000;
    let passed = u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX);
    Timestamp(DAY_MS.saturating_add(passed))
}
