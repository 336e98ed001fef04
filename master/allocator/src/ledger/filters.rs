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

/// When a filter ends, and whose it is.
type End = (Timestamp, FrameworkId, AgentId, Role);

/// The filters of one framework.
type OfFramework = BTreeMap<AgentId, BTreeMap<Role, Vec<Filter>>>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Filters {
    by_framework: BTreeMap<FrameworkId, OfFramework>,
    /// Exactly the ends of all filters.
    ends: BTreeSet<End>,
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
        let filters = self.by_framework.get(framework);
        let filters = filters.and_then(|agents| agents.get(agent)?.get(role));
        filters
            .into_iter()
            .flatten()
            .any(|filter| filter.until > now && filter.blocks(candidate))
    }

    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.ends.first().map(|(until, ..)| *until)
    }

    pub(super) fn add(&mut self, framework: &FrameworkId, role: &Role, agent: &AgentId, filter: Filter) {
        self.change(framework, agent, role, |filters| {
            filters.retain(|old| old.until > filter.until || !filter.blocks(&old.refused));
            filters.push(filter);
            if filters.len() > MAX_FILTERS_PER_AGENT {
                let first = filters.iter().map(|filter| filter.until).min();
                let at = filters.iter().position(|filter| Some(filter.until) == first);
                at.map(|at| filters.remove(at));
            }
        });
    }

    /// Drops what ended by `at` and returns the agents concerned.
    pub(super) fn expire(&mut self, at: Timestamp) -> BTreeSet<AgentId> {
        let mut agents = BTreeSet::new();
        while let Some((until, framework, agent, role)) = self.ends.first().cloned() {
            if until > at {
                break;
            }
            self.change(&framework, &agent, &role, |filters| {
                filters.retain(|filter| filter.until > at);
            });
            agents.insert(agent);
        }
        agents
    }

    pub(super) fn remove_framework(&mut self, framework: &FrameworkId) {
        for (agent, role) in self.keys_of(framework) {
            self.change(framework, &agent, &role, Vec::clear);
        }
    }

    pub(super) fn remove_roles(&mut self, framework: &FrameworkId, roles: &BTreeSet<Role>) {
        for (agent, role) in self.keys_of(framework) {
            if roles.contains(&role) {
                self.change(framework, &agent, &role, Vec::clear);
            }
        }
    }

    pub(super) fn remove_agent(&mut self, agent: &AgentId) {
        let of_agent = self.by_framework.iter().filter_map(|(framework, agents)| {
            let roles = agents.get(agent)?.keys().cloned().collect::<Vec<_>>();
            Some((framework.clone(), roles))
        });
        for (framework, roles) in of_agent.collect::<Vec<_>>() {
            for role in roles {
                self.change(&framework, agent, &role, Vec::clear);
            }
        }
    }

    fn keys_of(&self, framework: &FrameworkId) -> Vec<(AgentId, Role)> {
        let agents = self.by_framework.get(framework).into_iter().flatten();
        agents
            .flat_map(|(agent, roles)| roles.keys().map(|role| (agent.clone(), role.clone())))
            .collect()
    }

    /// Changes the filters of one key, keeps the index of ends in step and leaves nothing empty behind.
    fn change(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        role: &Role,
        change: impl FnOnce(&mut Vec<Filter>),
    ) {
        let end = |filter: &Filter| (filter.until, framework.clone(), agent.clone(), role.clone());
        let agents = self.by_framework.entry(framework.clone()).or_default();
        let roles = agents.entry(agent.clone()).or_default();
        let filters = roles.entry(role.clone()).or_default();
        for filter in filters.iter() {
            self.ends.remove(&end(filter));
        }
        change(filters);
        self.ends.extend(filters.iter().map(end));
        if filters.is_empty() {
            roles.remove(role);
        }
        if roles.is_empty() {
            agents.remove(agent);
        }
        if agents.is_empty() {
            self.by_framework.remove(framework);
        }
    }
}
