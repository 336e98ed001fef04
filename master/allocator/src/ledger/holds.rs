//! Holds: what ending tasks give back on some agents is kept for who has waited longest, so that the large are not
//! starved by the small (EASY backfill, Lifka 1995).
//!
//! At most one a role, and one an agent. Others may use what is held if they are over before it is wanted. Each has an
//! end, for what it waits for may never come.

use std::collections::BTreeMap;

use proffer_types::{FrameworkId, GangId, Resources, Role, Shape, ShapeId, Timestamp};

use super::{AgentIx, Change, LeafIx, Ledger};

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waiting {
    /// One task of a shape.
    Shape(ShapeId),
    /// A whole gang.
    Gang(GangId),
}

impl Waiting {
    /// Who waits when a task of a shape does.
    #[must_use]
    pub fn of(shape: &Shape) -> Self {
        shape.gang.map_or(Self::Shape(shape.id), Self::Gang)
    }
}

/// What is kept on one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// As much as is wanted there, free by now or not.
    pub resources: Resources,
    /// When all of it will be free at the latest, as far as time limits tell.
    pub free_by: Option<Timestamp>,
}

/// What is kept for one leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub waiting: Waiting,
    pub agents: BTreeMap<AgentIx, Held>,
    /// When it began.
    pub since: Timestamp,
    /// When it is over, in vain or not.
    pub until: Timestamp,
}

impl Ledger {
    /// All holds, by leaf.
    pub fn holds(&self) -> impl Iterator<Item = (LeafIx, &Hold)> {
        self.holds.iter().map(|(leaf, hold)| (*leaf, hold))
    }

    /// What is kept for a leaf.
    #[must_use]
    pub fn hold(&self, leaf: LeafIx) -> Option<&Hold> {
        self.holds.get(&leaf)
    }

    /// For whom an agent is held, and what of it.
    #[must_use]
    pub fn held_on(&self, agent: AgentIx) -> Option<(LeafIx, &Held)> {
        let leaf = self.held.get(&agent)?;
        Some((*leaf, self.holds.get(leaf)?.agents.get(&agent)?))
    }

    /// Keeps what ends on some agents for a framework in a role, in place of what was kept for it before. Agents that
    /// are held for another, or not there, are left out.
    pub fn set_hold(&mut self, framework: &FrameworkId, role: &Role, mut hold: Hold) -> Vec<Change> {
        let mut changes = self.end_hold(framework, role);
        let Some(leaf) = self.leaf_ix(framework, role) else {
            return changes;
        };
        hold.agents
            .retain(|agent, _| self.agents.get(*agent).is_some() && !self.held.contains_key(agent));
        self.held.extend(hold.agents.keys().map(|agent| (*agent, leaf)));
        self.holds.insert(leaf, hold);
        changes.push(Change::Leaf(leaf));
        changes
    }

    /// Keeps nothing more for a framework in a role.
    pub fn end_hold(&mut self, framework: &FrameworkId, role: &Role) -> Vec<Change> {
        let leaf = self.leaf_ix(framework, role);
        leaf.map(|leaf| self.drop_hold(leaf)).unwrap_or_default()
    }

    /// What was held may be offered to others: to them, the agents changed.
    pub(super) fn drop_hold(&mut self, leaf: LeafIx) -> Vec<Change> {
        let Some(hold) = self.holds.remove(&leaf) else {
            return Vec::new();
        };
        self.held.retain(|_, holder| *holder != leaf);
        hold.agents.into_keys().map(Change::Agent).collect()
    }

    /// An agent leaves: what is held elsewhere is of no use without it.
    pub(super) fn drop_holds_on(&mut self, agent: AgentIx) -> Vec<Change> {
        let holder = self.held.get(&agent).copied();
        holder.map(|leaf| self.drop_hold(leaf)).unwrap_or_default()
    }
}
