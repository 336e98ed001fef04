//! One task of a job, as far as its instances have come.
//!
//! Invariant: an index is in exactly one phase. Only what was launched takes memory by itself, so a million instances
//! that wait take a few bytes.

use std::collections::BTreeMap;

use proffer_types::Timestamp;
use roaring::RoaringBitmap;

use crate::Phase;
use crate::graph::{Edge, Verdict};
use crate::report::Report;
use crate::usage::Sums;

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
    /// Those that run and are suspended, as far as is known.
    suspended: RoaringBitmap,
    launched: BTreeMap<u32, Instance>,
    /// Cancelled ones that were launched and waited, or were delayed, which is what their records say.
    dropped: [RoaringBitmap; DROPPED.len()],
    /// When the first of those that were never launched could start; an index that waits for others of its number may have
    /// had to wait longer.
    pub(crate) opened: Option<Timestamp>,
    /// What its attempts used; none before the first has ended.
    pub(crate) sums: Option<Box<Sums>>,
}

/// The phases that are left for `Cancelled` without a record, because that follows from others.
const DROPPED: [Phase; 2] = [Phase::Waiting, Phase::Delayed];

/// What is known of an instance that was launched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Instance {
    /// Launches so far.
    pub(crate) attempts: u32,
    /// Launches that count against the retries.
    pub(crate) failures: u32,
    /// Launches that certainly never came to pass.
    pub(crate) never_launched: u32,
    /// Launches up to the one that was there when somebody had it run again: they count for nothing.
    pub(crate) forgiven: u32,
    /// When it was launched; since when it waits; or when it ended.
    pub(crate) since: Timestamp,
    /// How long the latest attempt waited for its launch, in milliseconds.
    pub(crate) waited_ms: u64,
    /// Of the latest attempt.
    pub(crate) status: Option<Box<Report>>,
}

impl Instance {
    /// Whether there is another attempt, however the latest ends.
    pub(crate) fn is_requeued(&self) -> bool {
        self.forgiven == self.attempts
    }
}

impl Task {
    /// A task all of whose instances are blocked.
    pub(crate) fn new(count: u32, after: Vec<Edge>) -> Self {
        let mut indexes: [RoaringBitmap; Phase::ALL.len()] = Default::default();
        indexes[Phase::Blocked as usize].insert_range(0..count);
        Self {
            n_open: n_whole(&after),
            after,
            before: Vec::new(),
            has_each_later: false,
            n_doomed: 0,
            verdict: Verdict::default(),
            count,
            indexes,
            suspended: RoaringBitmap::new(),
            launched: BTreeMap::new(),
            dropped: Default::default(),
            opened: None,
            sums: None,
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

    /// The indexes that run and are suspended.
    pub(crate) fn suspended(&self) -> &RoaringBitmap {
        &self.suspended
    }

    /// How many those are.
    pub(crate) fn n_suspended(&self) -> u32 {
        u32::try_from(self.suspended.len()).unwrap_or(u32::MAX)
    }

    /// Notes whether an instance that runs is suspended.
    pub(crate) fn set_suspended(&mut self, index: u32, suspended: bool) {
        match suspended && self.in_phase(Phase::Running).contains(index) {
            true => self.suspended.insert(index),
            false => self.suspended.remove(index),
        };
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
        self.suspended.remove(index);
        self.indexes[phase as usize].insert(index);
        before
    }

    /// Moves all instances of a phase; returns how many.
    pub(super) fn move_all(&mut self, from: Phase, to: Phase) -> u32 {
        let moved = std::mem::take(&mut self.indexes[from as usize]);
        if from == Phase::Blocked && to == Phase::Waiting && !moved.is_empty() {
            self.opened = None;
        }
        self.indexes[to as usize] |= &moved;
        u32::try_from(moved.len()).unwrap_or(u32::MAX)
    }

    /// Moves these instances, which are all in one phase.
    pub(super) fn move_some(&mut self, indexes: &RoaringBitmap, from: Phase, to: Phase) {
        self.indexes[from as usize] -= indexes;
        self.indexes[to as usize] |= indexes;
    }

    /// Cancels all that waits or is delayed, because of others; returns how many of each.
    pub(super) fn drop_open(&mut self) -> [u32; DROPPED.len()] {
        let launched = match DROPPED.iter().all(|phase| self.in_phase(*phase).is_empty()) {
            true => return [0; DROPPED.len()],
            false => self.launched.keys().copied().collect::<RoaringBitmap>(),
        };
        for (dropped, phase) in self.dropped.iter_mut().zip(DROPPED) {
            *dropped |= &launched & &self.indexes[phase as usize];
        }
        DROPPED.map(|phase| self.move_all(phase, Phase::Cancelled))
    }

    /// Takes back all that is not recorded, since it followed from others: to be settled anew, from nothing.
    pub(super) fn unsettle(&mut self) {
        self.n_open = n_whole(&self.after);
        self.n_doomed = 0;
        self.verdict = Verdict::default();
        for (phase, dropped) in DROPPED.into_iter().zip(std::mem::take(&mut self.dropped)) {
            self.move_some(&dropped, Phase::Cancelled, phase);
        }
        // What comes after nothing waits in any case.
        let waits = (!self.after.is_empty()).then_some(Phase::Waiting);
        for phase in waits.into_iter().chain([Phase::Cancelled]) {
            if !self.in_phase(phase).is_empty() {
                let launched = self.launched.keys().copied().collect::<RoaringBitmap>();
                let never = self.in_phase(phase) - launched;
                self.move_some(&never, phase, Phase::Blocked);
            }
        }
    }

    /// What is known of an instance; none before its first launch.
    pub(crate) fn launched(&self, index: u32) -> Option<&Instance> {
        self.launched.get(&index)
    }

    /// As [`Task::launched`], to be changed.
    pub(crate) fn launched_mut(&mut self, index: u32) -> Option<&mut Instance> {
        self.launched.get_mut(&index)
    }

    /// Forgets all failures; returns of which instances there were some.
    pub(crate) fn forgive_all(&mut self) -> Vec<u32> {
        let failed = self
            .launched
            .iter_mut()
            .filter(|(_, instance)| instance.failures > 0);
        let forgive = |(index, instance): (&u32, &mut Instance)| {
            instance.failures = 0;
            *index
        };
        failed.map(forgive).collect()
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

    /// Counts a launch, of what could start since a time.
    pub(crate) fn launch(&mut self, index: u32, now: Timestamp, could_start: Timestamp) {
        let instance = self.launched.entry(index).or_default();
        instance.attempts += 1;
        instance.status = None;
        instance.since = now;
        instance.waited_ms = now.0.saturating_sub(could_start.0);
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

/// How many conditions are over whole tasks.
fn n_whole(after: &[Edge]) -> u32 {
    // A spec has far fewer.
    u32::try_from(after.iter().filter(|edge| !edge.each).count()).unwrap_or(u32::MAX)
}
