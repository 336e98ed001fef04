//! What services serve, from what edges report.
//!
//! Traffic belongs to the service whose replica served it, whatever name or port it came by.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proffer_types::edge_report::{EdgeReport, LATENCY_BOUNDS_MS, N_LATENCY_BUCKETS, Traffic as Counts};
use proffer_types::{TaskId, Timestamp};

use crate::task_id::Parts;

/// What traffic is averaged over.
pub const TRAFFIC_WINDOW: Duration = Duration::from_secs(15);
/// Edges report every 10 s at least, so one that is silent for longer may be cut off, and what it serves is not known.
const SILENT: Duration = Duration::from_secs(15);
/// After so long it does not serve any more.
const GONE: Duration = Duration::from_secs(60);
/// Less than that is no rate.
const LEAST: Duration = Duration::from_secs(5);
/// Fewer requests than that in the window say nothing of latency and errors.
const FEW: u64 = 10;
/// The most edges: one a host.
const MAX_EDGES: usize = 10_000;

/// The traffic of all services that was reported lately. Not durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Traffic {
    /// Since when there have been reports.
    since: Option<Timestamp>,
    /// When each edge was heard of last.
    edges: BTreeMap<String, Timestamp>,
    /// By service; by the second, oldest first.
    served: BTreeMap<String, VecDeque<(u64, Served)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Served {
    count: u64,
    errors: u64,
    latency: [u64; N_LATENCY_BUCKETS],
}

/// What a service serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    count: u64,
    /// As far as errors and latency count.
    recent: Served,
    span: Duration,
    /// Whether all edges that serve are heard of. Otherwise it may be more.
    pub(crate) is_whole: bool,
}

impl Traffic {
    /// Takes what an edge reported, as far as it is about a service that counts.
    pub(crate) fn add(&mut self, report: &EdgeReport, now: Timestamp, counts: impl Fn(&str) -> bool) {
        self.forget(now);
        if self.edges.len() < MAX_EDGES || self.edges.contains_key(&report.edge) {
            self.edges.insert(report.edge.clone(), now);
        }
        self.since.get_or_insert(now);
        for of in &report.traffic {
            let Ok(task_id) = TaskId::new(&*of.endpoint) else {
                continue;
            };
            if let Some(parts) = Parts::parse(&task_id)
                && counts(parts.service)
            {
                self.serve(parts.service, &of.traffic, now);
            }
        }
    }

    fn serve(&mut self, service: &str, more: &Counts, now: Timestamp) {
        let second = now.0 / 1000;
        let served = self.served.entry(service.to_owned()).or_default();
        if served.back().is_none_or(|(last, _)| *last < second) {
            served.push_back((second, Served::default()));
        }
        if let Some((_, last)) = served.back_mut() {
            last.add(&Served {
                count: more.count,
                errors: more.by_class.last().map_or(0, |n| n.saturating_add(more.failed)),
                latency: more.latency,
            });
        }
        while served.front().is_some_and(|(first, _)| is_past(*first, now)) {
            served.pop_front();
        }
    }

    /// What is too old to count.
    fn forget(&mut self, now: Timestamp) {
        self.edges.retain(|_, heard| now.since(*heard) < GONE);
        if self.edges.is_empty() {
            *self = Self::default();
        }
    }

    /// What a service serves; nothing while that is not known. Errors and latency are those since `renewed`.
    pub(crate) fn of(&self, service: &str, now: Timestamp, renewed: Timestamp) -> Option<Load> {
        let speaks = |heard: &Timestamp| now.since(*heard) < SILENT;
        if !self.edges.values().any(speaks) {
            return None;
        }
        let span = now.since(self.since?).min(TRAFFIC_WINDOW);
        let (mut count, mut recent) = (0_u64, Served::default());
        let seconds = self.served.get(service).into_iter().flatten();
        for (second, more) in seconds.filter(|(second, _)| !is_past(*second, now)) {
            count = count.saturating_add(more.count);
            // Of the second itself most was served before.
            if *second > renewed.0 / 1000 {
                recent.add(more);
            }
        }
        (span >= LEAST).then(|| Load {
            count,
            recent,
            span,
            is_whole: self.edges.values().all(speaks),
        })
    }

    pub(crate) fn retain(&mut self, counts: impl Fn(&str) -> bool) {
        self.served.retain(|service, _| counts(service));
    }
}

fn is_past(second: u64, now: Timestamp) -> bool {
    second + TRAFFIC_WINDOW.as_secs() <= now.0 / 1000
}

impl Served {
    fn add(&mut self, more: &Self) {
        self.count = self.count.saturating_add(more.count);
        self.errors = self.errors.saturating_add(more.errors);
        for (sum, n) in self.latency.iter_mut().zip(more.latency) {
            *sum = sum.saturating_add(n);
        }
    }
}

impl Load {
    /// Thousandths a second.
    pub(crate) fn requests(&self) -> u64 {
        let span = self.span.as_millis().max(1);
        saturate(u128::from(self.count) * 1_000_000 / span)
    }

    /// Thousandths of a percent; 0 where there is too little to tell.
    pub(crate) fn errors(&self) -> u64 {
        match self.recent.count {
            ..FEW => 0,
            count => saturate(u128::from(self.recent.errors) * 100_000 / u128::from(count)),
        }
    }

    /// Microseconds in which so many percent are answered, as near as the histogram tells, taking it that times are spread evenly
    /// within a bucket; of what took longer than the last bound, that bound. 0 where there is too little to tell.
    pub(crate) fn latency(&self, percentile: u32) -> u64 {
        let count: u128 = self.recent.latency.iter().map(|n| u128::from(*n)).sum();
        if count < u128::from(FEW) {
            return 0;
        }
        let rank = count * u128::from(percentile);
        let (mut below, mut lower) = (0, 0);
        for (n, bound) in self.recent.latency.iter().zip(LATENCY_BOUNDS_MS) {
            let n = u128::from(*n) * 100;
            let upper = u128::from(bound) * 1000;
            if n > 0 && below + n >= rank {
                return saturate(lower + (upper - lower) * (rank - below) / n);
            }
            (below, lower) = (below + n, upper);
        }
        saturate(lower)
    }
}

fn saturate(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(latency: &[(usize, u64)], errors: u64) -> Load {
        let mut recent = Served {
            errors,
            ..Served::default()
        };
        for (bucket, n) in latency {
            recent.latency[*bucket] = *n;
            recent.count += n;
        }
        Load {
            count: recent.count,
            recent,
            span: TRAFFIC_WINDOW,
            is_whole: true,
        }
    }

    #[test]
    fn a_percentile_lies_within_its_bucket_by_its_rank_there() {
        // Half within a millisecond, half within 2 to 5.
        let halves = load(&[(0, 50), (2, 50)], 3);
        assert_eq!([50, 75, 99].map(|p| halves.latency(p)), [1000, 3500, 4940]);
        assert_eq!((halves.errors(), halves.requests()), (3000, 6666));
        // What took longer than the last bound is no less than that.
        let endless = load(&[(N_LATENCY_BUCKETS - 1, 20)], 0);
        assert_eq!(endless.latency(50), 10_000_000);
        let few = load(&[(12, FEW - 1)], FEW - 1);
        assert_eq!((few.latency(99), few.errors()), (0, 0));
        let full = load(&[(3, u64::MAX / 2)], u64::MAX);
        assert_eq!(full.latency(99), 9950);
    }
}
