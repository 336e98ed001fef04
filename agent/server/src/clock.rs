//! The one place where this crate reads a clock for the core.
//!
//! Never goes back: it counts from the wall clock at the start of the process.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proffer_types::Timestamp;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall_at_start: Duration,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            wall_at_start: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            start: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let since_epoch = self.wall_at_start + self.start.elapsed();
        Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    /// How long until `deadline`; zero when it has passed.
    pub(crate) fn until(&self, deadline: Timestamp) -> Duration {
        deadline.since(self.now())
    }
}
