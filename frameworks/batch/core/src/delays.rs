//! Instances that wait before they are started again, and until when.
//!
//! That they wait is recorded, and not until when: a start from the records begins the wait anew.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::Timestamp;

use crate::job::Place;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Delays {
    until: BTreeMap<Place, Timestamp>,
    /// The same, by time.
    order: BTreeSet<(Timestamp, Place)>,
}

impl Delays {
    pub(crate) fn insert(&mut self, place: Place, until: Timestamp) {
        self.remove(place);
        self.until.insert(place, until);
        self.order.insert((until, place));
    }

    pub(crate) fn remove(&mut self, place: Place) {
        if let Some(until) = self.until.remove(&place) {
            self.order.remove(&(until, place));
        }
    }

    pub(crate) fn contains(&self, place: Place) -> bool {
        self.until.contains_key(&place)
    }

    /// Forgets the instances of a job.
    pub(crate) fn remove_job(&mut self, job: u64) {
        let place = |job| Place {
            job,
            task: 0,
            index: 0,
        };
        let places = self.until.range(place(job)..place(job + 1));
        for (place, until) in places.map(|(place, until)| (*place, *until)).collect::<Vec<_>>() {
            self.until.remove(&place);
            self.order.remove(&(until, place));
        }
    }

    /// When the first wait is over.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(until, _)| *until)
    }

    /// Those whose wait is over, the longest over first.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = Place> {
        let due = self.order.iter().take_while(move |(until, _)| *until <= now);
        due.map(|(_, place)| *place)
    }

    /// When the first instance of a task is started again.
    pub(crate) fn of_task(&self, job: u64, task: usize) -> Option<Timestamp> {
        let place = |index| Place { job, task, index };
        let times = self.until.range(place(0)..=place(u32::MAX));
        times.map(|(_, until)| *until).min()
    }
}
