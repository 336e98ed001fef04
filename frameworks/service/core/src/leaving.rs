//! Agents that replicas leave before a maintenance window.
//!
//! `told --LEAVE_BEFORE the start--> due --rescinded--> forgotten`. While an agent is due, no replica starts there, and those
//! that run are replaced one at a time of each service. Not durable: the master asks again on every subscription.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::{AgentId, InverseOffer, Offer, OfferId, Timestamp};

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
        let told = (turn(offer.unavailability.start), offer.agent_id.clone());
        self.turns.insert(told.clone());
        self.told.insert(offer.id.clone(), told);
    }

    pub(crate) fn remove(&mut self, offer: &OfferId) {
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

    /// The agents that are to be left now.
    pub(crate) fn due(&mut self, now: Timestamp) -> &BTreeSet<AgentId> {
        while self.next().is_some_and(|at| at <= now) {
            let turn = self.turns.pop_first();
            self.due.extend(turn.map(|(_, agent)| agent));
        }
        &self.due
    }
}
