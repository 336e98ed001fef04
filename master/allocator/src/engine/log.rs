//! The agents with something free, by when they last changed.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::ledger::{AgentIx, Handle as _, Ledger};

#[derive(Debug, Default)]
pub(super) struct Log {
    entries: BTreeMap<u64, AgentIx>,
    /// By agent: where it stands; 0 is nowhere.
    at: Vec<u64>,
    /// Of the latest change.
    latest: u64,
    /// Everything up to here was looked at by everybody.
    settled: u64,
}

impl Log {
    /// An agent changed: it goes to the end of the log, or out of it.
    pub(super) fn follow(&mut self, ledger: &Ledger, agent: AgentIx) {
        self.remove(agent);
        if is_open(ledger, agent) {
            self.latest += 1;
            self.entries.insert(self.latest, agent);
            if self.at.len() <= agent.at() {
                self.at.resize(agent.at() + 1, 0);
            }
            self.at[agent.at()] = self.latest;
        }
    }

    /// Something of an agent was claimed: it stays where it is, or goes out.
    pub(super) fn shrink(&mut self, ledger: &Ledger, agent: AgentIx) {
        if !is_open(ledger, agent) {
            self.remove(agent);
        }
    }

    fn remove(&mut self, agent: AgentIx) {
        if let Some(at) = self.at.get_mut(agent.at()).filter(|at| **at > 0) {
            self.entries.remove(at);
            *at = 0;
        }
    }

    /// The agents that changed after a point, the earliest first.
    pub(super) fn after(&self, cursor: u64) -> impl Iterator<Item = (u64, AgentIx)> + '_ {
        let later = self.entries.range((Bound::Excluded(cursor), Bound::Unbounded));
        later.map(|(at, agent)| (*at, *agent))
    }

    pub(super) fn contains(&self, agent: AgentIx) -> bool {
        self.position(agent).is_some()
    }

    /// Where an agent stands that has something free.
    pub(super) fn position(&self, agent: AgentIx) -> Option<u64> {
        self.at.get(agent.at()).copied().filter(|at| *at > 0)
    }

    /// The point after which nothing changed yet.
    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether everybody looked at everything.
    pub(super) fn is_settled(&self) -> bool {
        self.entries
            .last_key_value()
            .is_none_or(|(at, _)| *at <= self.settled)
    }

    pub(super) fn settle(&mut self) {
        self.settled = self.latest;
    }

    pub(super) fn unsettle(&mut self) {
        self.settled = 0;
    }

    pub(super) fn check(&self, ledger: &Ledger) {
        for (at, agent) in &self.entries {
            assert_eq!(
                self.at[agent.at()],
                *at,
                "where agent {agent:?} stands in the log"
            );
        }
        for (agent, entry) in ledger.agents() {
            let open = is_open(ledger, agent);
            assert_eq!(
                self.contains(agent),
                open,
                "whether {} has something to offer",
                entry.id
            );
        }
        let standing = self.at.iter().filter(|at| **at > 0).count();
        assert_eq!(
            standing,
            self.entries.len(),
            "no agent stands in the log that is gone"
        );
    }
}

/// Whether an agent has anything to offer to anybody.
fn is_open(ledger: &Ledger, agent: AgentIx) -> bool {
    ledger
        .agent(agent)
        .is_some_and(|agent| agent.active && !agent.free.is_empty())
}
