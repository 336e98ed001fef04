//! What a service wants of the master, and which of its slots an agent is for.
//!
//! Replicas of one version are alike, so one shape stands for all of them that wait. A daemon wants one task on every agent
//! that matches: one shape for the agents without it, and one of its own for each successor, that names the only agent that will
//! do. All tasks of a daemon count for the first, so that no agent is offered for a second one.
//!
//! Where there are replica rules, what waits beside another task of its slot has a shape of its own, too: that task is not in its
//! way, so other places will do for it. Each shape is then steered to the places that the rules leave.

use std::collections::BTreeSet;

use proffer_types::constraint::MAX_CONSTRAINTS;
use proffer_types::{AgentId, OfferConstraints, Placement, Shape, ShapeId};

use crate::neighbours::{Neighbours, Steering};
use crate::service::Service;
use crate::services::Cluster;
use crate::slot::{Place, Slot};
use crate::spec::{Mode, ServiceTask, is_amounts};
use crate::version::Version;

/// Shapes of what waits for itself alone: more than there are versions.
const OWN: u64 = 1 << 63;
/// How many bits of such a shape are the slot.
const SLOT_BITS: u32 = 20;

/// At most so many of a version wait each for itself; the others have their turn after them.
const MAX_OWN: usize = 64;

/// Tasks of one version that wait for an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) shape: ShapeId,
    pub(crate) version: u64,
    pub(crate) n: u32,
    /// The only agent that will do.
    pub(crate) agent: Option<AgentId>,
    /// The only slot that it is for.
    pub(crate) slot: Option<u32>,
    /// Where the replica rules leave room, if there are any.
    pub(crate) steering: Option<Steering>,
}

impl Service {
    /// What it wants, of so many agents that there are. `neighbours` are the rules of its versions.
    pub(crate) fn wishes(
        &self,
        n_agents: u32,
        neighbours: impl Fn(u64) -> Option<Neighbours>,
        cluster: &Cluster,
    ) -> Vec<Wish> {
        let waiting = self.index.waiting.iter();
        let mut wishes: Vec<Wish> = match self.spec.mode {
            Mode::Replicated => waiting
                .flat_map(|(number, slots)| self.replicas(*number, slots, &neighbours, cluster))
                .collect(),
            Mode::Daemon => {
                let successors = waiting.flat_map(|(number, slots)| self.successors(*number, slots));
                let wishes = self.newcomers(n_agents).into_iter().chain(successors);
                let steer = |wish: Wish| {
                    let rules = neighbours(wish.version);
                    steered(wish, rules.as_ref(), cluster)
                };
                wishes.map(steer).collect()
            }
        };
        wishes.retain(|wish| wish.n > 0);
        wishes
    }

    /// The replicas of a version that wait.
    fn replicas(
        &self,
        version: u64,
        slots: &BTreeSet<(u32, Place)>,
        neighbours: impl Fn(u64) -> Option<Neighbours>,
        cluster: &Cluster,
    ) -> Vec<Wish> {
        let Some(known) = self.versions.get(&version) else {
            return Vec::new();
        };
        let all = Wish {
            shape: known.shape_id(),
            version,
            n: count(slots.len()),
            agent: None,
            slot: None,
            steering: None,
        };
        let Some(rules) = neighbours(version) else {
            return vec![all];
        };
        let own: Vec<_> = self.own(slots).collect();
        let alone = Wish {
            n: all.n - count(own.len()),
            ..all.clone()
        };
        let own = own.into_iter().take(MAX_OWN).map(|slot| Wish {
            shape: own_shape(known.shape, slot),
            n: 1,
            slot: Some(slot),
            ..all.clone()
        });
        let wishes = std::iter::once(alone).chain(own);
        wishes.map(|wish| steered(wish, Some(&rules), cluster)).collect()
    }

    /// The slots that have a task beside what waits.
    fn own(&self, slots: &BTreeSet<(u32, Place)>) -> impl Iterator<Item = u32> {
        let has_task = |slot: &u32| self.slots.get(slot).is_some_and(Slot::has_task);
        slots.iter().map(|(slot, _)| *slot).filter(has_task)
    }

    /// Which version an offer for a shape is for.
    pub(crate) fn wanted_shapes(&self) -> Vec<(ShapeId, u64)> {
        let waiting = self.index.waiting.iter();
        match self.spec.mode {
            Mode::Replicated => waiting
                .filter_map(|(number, slots)| Some((*number, self.versions.get(number)?, slots)))
                .flat_map(|(number, version, slots)| {
                    let own = self.own(slots).take(MAX_OWN);
                    let own = own.map(|slot| own_shape(version.shape, slot));
                    let shapes = std::iter::once(version.shape_id()).chain(own);
                    shapes.map(move |shape| (shape, number))
                })
                .collect(),
            Mode::Daemon => {
                let successors = waiting.flat_map(|(number, slots)| self.successors(*number, slots));
                let wishes = self.newcomers(u32::MAX).into_iter().chain(successors);
                wishes.map(|wish| (wish.shape, wish.version)).collect()
            }
        }
    }

    /// Whether one of its versions has that shape, or slots with such shapes of their own.
    pub(crate) fn knows(&self, shape: ShapeId) -> bool {
        let number = match shape.0 & OWN {
            0 => shape.0,
            _ => (shape.0 ^ OWN) >> SLOT_BITS,
        };
        self.versions.values().any(|version| version.shape == number)
    }

    /// The versions of which something waits.
    pub(crate) fn waiting_versions(&self) -> BTreeSet<u64> {
        self.wanted_shapes()
            .into_iter()
            .map(|(_, version)| version)
            .collect()
    }

    /// A daemon on the agents that do not have it.
    fn newcomers(&self, n_agents: u32) -> Option<Wish> {
        let version = self.versions.get(&self.filled_with())?;
        let n = n_agents.saturating_sub(count(self.slots.len()));
        (n > 0 && !self.deleting).then(|| Wish {
            shape: version.shape_id(),
            version: version.number,
            n,
            agent: None,
            slot: None,
            steering: None,
        })
    }

    /// The successors of a daemon's tasks, each on the agent of its task.
    fn successors(&self, version: u64, slots: &BTreeSet<(u32, Place)>) -> impl Iterator<Item = Wish> {
        let slots = slots.iter().filter_map(|(slot, _)| self.slots.get(slot));
        slots.filter_map(move |slot| self.successor(version, slot))
    }

    fn successor(&self, version: u64, slot: &Slot) -> Option<Wish> {
        let shape = self.versions.get(&version)?.shape;
        Some(Wish {
            shape: own_shape(shape, slot.number),
            version,
            n: 1,
            agent: Some(slot.task.agent_id.clone()?),
            slot: Some(slot.number),
            steering: None,
        })
    }

    /// What an agent is for that was offered for a version. `admits` says of a slot whether the rules let it start there.
    pub(crate) fn seat(&self, version: u64, agent: &AgentId, admits: impl Fn(u32) -> bool) -> Option<Seat> {
        if self.spec.mode == Mode::Replicated {
            // To the rules, those without any task are all alike.
            let mut is_refused = false;
            let mut waiting = self.index.waiting.get(&version)?.iter();
            let (slot, place) = waiting.find(|(slot, _)| {
                let is_alone = !self.slots.get(slot).is_some_and(Slot::has_task);
                let admitted = !(is_alone && is_refused) && admits(*slot);
                is_refused |= is_alone && !admitted;
                admitted
            })?;
            return Some(Seat::There(*slot, *place));
        }
        let is_there = |slot: &&Slot| slot.task.agent_id.as_ref() == Some(agent);
        match self.slots.values().find(is_there) {
            Some(slot) => {
                let next = slot.next.as_ref()?;
                let waits = next.is_waiting() && next.version == version;
                (waits && admits(slot.number)).then_some(Seat::There(slot.number, Place::Next))
            }
            None if version == self.filled_with() && !self.deleting => {
                let free = (0..).find(|number| !self.slots.contains_key(number))?;
                admits(free).then_some(Seat::New(free))
            }
            None => None,
        }
    }

    /// Whether it is a daemon that backs off on an agent.
    pub(crate) fn pauses_on(&self, agent: &AgentId) -> bool {
        let mut backing_off = self.index.backing_off.iter();
        self.spec.mode == Mode::Daemon
            && backing_off.any(|(slot, _)| {
                let slot = self.slots.get(slot);
                slot.is_some_and(|slot| slot.task.agent_id.as_ref() == Some(agent))
            })
    }
}

/// Where a task goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    There(u32, Place),
    /// A slot that is made for it.
    New(u32),
}

impl Seat {
    pub(crate) fn slot(self) -> u32 {
        match self {
            Self::There(slot, _) | Self::New(slot) => slot,
        }
    }

    pub(crate) fn is_successor(self) -> bool {
        matches!(self, Self::There(_, Place::Next))
    }
}

impl Version {
    /// What the master is asked for; none for what cannot be asked for.
    pub(crate) fn demand(&self, wish: &Wish, mode: Mode) -> Option<Shape> {
        let ServiceTask {
            resources,
            rules,
            container,
            ..
        } = &self.task;
        let max_per_agent = match mode {
            Mode::Replicated => rules.max_per_agent,
            Mode::Daemon => Some(1).filter(|_| wish.agent.is_none()),
        };
        let steering = wish.steering.as_ref();
        let n = steering.map_or(wish.n, |steering| wish.n.min(steering.most));
        let is_one = steering.is_some_and(|steering| steering.one_per_agent);
        (n > 0 && is_amounts(resources)).then(|| Shape {
            constraints: both(&rules.constraints, steering),
            max_per_agent: if is_one { Some(1) } else { max_per_agent },
            placement: rules.placement.unwrap_or(Placement::Spread),
            n_ports: container.network.n_dynamic_ports(),
            agent: wish.agent.clone(),
            daemon: mode == Mode::Daemon,
            ..Shape::new(wish.shape, resources.clone(), n)
        })
    }
}

fn steered(wish: Wish, rules: Option<&Neighbours>, cluster: &Cluster) -> Wish {
    Wish {
        steering: rules.map(|rules| rules.steering(wish.slot, cluster)),
        ..wish
    }
}

/// The shape of what waits for itself alone.
fn own_shape(shape: u64, slot: u32) -> ShapeId {
    ShapeId(OWN | shape << SLOT_BITS | u64::from(slot))
}

/// The task's own constraints, and as much of the steering as one statement may hold.
fn both(own: &OfferConstraints, steering: Option<&Steering>) -> OfferConstraints {
    let more = steering.map_or(&[][..], |steering| &steering.constraints);
    let mut both = own.clone();
    if both.groups.is_empty() && !more.is_empty() {
        both.groups.push(Vec::new());
    }
    for group in &mut both.groups {
        let room = MAX_CONSTRAINTS.saturating_sub(group.len());
        group.extend(more.iter().take(room).cloned());
    }
    both
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
