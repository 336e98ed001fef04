//! What users have used of a queue, where what is long ago counts less.
//!
//! A user is charged by the second for each task that runs: its cores, or its memory at 4 GiB a core where that is more (as
//! `TRESBillingWeights` with `MAX_TRES` of slurm.conf(5)). What was charged halves with each half-life, so with the rate r
//! and the decay k the sum follows u' = r - k u; it is exact however rarely it is looked at.

use std::time::Duration;

use proffer_types::{ResourceName, Resources, Timestamp};

/// A core of memory, in bytes: 4 GiB.
const MEM_PER_CORE: u64 = 4 << 30;

/// Core-seconds: who used less, and has nothing running, used nothing.
const NOTHING: f64 = 0.01;

/// What one user has used of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Used {
    /// Core-seconds, as they counted at `at`.
    pub(crate) sum: f64,
    pub(crate) at: Timestamp,
    /// What has run since, in thousandths of a core.
    rate: u64,
    /// What runs from now on.
    next: u64,
}

/// What a running task is charged, in thousandths of a core.
fn rate(resources: &Resources) -> u64 {
    let cpu = resources.scalar(&ResourceName::Cpus);
    let mem = resources.scalar(&ResourceName::Mem);
    cpu.max(u64::try_from(u128::from(mem) * 1000 / u128::from(MEM_PER_CORE)).unwrap_or(u64::MAX))
}

impl Used {
    /// As a record has it; nothing is known to run yet.
    pub(super) fn restored(sum: f64, at: Timestamp) -> Self {
        Self {
            sum,
            at,
            ..Self::default()
        }
    }

    /// What is known to run has run since it was recorded.
    pub(super) fn recovered(&mut self) {
        self.rate = self.next;
    }

    /// A task starts, or ends; what ran until now is charged later.
    pub(super) fn change(&mut self, resources: &Resources, starts: bool) {
        let rate = rate(resources);
        self.next = match starts {
            true => self.next.saturating_add(rate),
            false => self.next.saturating_sub(rate),
        };
    }

    pub(super) fn is_running(&self) -> bool {
        self.next > 0
    }

    pub(super) fn is_nothing(&self) -> bool {
        !self.is_running() && self.sum < NOTHING
    }

    /// What it is at a later time.
    pub(super) fn value(&self, now: Timestamp, half_life: Duration) -> f64 {
        let halvings = now.since(self.at).as_secs_f64() / half_life.as_secs_f64();
        let kept = (-halvings).exp2();
        let cores = self.rate as f64 / 1000.0;
        self.sum * kept + cores * half_life.as_secs_f64() / std::f64::consts::LN_2 * (1.0 - kept)
    }

    /// Charges what ran until now.
    pub(super) fn charge(&mut self, now: Timestamp, half_life: Duration) {
        self.sum = self.value(now, half_life);
        self.at = self.at.max(now);
        self.rate = self.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn what_was_used_counts_half_after_a_half_life_and_what_runs_is_charged_by_the_second() {
        let mut used = Used {
            rate: 2000,
            ..Used::default()
        };
        let after_a_second = used.value(Timestamp(1000), HOUR);
        assert!((after_a_second - 2.0).abs() < 0.001, "{after_a_second}");
        used.charge(Timestamp(1000), HOUR);
        let later = used.value(Timestamp(1000).after(HOUR), HOUR);
        assert!((later - 1.0).abs() < 0.001, "{later}");
    }

    #[test]
    fn it_is_the_same_however_often_it_is_looked_at() {
        let mut often = Used {
            sum: 5.0,
            rate: 1500,
            next: 1500,
            ..Used::default()
        };
        let once = often;
        for second in 1..=7200 {
            often.charge(Timestamp(second * 1000), HOUR);
        }
        let (often, once) = (often.sum, once.value(Timestamp(7_200_000), HOUR));
        assert!((often - once).abs() < 1e-6, "{often} {once}");
    }

    #[test]
    fn a_task_is_charged_for_its_cores_or_its_memory_whichever_is_more() {
        assert_eq!(rate(&Resources::of(500, 1 << 30, 0)), 500);
        assert_eq!(rate(&Resources::of(500, 8 << 30, 0)), 2000);
    }
}
