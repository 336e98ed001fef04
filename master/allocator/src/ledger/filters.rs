//! Refuse filters: a framework does not want less than this of that agent for a while.
//!
//! A filter blocks an offer when what was refused contains what would be offered: scalars by amount, ranges
//! by count. One more unit of anything defeats it, as in Mesos.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::{AgentId, FrameworkId, Ranges, Resources, Role, Timestamp};

/// Filters kept for one framework, role and agent; with more, the one that ends first goes.
/// A larger refusal replaces smaller ones, so only a mix of shapes gets there.
const MAX_FILTERS_PER_AGENT: usize = 16;

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    pub refused: Resources,
    pub until: Timestamp,
}

impl Filter {
    fn blocks(&self, candidate: &Resources) -> bool {
        let scalars = candidate
            .scalars()
            .all(|(name, units)| self.refused.scalar(name) >= units);
        scalars
            && candidate
                .all_ranges()
                .all(|(name, ranges)| self.refused.ranges(name).map_or(0, Ranges::count) >= ranges.count())
    }
}

type Key = (Role, AgentId);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Filters {
    by_framework: BTreeMap<FrameworkId, BTreeMap<Key, Vec<Filter>>>,
    ends: BTreeSet<(Timestamp, FrameworkId, Key)>,
}

impl Filters {
    pub(super) fn blocks(
        &self,
        framework: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        candidate: &Resources,
        now: Timestamp,
    ) -> bool {
        let Some(filters) = self.by_framework.get(framework) else {
            return false;
        };
        let filters = filters.get(&(role.clone(), agent.clone()));
        filters
            .into_iter()
            .flatten()
            .any(|filter| filter.until > now && filter.blocks(candidate))
    }

    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.ends.first().map(|(until, ..)| *until)
    }

    pub(super) fn add(&mut self, framework: &FrameworkId, role: &Role, agent: &AgentId, filter: Filter) {
        let key = (role.clone(), agent.clone());
        let filters = self
            .by_framework
            .entry(framework.clone())
            .or_default()
            .entry(key)
            .or_default();
        filters.retain(|old| old.until > filter.until || !filter.blocks(&old.refused));
        filters.push(filter);
        if filters.len() > MAX_FILTERS_PER_AGENT {
            let first = filters.iter().map(|filter| filter.until).min();
            let at = filters.iter().position(|filter| Some(filter.until) == first);
            at.map(|at| filters.remove(at));
        }
        self.index_ends(framework, role, agent);
    }

    /// Drops what ended by `at` and returns the agents concerned.
    pub(super) fn expire(&mut self, at: Timestamp) -> BTreeSet<AgentId> {
        let mut agents = BTreeSet::new();
        while let Some((until, framework, (role, agent))) = self.ends.first().cloned() {
            if until > at {
                break;
            }
            if let Some(filters) = self.by_framework.get_mut(&framework) {
                let key = (role.clone(), agent.clone());
                if let Some(of_agent) = filters.get_mut(&key) {
                    of_agent.retain(|filter| filter.until > at);
                }
                filters.retain(|_, of_agent| !of_agent.is_empty());
            }
            self.by_framework.retain(|_, filters| !filters.is_empty());
            self.ends.pop_first();
            self.index_ends(&framework, &role, &agent);
            agents.insert(agent);
        }
        agents
    }

    pub(super) fn remove_framework(&mut self, framework: &FrameworkId) {
        self.by_framework.remove(framework);
        self.ends.retain(|(_, owner, _)| owner != framework);
    }

    pub(super) fn remove_roles(&mut self, framework: &FrameworkId, roles: &BTreeSet<Role>) {
        if let Some(filters) = self.by_framework.get_mut(framework) {
            filters.retain(|(role, _), _| !roles.contains(role));
        }
        self.by_framework.retain(|_, filters| !filters.is_empty());
        self.ends
            .retain(|(_, owner, (role, _))| owner != framework || !roles.contains(role));
    }

    pub(super) fn remove_agent(&mut self, agent: &AgentId) {
        for filters in self.by_framework.values_mut() {
            filters.retain(|(_, of), _| of != agent);
        }
        self.by_framework.retain(|_, filters| !filters.is_empty());
        self.ends.retain(|(_, _, (_, of))| of != agent);
    }

    /// One entry a key: the end of the filter that ends first.
    fn index_ends(&mut self, framework: &FrameworkId, role: &Role, agent: &AgentId) {
        let key = (role.clone(), agent.clone());
        let filters = self.by_framework.get(framework).and_then(|all| all.get(&key));
        for filter in filters.into_iter().flatten() {
            self.ends.insert((filter.until, framework.clone(), key.clone()));
        }
    }
}
