//! Time slices: what runs, until when, and for whom room is being made.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::{AgentId, Timestamp};

use crate::job::Place;
use crate::timers::Timers;

/// What is told apart by whom room is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waits {
    /// Instances of a task that were not started yet.
    Start { job: u64, task: usize },
    /// One that is suspended.
    Resume(Place),
}

impl Waits {
    /// Of which job it is.
    pub(crate) fn job(self) -> u64 {
        match self {
            Self::Start { job, .. } | Self::Resume(Place { job, .. }) => job,
        }
    }
}

/// Cpus that are being given up, or were and are in nobody's use yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Freed {
    waits: Waits,
    cpu_millis: u64,
    /// Whoever did not come by then does not.
    until: Timestamp,
    /// Where it was asked for, until that is answered.
    asked_on: Option<AgentId>,
}

/// The room that is being made for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Room {
    cpu_millis: u64,
    by: BTreeSet<Place>,
}

/// Of instances that run in queues of time slices. Known from what the master says, so nothing of it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Slices {
    /// When the slice of what runs is over; and when what could not be resumed may be again.
    ends: Timers,
    /// Where what has a slice runs.
    agents: BTreeMap<Place, AgentId>,
    running: BTreeMap<AgentId, BTreeSet<Place>>,
    freed: BTreeMap<Place, Freed>,
    rooms: BTreeMap<Waits, Room>,
    /// Those that were asked and have not answered.
    asked: BTreeMap<AgentId, BTreeSet<Place>>,
    /// The suspension that each was resumed from last: what is told of it later is no news.
    resumed: BTreeMap<Place, u32>,
}

impl Slices {
    /// A slice begins, or begins anew.
    pub(crate) fn begin(&mut self, place: Place, agent: &AgentId, ends: Timestamp) {
        self.end(place);
        self.agents.insert(place, agent.clone());
        match self.running.get_mut(agent) {
            Some(running) => running.insert(place),
            None => self.running.entry(agent.clone()).or_default().insert(place),
        };
        self.ends.insert(place, ends);
    }

    /// Nothing happens to an instance before a time.
    pub(crate) fn put_off(&mut self, place: Place, until: Timestamp) {
        self.ends.remove(place);
        self.ends.insert(place, until);
    }

    /// An instance has no slice any more: it is suspended, or out of reach.
    pub(crate) fn end(&mut self, place: Place) {
        self.ends.remove(place);
        if let Some(agent) = self.agents.remove(&place)
            && let Some(running) = self.running.get_mut(&agent)
        {
            running.remove(&place);
            if running.is_empty() {
                self.running.remove(&agent);
            }
        }
    }

    /// An attempt has ended. Says whether it was asked to give up its cpus.
    pub(crate) fn forget(&mut self, place: Place) -> bool {
        self.end(place);
        self.resumed.remove(&place);
        self.taken_back(place)
    }

    /// Where an instance runs that has a slice.
    pub(crate) fn agent(&self, place: Place) -> Option<&AgentId> {
        self.agents.get(&place)
    }

    /// The next time that something is to be done.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.ends.next()
    }

    /// Whose time has come.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = Place> {
        self.ends.due(now)
    }

    /// When the next slice ends on an agent, of those that end later than now and were not asked to give up their cpus.
    pub(crate) fn next_on(&self, agent: &AgentId, now: Timestamp) -> Option<Timestamp> {
        let running = self.running.get(agent)?.iter();
        let running = running.filter(|place| !self.freed.contains_key(place));
        let ends = running.filter_map(|place| self.ends.get(*place));
        ends.filter(|end| *end > now).min()
    }

    /// An instance gives up its cpus for somebody.
    pub(crate) fn give_up(&mut self, place: Place, waits: Waits, cpu_millis: u64, until: Timestamp) {
        self.taken_back(place);
        let room = self.rooms.entry(waits).or_default();
        room.cpu_millis += cpu_millis;
        room.by.insert(place);
        let asked_on = self.agents.get(&place).cloned();
        if let Some(agent) = &asked_on {
            self.asked.entry(agent.clone()).or_default().insert(place);
        }
        let freed = Freed {
            waits,
            cpu_millis,
            until,
            asked_on,
        };
        self.freed.insert(place, freed);
    }

    /// Whether cpus are being given up on an agent: whoever goes on there before all of them are takes them from those they
    /// are for.
    pub(crate) fn is_asked(&self, agent: &AgentId) -> bool {
        self.asked.contains_key(agent)
    }

    /// An instance gave up its cpus as it was asked to.
    pub(crate) fn answered(&mut self, place: Place) {
        let freed = self.freed.get_mut(&place);
        if let Some(agent) = freed.and_then(|freed| freed.asked_on.take()) {
            self.not_asked(&agent, place);
        }
    }

    fn not_asked(&mut self, agent: &AgentId, place: Place) {
        if let Some(asked) = self.asked.get_mut(agent) {
            asked.remove(&place);
            if asked.is_empty() {
                self.asked.remove(agent);
            }
        }
    }

    /// How much room is being made for somebody, in thousandths of a core.
    pub(crate) fn room(&self, waits: Waits) -> u64 {
        self.rooms.get(&waits).map_or(0, |room| room.cpu_millis)
    }

    /// An instance has its cpus again, or never gave them up. Says whether it was asked to, and had not answered.
    pub(crate) fn taken_back(&mut self, place: Place) -> bool {
        let Some(freed) = self.freed.remove(&place) else {
            return false;
        };
        if let Some(agent) = &freed.asked_on {
            self.not_asked(agent, place);
        }
        if let Some(room) = self.rooms.get_mut(&freed.waits) {
            room.cpu_millis = room.cpu_millis.saturating_sub(freed.cpu_millis);
            room.by.remove(&place);
            if room.by.is_empty() {
                self.rooms.remove(&freed.waits);
            }
        }
        freed.asked_on.is_some()
    }

    /// Somebody took the room that was made.
    pub(crate) fn taken(&mut self, waits: Waits, cpu_millis: u64) {
        let mut left = cpu_millis;
        while left > 0
            && let Some(place) = self.rooms.get(&waits).and_then(|room| room.by.first().copied())
        {
            left = left.saturating_sub(self.freed.get(&place).map_or(0, |freed| freed.cpu_millis));
            self.taken_back(place);
        }
    }

    /// Whom an instance gives up its cpus for.
    pub(crate) fn gives_up_for(&self, place: Place) -> Option<Waits> {
        self.freed.get(&place).map(|freed| freed.waits)
    }

    /// Those that were to make room for somebody who did not come by in time.
    pub(crate) fn late(&self, now: Timestamp) -> Vec<Place> {
        let late = self.freed.iter().filter(|(_, freed)| freed.until <= now);
        late.map(|(place, _)| *place).collect()
    }

    /// An instance was resumed from a suspension.
    pub(crate) fn resumed(&mut self, place: Place, suspension: u32) {
        self.resumed.insert(place, suspension);
    }

    /// Whether a suspension began after the one that an instance was resumed from last.
    pub(crate) fn is_news(&self, place: Place, suspension: u32) -> bool {
        self.resumed.get(&place).is_none_or(|last| suspension > *last)
    }
}
