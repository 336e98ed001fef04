//! Endpoints that fail in a row get nothing for a while: Envoy's outlier detection by consecutive failures.

use std::time::Duration;

use proffer_types::Timestamp;
use proffer_types::discovery::OutlierDetection;

/// What is held against one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// Failures since the last success.
    failures: u32,
    /// The multiple of the base time that the last ejection took, before it is forgiven.
    ejections: u32,
    /// The end of the last ejection.
    until: Option<Timestamp>,
}

impl Record {
    /// Whether the endpoint gets nothing now.
    #[must_use]
    pub fn is_ejected(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    /// When it is used again, where it is ejected.
    #[must_use]
    pub fn returns_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until > now)
    }

    /// It answered.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// It failed; returns whether it is ejected for that. `room` says whether one more may be.
    pub fn failed(&mut self, settings: &OutlierDetection, now: Timestamp, room: bool) -> bool {
        self.failures = self.failures.saturating_add(1);
        let enough = settings.consecutive_failures > 0 && self.failures >= settings.consecutive_failures;
        if !enough || !room || self.is_ejected(now) {
            return false;
        }
        self.ejections = (self.ejections.saturating_sub(self.forgiven(settings, now))).saturating_add(1);
        let length = settings.base_ejection.saturating_mul(self.ejections);
        self.until = Some(now.after(length.min(settings.max_ejection)));
        self.failures = 0;
        true
    }

    /// An ejection is forgiven for each base time since the last one ended.
    fn forgiven(&self, settings: &OutlierDetection, now: Timestamp) -> u32 {
        let good = self.until.map_or(Duration::ZERO, |until| now.since(until));
        let base = settings.base_ejection.as_millis().max(1);
        u32::try_from(good.as_millis() / base).unwrap_or(u32::MAX)
    }
}

/// How many of so many endpoints may be ejected at a time; one always may.
#[must_use]
pub fn most_ejected(settings: &OutlierDetection, n_endpoints: usize) -> usize {
    let percent = usize::try_from(settings.max_ejected_percent).unwrap_or(100);
    (n_endpoints.saturating_mul(percent) / 100).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: OutlierDetection = OutlierDetection {
        consecutive_failures: 2,
        base_ejection: Duration::from_secs(10),
        max_ejection: Duration::from_secs(25),
        max_ejected_percent: 50,
    };

    #[test]
    fn ejections_grow_up_to_a_bound_and_are_forgiven_with_time() {
        let mut record = Record::default();
        let mut eject = |at_s: u64| {
            let now = Timestamp(at_s * 1000);
            assert!(!record.failed(&SETTINGS, now, true));
            assert!(record.failed(&SETTINGS, now, true));
            record.returns_at(now).map(|until| until.since(now).as_secs())
        };
        assert_eq!(eject(0), Some(10));
        assert_eq!(eject(10), Some(20));
        assert_eq!(eject(30), Some(25));
        // Good since 55 for 20 s: two of three are forgiven, and the next is the second.
        assert_eq!(eject(75), Some(20));
        assert_eq!(eject(1000), Some(10));
    }

    #[test]
    fn a_success_between_starts_the_count_anew_and_zero_never_ejects() {
        let mut record = Record::default();
        for _ in 0..10 {
            assert!(!record.failed(&SETTINGS, Timestamp(0), true));
            record.succeeded();
        }
        let never = OutlierDetection {
            consecutive_failures: 0,
            ..SETTINGS
        };
        assert!((0..100).all(|_| !record.failed(&never, Timestamp(0), true)));
    }

    #[test]
    fn without_room_an_endpoint_stays_until_there_is_some() {
        let mut record = Record::default();
        assert!((0..5).all(|_| !record.failed(&SETTINGS, Timestamp(0), false)));
        assert!(record.failed(&SETTINGS, Timestamp(0), true));
        assert_eq!(most_ejected(&SETTINGS, 1), 1);
        assert_eq!(most_ejected(&SETTINGS, 5), 2);
    }
}
