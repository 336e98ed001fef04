//! What attempts have used, in sums.
//!
//! An attempt counts when it has ended, once; one that was never launched does not count. Sums only grow, and stay at the
//! largest number there is.

mod message;

use std::time::Duration;

use proffer_types::{ResourceName, Resources, Usage};

/// Sums over attempts that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Attempts that have ended.
    pub attempts: u64,
    /// Of those, how many finished.
    pub finished: u64,
    /// Of those, how many nobody knows the usage of: they were lost. What follows, but for the waiting, is without them.
    pub unmeasured: u64,
    /// How long the unmeasured ones were thought to run, in microseconds.
    pub unmeasured_us: u64,
    /// From when each could start to its launch, in milliseconds.
    pub waiting_ms: u64,
    pub longest_waiting_ms: u64,
    /// From start to end, in microseconds.
    pub running_us: u64,
    pub cpu_time_us: u64,
    /// The cpus they had times how long they ran.
    pub cpu_allocated_us: u64,
    /// The memory they had times how long they ran, in KiB seconds.
    pub mem_allocated_kib_s: u64,
    /// The largest memory high-water.
    pub mem_peak_bytes: u64,
    /// The sum of all memory high-waters, and of the memory they had.
    pub mem_peaks_bytes: u64,
    pub mem_requested_bytes: u64,
    /// How many had their io counted, and what they read from and wrote to block devices.
    pub io_measured: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
}

/// One attempt that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) finished: bool,
    pub(crate) waited: Duration,
    /// Since its launch, by the scheduler's clock.
    pub(crate) since_launch: Duration,
    pub(crate) usage: Option<Usage>,
    /// What it had.
    pub(crate) resources: &'a Resources,
}

impl Sums {
    /// Counts an attempt.
    pub(crate) fn add(&mut self, attempt: &Attempt<'_>) {
        self.merge(&Self::of(attempt));
    }

    fn of(attempt: &Attempt<'_>) -> Self {
        let waited = bounded(attempt.waited.as_millis());
        let sums = Self {
            attempts: 1,
            finished: attempt.finished.into(),
            waiting_ms: waited,
            longest_waiting_ms: waited,
            ..Self::default()
        };
        let Some(usage) = attempt.usage else {
            return Self {
                unmeasured: 1,
                unmeasured_us: bounded(attempt.since_launch.as_micros()),
                ..sums
            };
        };
        let ran = u128::from(usage.wall_time_us);
        let mem = attempt.resources.mem_bytes();
        let cpu_millis = attempt.resources.scalar(&ResourceName::Cpus);
        let io = usage.io.unwrap_or_default();
        Self {
            running_us: usage.wall_time_us,
            cpu_time_us: usage.cpu_time_us,
            cpu_allocated_us: bounded(ran * u128::from(cpu_millis) / 1000),
            mem_allocated_kib_s: bounded(ran * u128::from(mem >> 10) / 1_000_000),
            mem_peak_bytes: usage.mem_peak_bytes,
            mem_peaks_bytes: usage.mem_peak_bytes,
            mem_requested_bytes: mem,
            io_measured: usage.io.is_some().into(),
            read_bytes: io.read_bytes,
            write_bytes: io.write_bytes,
            ..sums
        }
    }

    /// How long attempts ran on average; `None` before one has ended of which that is known.
    #[must_use]
    pub fn mean_running(&self) -> Option<Duration> {
        let mean = self
            .running_us
            .checked_div(self.attempts.saturating_sub(self.unmeasured))?;
        Some(Duration::from_micros(mean))
    }

    /// Adds the attempts of others.
    pub fn merge(&mut self, other: &Self) {
        let sums = [
            (&mut self.attempts, other.attempts),
            (&mut self.finished, other.finished),
            (&mut self.unmeasured, other.unmeasured),
            (&mut self.unmeasured_us, other.unmeasured_us),
            (&mut self.waiting_ms, other.waiting_ms),
            (&mut self.running_us, other.running_us),
            (&mut self.cpu_time_us, other.cpu_time_us),
            (&mut self.cpu_allocated_us, other.cpu_allocated_us),
            (&mut self.mem_allocated_kib_s, other.mem_allocated_kib_s),
            (&mut self.mem_peaks_bytes, other.mem_peaks_bytes),
            (&mut self.mem_requested_bytes, other.mem_requested_bytes),
            (&mut self.io_measured, other.io_measured),
            (&mut self.read_bytes, other.read_bytes),
            (&mut self.write_bytes, other.write_bytes),
        ];
        for (sum, more) in sums {
            *sum = sum.saturating_add(more);
        }
        self.longest_waiting_ms = self.longest_waiting_ms.max(other.longest_waiting_ms);
        self.mem_peak_bytes = self.mem_peak_bytes.max(other.mem_peak_bytes);
    }
}

impl<'a> FromIterator<&'a Sums> for Sums {
    fn from_iter<T: IntoIterator<Item = &'a Sums>>(all: T) -> Self {
        let mut sum = Self::default();
        all.into_iter().for_each(|sums| sum.merge(sums));
        sum
    }
}

fn bounded(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_apart_is_known_even_of_what_no_float_holds() {
        let resources = Resources::of(1_000_000_000, u64::MAX, 0);
        let usage = Usage {
            wall_time_us: u64::MAX,
            ..Usage::default()
        };
        let attempt = Attempt {
            finished: true,
            waited: Duration::MAX,
            since_launch: Duration::MAX,
            usage: Some(usage),
            resources: &resources,
        };
        let mut sums = Sums::default();
        sums.add(&attempt);
        sums.add(&attempt);
        assert_eq!(
            (sums.attempts, sums.waiting_ms, sums.cpu_allocated_us),
            (2, u64::MAX, u64::MAX)
        );
    }

    #[test]
    fn efficiency_can_be_told_from_the_sums() {
        let resources = Resources::of(2000, 4 << 30, 0);
        let usage = Usage {
            wall_time_us: 10_000_000,
            cpu_time_us: 5_000_000,
            mem_peak_bytes: 1 << 30,
            ..Usage::default()
        };
        let mut sums = Sums::default();
        for (usage, waited) in [(Some(usage), 7), (None, 3)] {
            sums.add(&Attempt {
                finished: usage.is_some(),
                waited: Duration::from_secs(waited),
                since_launch: Duration::from_secs(60),
                usage,
                resources: &resources,
            });
        }
        let expected = Sums {
            attempts: 2,
            finished: 1,
            unmeasured: 1,
            unmeasured_us: 60_000_000,
            waiting_ms: 10_000,
            longest_waiting_ms: 7000,
            running_us: 10_000_000,
            cpu_time_us: 5_000_000,
            cpu_allocated_us: 20_000_000,
            mem_allocated_kib_s: 10 * (4 << 20),
            mem_peak_bytes: 1 << 30,
            mem_peaks_bytes: 1 << 30,
            mem_requested_bytes: 4 << 30,
            ..Sums::default()
        };
        assert_eq!(sums, expected);
    }
}
