//! Wall time that never goes back: read once at the start, then carried on by the monotonic clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proffer_types::Timestamp;
use tokio::time::Instant;

/// A clock for one process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    base: Timestamp,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            base: Timestamp::default().after(since_epoch),
            start: Instant::now(),
        }
    }

    /// When it was started.
    pub(crate) fn started(&self) -> Timestamp {
        self.base
    }

    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = self.start.elapsed();
        // Rounded down: a deadline must not seem to have come before it has.
        Timestamp(
            self.base
                .0
                .saturating_add(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// When `at` comes, for a timer; within a day where it is farther.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        const FAR: Duration = Duration::from_secs(24 * 60 * 60);
        let limit = Instant::now() + FAR;
        self.start
            .checked_add(at.since(self.base))
            .map_or(limit, |instant| instant.min(limit))
    }
}
