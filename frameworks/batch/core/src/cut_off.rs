//! Instances whose latest attempt is on an unreachable agent, and when each is given up.
//!
//! An attempt that is given up may still be running, unseen, on the far side of a partition: at most one attempt of an
//! instance is known to run, but two may. So the wait is long, and counts only while the master keeps an attempt
//! unreachable before our eyes: a new link, and a start from the records, begin it anew, since what was missed meanwhile
//! is told again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::Timestamp;

use crate::job::Place;

/// How long an unreachable attempt is waited for, beyond the time the master gave its agent: a restarted host and a
/// mended network are back by then, and doing all of the work again costs more than five minutes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CutOff {
    given_up_at: BTreeMap<Place, Timestamp>,
    /// The same, by time.
    order: BTreeSet<(Timestamp, Place)>,
}

impl CutOff {
    /// An attempt is unreachable; being told again changes nothing.
    pub(crate) fn insert(&mut self, place: Place, now: Timestamp) {
        let at = *self
            .given_up_at
            .entry(place)
            .or_insert_with(|| now.after(PATIENCE));
        self.order.insert((at, place));
    }

    /// An attempt was heard of, or has ended.
    pub(crate) fn remove(&mut self, place: Place) {
        if let Some(at) = self.given_up_at.remove(&place) {
            self.order.remove(&(at, place));
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// When the next one is given up.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Those to give up now, the longest unreachable first.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = Place> {
        let due = self.order.iter().take_while(move |(at, _)| *at <= now);
        due.map(|(_, place)| *place)
    }

    /// The instances of one task: how many, and when the first is given up.
    pub(crate) fn of_task(&self, job: u64, task: usize) -> Option<(u32, Timestamp)> {
        let place = |index| Place { job, task, index };
        let times = self.given_up_at.range(place(0)..=place(u32::MAX));
        let times = times.map(|(_, at)| *at);
        let n = u32::try_from(times.clone().count()).unwrap_or(u32::MAX);
        Some((n, times.min()?))
    }
}
