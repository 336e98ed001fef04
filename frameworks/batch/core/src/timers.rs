//! Instances that something happens to at a time, by instance and by time.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::Timestamp;

use crate::job::Place;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Timers {
    at: BTreeMap<Place, Timestamp>,
    /// The same, by time.
    order: BTreeSet<(Timestamp, Place)>,
}

impl Timers {
    /// Sets the time of an instance; one that has a time keeps it.
    pub(crate) fn insert(&mut self, place: Place, at: Timestamp) {
        let at = *self.at.entry(place).or_insert(at);
        self.order.insert((at, place));
    }

    pub(crate) fn get(&self, place: Place) -> Option<Timestamp> {
        self.at.get(&place).copied()
    }

    pub(crate) fn remove(&mut self, place: Place) {
        if let Some(at) = self.at.remove(&place) {
            self.order.remove(&(at, place));
        }
    }

    /// Forgets the instances of a job that are not to be kept.
    pub(crate) fn retain(&mut self, job: u64, keep: impl Fn(Place) -> bool) {
        let place = |job| Place {
            job,
            task: 0,
            index: 0,
        };
        let places = self.at.range(place(job)..place(job + 1));
        let places: Vec<_> = places
            .map(|(place, _)| *place)
            .filter(|place| !keep(*place))
            .collect();
        places.into_iter().for_each(|place| self.remove(place));
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The earliest of all.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Those whose time has come, the earliest first.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = Place> {
        let due = self.order.iter().take_while(move |(at, _)| *at <= now);
        due.map(|(_, place)| *place)
    }

    /// The instances of one task: how many, and the earliest time.
    pub(crate) fn of_task(&self, job: u64, task: usize) -> Option<(u32, Timestamp)> {
        let place = |index| Place { job, task, index };
        let times = self.at.range(place(0)..=place(u32::MAX)).map(|(_, at)| *at);
        let n = u32::try_from(times.clone().count()).unwrap_or(u32::MAX);
        Some((n, times.min()?))
    }
}
