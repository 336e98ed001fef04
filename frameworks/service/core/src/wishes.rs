//! What a service wants of the master, and which of its slots an agent is for.
//!
//! Replicas of one version are alike, so one shape stands for all of them that wait. A daemon wants one task on every agent
//! that matches: one shape for the agents without it, and one of its own for each successor, that names the only agent that will
//! do. All tasks of a daemon count for the first, so that no agent is offered for a second one.

use proffer_types::{AgentId, Placement, Shape, ShapeId};

use crate::service::Service;
use crate::slot::{Place, Slot};
use crate::spec::{Mode, ServiceTask, is_amounts};
use crate::version::Version;

/// Shapes of successors of daemons: more than there are versions.
const SUCCESSORS: u64 = 1 << 63;
/// How many bits of such a shape are the slot.
const SLOT_BITS: u32 = 20;

/// Tasks of one version that wait for an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) shape: ShapeId,
    pub(crate) version: u64,
    pub(crate) n: u32,
    /// The only agent that will do.
    pub(crate) agent: Option<AgentId>,
}

impl Service {
    /// What it wants, of so many agents that there are.
    pub(crate) fn wishes(&self, n_agents: u32) -> Vec<Wish> {
        let waiting = self.index.waiting.iter();
        match self.spec.mode {
            Mode::Replicated => waiting
                .filter_map(|(number, slots)| {
                    Some(Wish {
                        shape: self.versions.get(number)?.shape_id(),
                        version: *number,
                        n: count(slots.len()),
                        agent: None,
                    })
                })
                .collect(),
            Mode::Daemon => {
                let successors = waiting.flat_map(|(number, slots)| {
                    let slots = slots.iter().filter_map(|(slot, _)| self.slots.get(slot));
                    slots.filter_map(|slot| self.successor(*number, slot))
                });
                self.newcomers(n_agents).into_iter().chain(successors).collect()
            }
        }
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
        })
    }

    fn successor(&self, version: u64, slot: &Slot) -> Option<Wish> {
        let shape = self.versions.get(&version)?.shape;
        Some(Wish {
            shape: ShapeId(SUCCESSORS | shape << SLOT_BITS | u64::from(slot.number)),
            version,
            n: 1,
            agent: Some(slot.task.agent_id.clone()?),
        })
    }

    /// What an agent is for that was offered for a version.
    pub(crate) fn seat(&self, version: u64, agent: &AgentId) -> Option<Seat> {
        if self.spec.mode == Mode::Replicated {
            let (slot, place) = self.index.waiting.get(&version)?.first().copied()?;
            return Some(Seat::There(slot, place));
        }
        let is_there = |slot: &&Slot| slot.task.agent_id.as_ref() == Some(agent);
        match self.slots.values().find(is_there) {
            Some(slot) => {
                let next = slot.next.as_ref()?;
                let waits = next.is_waiting() && next.version == version;
                waits.then_some(Seat::There(slot.number, Place::Next))
            }
            None if version == self.filled_with() && !self.deleting => {
                let free = (0..).find(|number| !self.slots.contains_key(number))?;
                Some(Seat::New(free))
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
        (wish.n > 0 && is_amounts(resources)).then(|| Shape {
            constraints: rules.constraints.clone(),
            max_per_agent,
            placement: rules.placement.unwrap_or(Placement::Spread),
            n_ports: container.network.n_dynamic_ports(),
            agent: wish.agent.clone(),
            ..Shape::new(wish.shape, resources.clone(), wish.n)
        })
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
