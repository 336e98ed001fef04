//! What is counted of connections, sessions and requests.

use std::time::Duration;

use proffer_types::edge_report::{LATENCY_BOUNDS_MS, N_CLASSES, Traffic};

/// How one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An HTTP status, 100 to 599.
    Status(u16),
    /// A connection or session ended as its ends wanted.
    Ended,
    /// The endpoint could not be connected.
    ConnectFailed,
    /// The endpoint broke off, or did not answer in time.
    Broken,
    /// The client went away first: nobody's failure.
    Cancelled,
}

impl Outcome {
    /// Whether it speaks against the endpoint, or for it; neither where the client left.
    #[must_use]
    pub fn verdict(self) -> Option<bool> {
        match self {
            Self::Status(status) => Some(status < 500),
            Self::Ended => Some(true),
            Self::ConnectFailed | Self::Broken => Some(false),
            Self::Cancelled => None,
        }
    }
}

/// Counts one that took so long.
pub fn record(traffic: &mut Traffic, outcome: Outcome, took: Duration) {
    traffic.count += 1;
    match outcome {
        Outcome::Status(status) => {
            let class = usize::from(status / 100).clamp(1, N_CLASSES) - 1;
            traffic.by_class[class] += 1;
        }
        Outcome::ConnectFailed | Outcome::Broken => traffic.failed += 1,
        Outcome::Ended | Outcome::Cancelled => {}
    }
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let bucket = LATENCY_BOUNDS_MS.partition_point(|bound| bound * 1000 < took_us);
    traffic.latency[bucket] += 1;
    traffic.latency_sum_us = traffic.latency_sum_us.saturating_add(took_us);
}

/// Adds what was counted elsewhere.
pub fn merge(into: &mut Traffic, more: &Traffic) {
    into.count += more.count;
    into.failed += more.failed;
    into.latency_sum_us = into.latency_sum_us.saturating_add(more.latency_sum_us);
    let add = |into: &mut [u64], more: &[u64]| {
        for (sum, count) in into.iter_mut().zip(more) {
            *sum += count;
        }
    };
    add(&mut into.by_class, &more.by_class);
    add(&mut into.latency, &more.latency);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_one_class_and_in_the_bucket_of_its_latency() {
        let mut traffic = Traffic::default();
        for (outcome, took_us) in [
            (Outcome::Status(200), 1000),
            (Outcome::Status(404), 1001),
            (Outcome::Status(999), 10_000_000),
            (Outcome::Broken, 10_000_001),
            (Outcome::Cancelled, 0),
        ] {
            record(&mut traffic, outcome, Duration::from_micros(took_us));
        }
        let mut expected = Traffic {
            count: 5,
            by_class: [0, 1, 0, 1, 1],
            failed: 1,
            latency_sum_us: 20_002_002,
            ..Traffic::default()
        };
        (expected.latency[0], expected.latency[1]) = (2, 1);
        (expected.latency[12], expected.latency[13]) = (1, 1);
        assert_eq!(traffic, expected);
        let mut twice = traffic;
        merge(&mut twice, &traffic);
        assert_eq!((twice.count, twice.latency[0], twice.by_class[4]), (10, 4, 2));
    }
}
