//! Agents that replicas leave: at once when they are drained, and before a maintenance window.
//!
//! `told --LEAVE_BEFORE the start, or drained--> due --rescinded--> forgotten`. While an agent is due, no replica starts
//! there, and those that run are replaced a few at a time of each service. Not durable: the master asks again on every
//! subscription.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_session::Context;
use proffer_types::{AgentId, InverseOffer, Offer, OfferId, Timestamp};

use crate::deployment::Deployment;
use crate::service::Service;
use crate::slot::{Place, Slot};
use crate::spec::Mode;

/// How long before the start of a window replicas begin to leave: time for some to be replaced one after the other, and
/// not much of the agent's use lost. What is left at the start is killed, and replaced at once.
pub const LEAVE_BEFORE: Duration = Duration::from_secs(10 * 60);
/// How long not to be offered an agent that is due, where a replica waits: other agents have their turn meanwhile, and a
/// window that is taken back is noticed soon.
pub(crate) const REFUSAL: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Leaving {
    told: BTreeMap<OfferId, (Timestamp, AgentId)>,
    /// Of those told, when they are due.
    turns: BTreeSet<(Timestamp, AgentId)>,
    due: BTreeSet<AgentId>,
    /// Of those told, by which offer: nothing of them is to stay.
    drained: BTreeMap<OfferId, AgentId>,
    /// When the window begins of those that were offered and are closing. For people only.
    closing: BTreeMap<AgentId, Timestamp>,
}

/// When replicas begin to leave before a window.
fn turn(start: Timestamp) -> Timestamp {
    let millis = u64::try_from(LEAVE_BEFORE.as_millis()).unwrap_or(u64::MAX);
    Timestamp(start.0.saturating_sub(millis))
}

/// Whether no replica may start on what is offered.
pub(crate) fn is_closing(offer: &Offer, now: Timestamp) -> bool {
    offer
        .unavailability
        .is_some_and(|window| turn(window.start) <= now)
}

impl Leaving {
    pub(crate) fn add(&mut self, offer: &InverseOffer) {
        let at = match offer.is_drained {
            true => Timestamp(0),
            false => turn(offer.unavailability.start),
        };
        if offer.is_drained {
            self.drained.insert(offer.id.clone(), offer.agent_id.clone());
        }
        let told = (at, offer.agent_id.clone());
        self.turns.insert(told.clone());
        self.told.insert(offer.id.clone(), told);
    }

    pub(crate) fn remove(&mut self, offer: &OfferId) {
        self.drained.remove(offer);
        if let Some(told) = self.told.remove(offer) {
            self.due.remove(&told.1);
            self.turns.remove(&told);
        }
    }

    /// An agent was offered. Forgets those whose window has begun: nothing is offered there.
    pub(crate) fn offered(&mut self, offer: &Offer, now: Timestamp) {
        match offer.unavailability.filter(|_| is_closing(offer, now)) {
            None => {
                self.closing.remove(&offer.agent_id);
            }
            Some(window) => {
                self.closing.retain(|_, start| now < *start);
                self.closing.insert(offer.agent_id.clone(), window.start);
            }
        }
    }

    /// How many agents were offered on which no replica starts, as a window begins there soon.
    pub(crate) fn n_closing(&self, now: Timestamp) -> usize {
        self.closing.values().filter(|start| now < **start).count()
    }

    /// Whether no replica starts on an agent, as it is to be left.
    pub(crate) fn is_left(&self, agent: &AgentId) -> bool {
        self.due.contains(agent) || self.closing.contains_key(agent)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.turns.first().map(|(at, _)| *at)
    }

    /// The agents that are being drained.
    pub(crate) fn drained(&self) -> impl Iterator<Item = &AgentId> {
        self.drained.values()
    }

    /// The agents that are to be left now.
    pub(crate) fn due(&mut self, now: Timestamp) -> &BTreeSet<AgentId> {
        while self.next().is_some_and(|at| at <= now) {
            let turn = self.turns.pop_first();
            self.due.extend(turn.map(|(_, agent)| agent));
        }
        &self.due
    }
}

impl Service {
    /// What was to move away, and is on none of the agents that are to be left any more, stays: as far as its successor was not
    /// started.
    pub(crate) fn stay(&mut self, agents: &BTreeSet<AgentId>, cx: &mut Context<'_>) {
        let may_stay = |slot: &Slot| {
            let next = slot.next.as_ref();
            let is_move = next.is_some_and(|next| !next.has_task() && next.version == slot.task.version);
            let is_left = |agent: &AgentId| agents.contains(agent);
            is_move && slot.task.is_live() && !slot.task.agent_id.as_ref().is_some_and(is_left)
        };
        let paired = self.index.paired.iter();
        let paired = paired.filter(|number| self.slots.get(number).is_some_and(may_stay));
        for number in paired.copied().collect::<Vec<_>>() {
            self.edit(number, cx, |slot| slot.settle(Some(Place::Next)));
        }
    }

    /// Where there are tasks that can run elsewhere.
    pub(crate) fn moving(&self) -> impl Iterator<Item = &AgentId> {
        let slots = self.slots.values().filter(|_| self.spec.mode != Mode::Daemon);
        let instances = slots.flat_map(Slot::instances).map(|(_, instance)| instance);
        instances
            .filter(|instance| instance.has_task())
            .filter_map(|instance| instance.agent_id.as_ref())
    }

    /// Stops what a daemon has on those agents.
    pub(crate) fn end_on(&mut self, agents: &BTreeSet<AgentId>, cx: &mut Context<'_>) {
        if self.spec.mode != Mode::Daemon {
            return;
        }
        let there = agents.iter().flat_map(|agent| self.on(agent));
        let there: Vec<_> = there.map(|(slot, place, _)| (slot, place)).collect();
        for (slot, place) in there {
            self.stop(slot, place, cx);
        }
    }

    /// Goes on with moving what runs on agents that are to be left: successors start elsewhere, a few at a time. A daemon
    /// stays: nothing else would do there what it does.
    pub(crate) fn leave(&mut self, agents: &BTreeSet<AgentId>, cx: &mut Context<'_>) {
        if self.spec.mode == Mode::Daemon {
            return;
        }
        let most = self.spec.disruption.floor(self.spec.replicas).max(1) as usize;
        let n_missing = (self.spec.replicas as usize).saturating_sub(self.index.available.len());
        while self.index.paired.len() + n_missing < most {
            let is_there = |slot: &&Slot| {
                let agent = slot.task.agent_id.as_ref();
                slot.next.is_none()
                    && slot.task.is_live()
                    && agent.is_some_and(|agent| agents.contains(agent))
            };
            let Some(slot) = self.slots.values().find(is_there) else {
                break;
            };
            let may_replace = self.deployment.as_ref().is_none_or(Deployment::may_replace);
            let version = if may_replace {
                self.version
            } else {
                slot.task.version
            };
            self.succeed(slot.number, version, cx);
        }
    }
}
