//! What tasks use, from what the kernel counts for them.

use std::collections::VecDeque;
use std::time::Duration;

use proffer_types::{ResourceName, Resources, Timestamp};

/// What use is averaged over.
pub(super) const WINDOW: Duration = Duration::from_secs(15);
/// Readings nearer than that say nothing of a share of a cpu.
const APART: Duration = Duration::from_secs(1);
/// The most readings kept of a task: one a second, whoever reads more often.
const MAX_READINGS: usize = 16;

/// What was counted for a task at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// By the clock of its agent.
    pub at: Timestamp,
    /// Microseconds of a cpu since the start.
    pub cpu_us: u64,
    /// Without the page cache.
    pub mem_bytes: u64,
}

/// The latest readings of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Readings {
    /// By our clock.
    heard: Timestamp,
    /// Oldest first.
    readings: VecDeque<Reading>,
}

impl Readings {
    pub(super) fn new(heard: Timestamp, reading: Reading) -> Self {
        Self {
            heard,
            readings: VecDeque::from([reading]),
        }
    }

    /// Takes one more. One that is not newer is not news.
    pub(super) fn add(&mut self, heard: Timestamp, reading: Reading) {
        if self.readings.back().is_some_and(|last| reading.at <= last.at) {
            return;
        }
        self.heard = heard;
        self.readings.push_back(reading);
        // One that is as old as the window stays, so that the rest of it is covered.
        while let Some(second) = self.readings.get(1)
            && (reading.at.since(second.at) >= WINDOW || self.readings.len() > MAX_READINGS)
        {
            self.readings.pop_front();
        }
    }

    /// Forgets all but the latest.
    pub(super) fn renew(&mut self) {
        self.readings.drain(..self.readings.len().saturating_sub(1));
    }

    pub(super) fn heard(&self) -> Timestamp {
        self.heard
    }

    /// Thousandths of a percent of the cpus that are asked for.
    pub(super) fn cpu(&self, asked: &Resources) -> Option<u64> {
        let (first, last) = (self.readings.front()?, self.readings.back()?);
        let span = last.at.since(first.at);
        let used_us = last.cpu_us.checked_sub(first.cpu_us)?;
        let cpus_milli = u128::from(asked.scalar(&ResourceName::Cpus));
        let of = span.as_millis() * cpus_milli;
        if span < APART || of == 0 {
            return None;
        }
        Some(saturate(u128::from(used_us) * 100_000 / of))
    }

    /// Thousandths of a percent of the memory that is asked for.
    pub(super) fn memory(&self, asked: &Resources) -> Option<u64> {
        let last = self.readings.back()?;
        let of = u128::from(asked.scalar(&ResourceName::Mem));
        (of > 0).then(|| saturate(u128::from(last.mem_bytes) * 100_000 / of))
    }
}

fn saturate(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(secs: u64, cpu_ms: u64) -> Reading {
        Reading {
            at: Timestamp(secs * 1000),
            cpu_us: cpu_ms * 1000,
            mem_bytes: 16 << 20,
        }
    }

    #[test]
    fn use_is_a_part_of_what_is_asked_for_over_the_last_seconds() {
        let asked: Resources = "cpus:0.5;mem:64MiB".parse().unwrap();
        let mut readings = Readings::new(Timestamp(0), reading(100, 0));
        assert_eq!(
            (readings.cpu(&asked), readings.memory(&asked)),
            (None, Some(25_000))
        );
        // A quarter of a second of a cpu in each second: half of what is asked for.
        for second in 1..=30 {
            readings.add(Timestamp(0), reading(100 + second, 250 * second));
        }
        assert_eq!(readings.cpu(&asked), Some(50_000));
        // All of it for the time of a window: what was before is forgotten.
        for second in 31..=46 {
            readings.add(Timestamp(0), reading(100 + second, 7500 + 500 * (second - 30)));
        }
        assert_eq!(readings.cpu(&asked), Some(100_000));
        assert!(readings.readings.len() <= MAX_READINGS);
    }

    #[test]
    fn a_clock_or_a_count_that_runs_backwards_gives_nothing() {
        let asked: Resources = "cpus:1;mem:64MiB".parse().unwrap();
        let mut readings = Readings::new(Timestamp(0), reading(100, 5000));
        readings.add(Timestamp(9), reading(90, 6000));
        assert_eq!((readings.readings.len(), readings.heard()), (1, Timestamp(0)));
        readings.add(Timestamp(9), reading(105, 1000));
        assert_eq!(readings.cpu(&asked), None);
        let mut frozen = Readings::new(Timestamp(0), reading(100, 0));
        frozen.add(Timestamp(1), reading(100, u64::MAX / 1000));
        assert_eq!(frozen.cpu(&asked), None);
    }
}
