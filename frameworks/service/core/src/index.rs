//! Which of a service's slots want something, so that no message costs a walk over all of them.
//!
//! The index is a function of the replicas and the service's version; [`Index::of`] says which.

use std::collections::BTreeSet;

use proffer_types::Timestamp;

use crate::replica::{Phase, Replica};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Index {
    /// Want an offer.
    pub(crate) waiting: BTreeSet<u32>,
    /// By the time they want one.
    pub(crate) backing_off: BTreeSet<(Timestamp, u32)>,
    pub(crate) running: BTreeSet<u32>,
    /// Run an earlier version, and serve: replaced one at a time.
    pub(crate) outdated: BTreeSet<u32>,
    /// Have a task of an earlier version that does not serve: replaced at once.
    pub(crate) stale: BTreeSet<u32>,
    /// Hold up the replacement of the next: being replaced, or of the current version and not running.
    pub(crate) unsettled: BTreeSet<u32>,
}

impl Index {
    /// Builds the index anew.
    pub(crate) fn of<'a>(replicas: impl IntoIterator<Item = &'a Replica>, version: u64) -> Self {
        let mut index = Self::default();
        for replica in replicas {
            index.insert(replica, version);
        }
        index
    }

    pub(crate) fn insert(&mut self, replica: &Replica, version: u64) {
        let slot = replica.slot;
        let current = replica.version == version;
        match replica.phase {
            Phase::Waiting => {
                self.waiting.insert(slot);
            }
            Phase::BackingOff { until } => {
                self.backing_off.insert((until, slot));
            }
            Phase::Running { .. } => {
                self.running.insert(slot);
                if !current {
                    let serves = !replica.replacing;
                    let set = if serves {
                        &mut self.outdated
                    } else {
                        &mut self.stale
                    };
                    set.insert(slot);
                }
            }
            Phase::Starting if !current => {
                self.stale.insert(slot);
            }
            Phase::Starting | Phase::Stopping { .. } => {}
        }
        if replica.replacing || (current && !matches!(replica.phase, Phase::Running { .. })) {
            self.unsettled.insert(slot);
        }
    }

    pub(crate) fn remove(&mut self, replica: &Replica) {
        let slot = &replica.slot;
        if let Phase::BackingOff { until } = replica.phase {
            self.backing_off.remove(&(until, *slot));
        }
        for set in [
            &mut self.waiting,
            &mut self.running,
            &mut self.outdated,
            &mut self.stale,
            &mut self.unsettled,
        ] {
            set.remove(slot);
        }
    }
}
