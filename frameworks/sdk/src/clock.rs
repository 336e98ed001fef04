//! The clock the session is told: wall time at the start, advanced by the monotonic clock, so that a step of
//! the wall clock neither breaks the link nor delays a retry.

use std::time::Duration;

use proffer_types::Timestamp;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
    origin_at: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let wall = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            origin: Instant::now(),
            origin_at: Timestamp::default().after(wall),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        // Rounded down: a deadline that came early would be waited for again.
        let elapsed = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.origin_at.0.saturating_add(elapsed))
    }

    /// When `at` will be; a day from now when it is further off than that.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        const FAR: Duration = Duration::from_secs(24 * 60 * 60);
        let far = Instant::now() + FAR;
        let instant = self.origin.checked_add(at.since(self.origin_at));
        instant.map_or(far, |instant| instant.min(far))
    }
}
