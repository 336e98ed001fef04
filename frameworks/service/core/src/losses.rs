//! Agents that are away, and when their replicas are given up.
//!
//! A replica on an agent that is cut off or dead is started elsewhere once nothing was heard of the agent for the service's
//! own time; the old one is killed when its agent comes back. So that a broken network does not double everything, no
//! more than some agents are given up in a minute; the rest waits for its turn, or for the agents.
//!
//! `away --time--> due --turn--> given up`, and `--back--> forgotten` from everywhere. Not durable: the master tells who is
//! away on every subscription.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proffer_types::{AgentId, Timestamp};

/// Agents given up in a minute in small clusters: more hosts than die in one unless they have something in common.
pub const AGENTS_A_MINUTE: usize = 5;
/// In large ones, one of so many.
pub const ONE_AGENT_OF: u32 = 50;
/// What the turns are counted in.
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Losses {
    away: BTreeMap<AgentId, Away>,
    /// When a service gives up what it has on an agent.
    due: BTreeSet<(Timestamp, AgentId, String)>,
    /// When agents were given up, oldest first, as far as it counts.
    given_up: VecDeque<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Away {
    since: Timestamp,
    /// Whether it had its turn; it counts for all services.
    is_given_up: bool,
}

impl Losses {
    /// An agent is away; tells since when.
    pub(crate) fn add(&mut self, agent: &AgentId, since: Timestamp) -> Timestamp {
        let away = self.away.entry(agent.clone()).or_insert(Away {
            since,
            is_given_up: false,
        });
        away.since = away.since.min(since);
        away.since
    }

    /// A service gives up what it has on an agent, at that time at the earliest.
    pub(crate) fn expect(&mut self, at: Timestamp, agent: &AgentId, service: &str) {
        self.due.insert((at, agent.clone(), service.to_owned()));
    }

    /// The agent is back, or its tasks are told of one by one.
    pub(crate) fn remove(&mut self, agent: &AgentId) {
        self.away.remove(agent);
        self.due.retain(|(_, of, _)| of != agent);
    }

    /// Nothing is known of agents any more.
    pub(crate) fn clear(&mut self) {
        self.away.clear();
        self.due.clear();
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _, _)| *at)
    }

    /// The next service to give up what it has on an agent. Who is due without a turn waits for the next one.
    pub(crate) fn take(&mut self, now: Timestamp, n_agents: u32) -> Option<(AgentId, String)> {
        while self.next().is_some_and(|at| at <= now) {
            let (_, agent, service) = self.due.pop_first()?;
            match self.turn(&agent, now, n_agents) {
                Ok(()) => return Some((agent, service)),
                Err(next) => self.expect(next, &agent, &service),
            }
        }
        None
    }

    /// Gives an agent up, or says when that can be tried again.
    fn turn(&mut self, agent: &AgentId, now: Timestamp, n_agents: u32) -> Result<(), Timestamp> {
        while self.given_up.front().is_some_and(|at| now.since(*at) >= MINUTE) {
            self.given_up.pop_front();
        }
        let Some(away) = self.away.get_mut(agent).filter(|away| !away.is_given_up) else {
            return Ok(());
        };
        let share = usize::try_from(n_agents / ONE_AGENT_OF).unwrap_or(usize::MAX);
        if let Some(oldest) = self.given_up.front()
            && self.given_up.len() >= share.max(AGENTS_A_MINUTE)
        {
            return Err(oldest.after(MINUTE));
        }
        away.is_given_up = true;
        self.given_up.push_back(now);
        Ok(())
    }

    /// Agents whose time is over, and that wait for their turn.
    pub(crate) fn n_waiting(
        &self,
        service: &str,
        since: impl Fn(Timestamp) -> Timestamp,
        now: Timestamp,
    ) -> usize {
        let late = |agent: &AgentId| self.away.get(agent).is_some_and(|away| since(away.since) <= now);
        let waiting = self
            .due
            .iter()
            .filter(|(_, agent, of)| of == service && late(agent));
        waiting.count()
    }
}
