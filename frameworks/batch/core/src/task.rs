//! One task of a job, as far as its instances have come.
//!
//! Invariant: an index is in exactly one phase. Only what was launched takes memory by itself, so a million instances
//! that wait take a few bytes.

use std::collections::BTreeMap;

use proffer_types::TaskStatus;
use roaring::RoaringBitmap;

use crate::Phase;
use crate::graph::{Edge, Verdict};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    /// What it comes after.
    pub(crate) after: Vec<Edge>,
    /// The tasks that come after it, and which of their edges that is.
    pub(crate) before: Vec<(usize, usize)>,
    /// One of them does index by index.
    pub(crate) has_each_later: bool,
    /// Conditions over whole tasks that are not met yet.
    pub(crate) n_open: u32,
    /// Those of them that never will be.
    pub(crate) n_doomed: u32,
    /// What those that come after were told.
    pub(crate) verdict: Verdict,
    count: u32,
    /// Indexes by phase, in the order of [`Phase::ALL`].
    indexes: [RoaringBitmap; Phase::ALL.len()],
    launched: BTreeMap<u32, Instance>,
}

/// What is known of an instance that was launched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Instance {
    /// Launches so far.
    pub(crate) attempts: u32,
    /// Launches that count against the retries.
    pub(crate) failures: u32,
    /// Launches that certainly never came to pass.
    pub(crate) never_launched: u32,
    /// Of the latest attempt.
    pub(crate) status: Option<Box<TaskStatus>>,
}

impl Task {
    /// A task all of whose instances are blocked.
    pub(crate) fn new(count: u32, after: Vec<Edge>) -> Self {
        let mut indexes: [RoaringBitmap; Phase::ALL.len()] = Default::default();
        indexes[Phase::Blocked as usize].insert_range(0..count);
        Self {
            // A spec has far fewer.
            n_open: u32::try_from(after.iter().filter(|edge| !edge.each).count()).unwrap_or(u32::MAX),
            after,
            before: Vec::new(),
            has_each_later: false,
            n_doomed: 0,
            verdict: Verdict::default(),
            count,
            indexes,
            launched: BTreeMap::new(),
        }
    }

    /// How many instances there are.
    pub(crate) fn len(&self) -> u32 {
        self.count
    }

    /// How many instances may be started now, if at most so many may run.
    pub(crate) fn n_startable(&self, max_running: Option<u32>) -> u32 {
        let left = max_running.map_or(u32::MAX, |most| most.saturating_sub(self.count(Phase::Running)));
        self.count(Phase::Waiting).min(left)
    }

    /// How many of them are in a phase.
    pub(crate) fn count(&self, phase: Phase) -> u32 {
        // No more than there are instances.
        u32::try_from(self.in_phase(phase).len()).unwrap_or(u32::MAX)
    }

    /// The indexes that are in a phase, in their order.
    pub(crate) fn in_phase(&self, phase: Phase) -> &RoaringBitmap {
        &self.indexes[phase as usize]
    }

    /// Where an instance is; `Blocked` of an index that is none of its.
    pub(crate) fn phase(&self, index: u32) -> Phase {
        let is_in = |phase: &Phase| self.in_phase(*phase).contains(index);
        Phase::ALL.into_iter().find(is_in).unwrap_or(Phase::Blocked)
    }

    /// Moves an instance; returns the phase it was in.
    pub(super) fn set_phase(&mut self, index: u32, phase: Phase) -> Phase {
        let before = self.phase(index);
        self.indexes[before as usize].remove(index);
        self.indexes[phase as usize].insert(index);
        before
    }

    /// Moves all instances of a phase; returns how many.
    pub(super) fn move_all(&mut self, from: Phase, to: Phase) -> u32 {
        let moved = std::mem::take(&mut self.indexes[from as usize]);
        self.indexes[to as usize] |= &moved;
        u32::try_from(moved.len()).unwrap_or(u32::MAX)
    }

    /// Moves these instances, which are all in one phase.
    pub(super) fn move_some(&mut self, indexes: &RoaringBitmap, from: Phase, to: Phase) {
        self.indexes[from as usize] -= indexes;
        self.indexes[to as usize] |= indexes;
    }

    /// What is known of an instance; none before its first launch.
    pub(crate) fn launched(&self, index: u32) -> Option<&Instance> {
        self.launched.get(&index)
    }

    /// As [`Task::launched`], to be changed.
    pub(crate) fn launched_mut(&mut self, index: u32) -> Option<&mut Instance> {
        self.launched.get_mut(&index)
    }

    /// All that were launched, by their indexes.
    pub(crate) fn all_launched(&self) -> impl DoubleEndedIterator<Item = (u32, &Instance)> {
        self.launched.iter().map(|(index, instance)| (*index, instance))
    }

    /// How many were launched.
    pub(crate) fn n_launched(&self) -> u64 {
        self.launched.len() as u64
    }

    /// Those that were launched and are in a phase now.
    pub(crate) fn launched_in(&self, phase: Phase) -> impl Iterator<Item = (u32, &Instance)> {
        let indexes = self.in_phase(phase).iter();
        indexes.filter_map(|index| Some((index, self.launched(index)?)))
    }

    /// Counts a launch.
    pub(crate) fn launch(&mut self, index: u32) {
        let instance = self.launched.entry(index).or_default();
        instance.attempts += 1;
        instance.status = None;
    }

    /// Puts back what a record holds; `None` where there is no such index.
    pub(super) fn restore(&mut self, index: u32, instance: Instance) -> Option<()> {
        if index >= self.count {
            return None;
        }
        self.launched.insert(index, instance);
        Some(())
    }
}
