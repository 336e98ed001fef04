//! Which of a service's slots want something, so that no message costs a walk over all of them.
//!
//! The index is a function of the slots and the service's version; [`Index::of`] says which.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::Timestamp;

use crate::slot::{Place, Slot};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Index {
    /// Want an offer, by the version they are to run. No set is empty.
    pub(crate) waiting: BTreeMap<u64, BTreeSet<(u32, Place)>>,
    /// By the time when something is to be done about them.
    pub(crate) turns: BTreeSet<(Timestamp, u32, Place)>,
    pub(crate) backing_off: BTreeSet<(u32, Place)>,
    /// Have a task that runs and can take work.
    pub(crate) serving: BTreeSet<u32>,
    /// Have one that has done so for long enough.
    pub(crate) available: BTreeSet<u32>,
    /// Have such a one of the service's version.
    pub(crate) fresh: BTreeSet<u32>,
    /// Have nothing but that.
    pub(crate) settled: BTreeSet<u32>,
    /// Serve with another version, and have no successor.
    pub(crate) outdated: BTreeSet<u32>,
    /// Are of another version and do not serve: nobody misses them.
    pub(crate) stale: BTreeSet<u32>,
    /// Have a successor.
    pub(crate) paired: BTreeSet<u32>,
    /// Have one that is available, and a task that is not asked to stop yet.
    pub(crate) relieved: BTreeSet<u32>,
}

impl Index {
    /// Builds the index anew.
    pub(crate) fn of<'a>(slots: impl IntoIterator<Item = &'a Slot>, version: u64) -> Self {
        let mut index = Self::default();
        for slot in slots {
            index.insert(slot, version);
        }
        index
    }

    pub(crate) fn insert(&mut self, slot: &Slot, version: u64) {
        let number = slot.number;
        for (place, instance) in slot.instances() {
            if instance.is_waiting() {
                let waiting = self.waiting.entry(instance.version).or_default();
                waiting.insert((number, place));
            }
            if instance.is_backing_off() {
                self.backing_off.insert((number, place));
            }
            self.turns
                .extend(instance.turns_at().map(|at| (at, number, place)));
        }
        let (task, next) = (&slot.task, slot.next.as_ref());
        let is_alone = next.is_none();
        let is_fresh = |place| {
            let instance = slot.at(place);
            instance.is_some_and(|instance| instance.is_available() && instance.version == version)
        };
        let is_replaceable = is_alone && task.version != version && !task.is_stopping();
        let serves = slot.instances().any(|(_, instance)| instance.serves());
        let relieved = next.is_some_and(|next| next.is_available()) && !task.is_stopping();
        let sets = [
            (&mut self.serving, serves),
            (&mut self.available, slot.is_available()),
            (&mut self.fresh, is_fresh(Place::Task) || is_fresh(Place::Next)),
            (&mut self.settled, is_alone && is_fresh(Place::Task)),
            (&mut self.outdated, is_replaceable && task.serves()),
            (&mut self.stale, is_replaceable && !task.serves()),
            (&mut self.paired, !is_alone),
            (&mut self.relieved, relieved),
        ];
        for (set, _) in sets.into_iter().filter(|(_, is_in)| *is_in) {
            set.insert(number);
        }
    }

    pub(crate) fn remove(&mut self, slot: &Slot) {
        let number = slot.number;
        for (place, instance) in slot.instances() {
            if let Some(waiting) = self.waiting.get_mut(&instance.version) {
                waiting.remove(&(number, place));
                if waiting.is_empty() {
                    self.waiting.remove(&instance.version);
                }
            }
            self.backing_off.remove(&(number, place));
            if let Some(at) = instance.turns_at() {
                self.turns.remove(&(at, number, place));
            }
        }
        for set in [
            &mut self.serving,
            &mut self.available,
            &mut self.fresh,
            &mut self.settled,
            &mut self.outdated,
            &mut self.stale,
            &mut self.paired,
            &mut self.relieved,
        ] {
            set.remove(&number);
        }
    }
}
