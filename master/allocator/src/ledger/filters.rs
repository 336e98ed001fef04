//! Refuse filters: a framework does not want less than this of that agent for a while.
//!
//! A framework may say what would do. Otherwise a filter blocks an offer that has little beyond what was refused: no more
//! than a crumb of any scalar. In Mesos the first unit given back on a busy agent gets past every filter there.

use proffer_types::{FrameworkId, ResourceName, Resources, Role, Timestamp};

use super::offerable::{MIN_CPU_MILLIS, MIN_MEM_BYTES};
use super::{AgentIx, Change, LeafIx, Ledger};

/// Filters kept for one framework, role and agent; with more, the one that ends first goes.
/// A larger refusal replaces smaller ones, so only a mix of shapes gets there.
const MAX_FILTERS_PER_AGENT: usize = 16;

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    pub refused: Resources,
    /// Where the framework says what would do.
    pub at_least: Option<Resources>,
    pub until: Timestamp,
}

impl Filter {
    /// Whether the candidate is less than would do, or has no more than a crumb beyond what was refused.
    #[must_use]
    pub fn blocks(&self, candidate: &Resources) -> bool {
        if let Some(at_least) = &self.at_least {
            let mut scalars = at_least.scalars();
            return scalars.any(|(name, units)| candidate.scalar(name) < units);
        }
        candidate.scalars().all(|(name, units)| {
            let beyond = units.saturating_sub(self.refused.scalar(name));
            beyond == 0 || beyond < crumb(name)
        })
    }
}

/// Of a scalar, what is worth an offer by itself.
fn crumb(name: &ResourceName) -> u64 {
    match name {
        ResourceName::Cpus => MIN_CPU_MILLIS,
        ResourceName::Mem | ResourceName::Disk => MIN_MEM_BYTES,
        ResourceName::NetMbps | ResourceName::Ports | ResourceName::Custom(_) => 1,
    }
}

impl Ledger {
    /// Until when a filter keeps these resources of this agent from the leaf.
    #[must_use]
    pub fn filtered_until(
        &self,
        leaf: LeafIx,
        agent: AgentIx,
        candidate: &Resources,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let filters = self.agents.get(agent)?.filters.get(&leaf)?;
        let blocking = filters
            .iter()
            .filter(|filter| filter.until > now && filter.blocks(candidate));
        blocking.map(|filter| filter.until).max()
    }

    /// How many filters there are; those of one leaf on one agent that end together count once.
    #[must_use]
    pub fn n_filters(&self) -> usize {
        self.filter_ends.len()
    }

    /// When the next filter expires.
    #[must_use]
    pub fn next_filter_expiry(&self) -> Option<Timestamp> {
        self.filter_ends.first().map(|(until, ..)| *until)
    }

    /// Remembers what a framework refused. Nothing happens when agent or framework is gone.
    pub fn add_filter(&mut self, framework: &FrameworkId, role: &Role, agent: AgentIx, filter: Filter) {
        let Some(leaf) = self.leaf_ix(framework, role) else {
            return;
        };
        if self.agents.get(agent).is_none() || !self.leaves[leaf].subscribed {
            return;
        }
        self.change_filters(leaf, agent, |filters| {
            filters.retain(|old| {
                let replaced = old.at_least == filter.at_least && filter.blocks(&old.refused);
                old.until > filter.until || !replaced
            });
            filters.push(filter);
            if filters.len() > MAX_FILTERS_PER_AGENT {
                let first = filters.iter().map(|filter| filter.until).min();
                let at = filters.iter().position(|filter| Some(filter.until) == first);
                at.map(|at| filters.remove(at));
            }
        });
    }

    /// Drops the filters that ended by `at`.
    pub fn expire_filters(&mut self, at: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some((until, agent, leaf)) = self.filter_ends.first().copied()
            && until <= at
        {
            self.change_filters(leaf, agent, |filters| filters.retain(|filter| filter.until > at));
            changes.push(Change::FilterExpired(agent, leaf));
        }
        changes
    }

    pub(super) fn drop_filters(&mut self, leaf: LeafIx) {
        for agent in self.leaves[leaf].filtered.clone() {
            self.change_filters(leaf, agent, Vec::clear);
        }
    }

    /// Changes the filters of one leaf on one agent, keeps the indexes in step and leaves nothing empty behind.
    pub(super) fn change_filters(
        &mut self,
        leaf: LeafIx,
        agent: AgentIx,
        change: impl FnOnce(&mut Vec<Filter>),
    ) {
        let all = &mut self.agents[agent].filters;
        let filters = all.entry(leaf).or_default();
        for filter in filters.iter() {
            self.filter_ends.remove(&(filter.until, agent, leaf));
        }
        change(filters);
        self.filter_ends
            .extend(filters.iter().map(|filter| (filter.until, agent, leaf)));
        let filtered = &mut self.leaves[leaf].filtered;
        if filters.is_empty() {
            all.remove(&leaf);
            filtered.remove(&agent);
        } else {
            filtered.insert(agent);
        }
    }
}
