//! The ledger: the truth about who has what. Owned by the master, lent to allocators.
//!
//! Invariant: every sum equals the sum of the claims. An agent's free resources are its total without its
//! claims, never negative: an agent that came back smaller is over-claimed and simply has nothing free.

mod check;
mod filters;

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::{AgentId, FrameworkId, OfferId, Resources, Role, TaskId, Timestamp};

use crate::{Quantities, Share, Usage};
pub use filters::Filter;
use filters::Filters;

/// The weight of a role that was given none, in thousandths.
pub const DEFAULT_WEIGHT_MILLIS: u64 = 1000;

/// What holds a claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimId {
    Offer(OfferId),
    Task(FrameworkId, TaskId),
}

/// Resources of one agent that are offered to, or used by, one framework in one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub agent_id: AgentId,
    pub framework_id: FrameworkId,
    pub role: Role,
    pub resources: Resources,
}

/// One agent in the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentEntry {
    pub total: Resources,
    /// Only an active agent is offered.
    pub active: bool,
    /// What no claim holds.
    pub free: Resources,
    claimed: Quantities,
    claims: BTreeSet<ClaimId>,
}

/// One framework that may be offered something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameworkEntry {
    /// Order of first registration.
    pub order: u64,
    /// Only an active framework is offered anything.
    pub active: bool,
    pub roles: BTreeSet<Role>,
    pub suppressed: BTreeSet<Role>,
}

impl FrameworkEntry {
    /// The roles in which the framework wants offers now.
    pub fn wanting(&self) -> impl Iterator<Item = &Role> {
        self.roles
            .iter()
            .filter(|role| self.active && !self.suppressed.contains(*role))
    }
}

/// What changed in the ledger: a hint for an allocator's own indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An agent joined, came back, left for a while, or has another total.
    Agent(AgentId),
    AgentRemoved(AgentId),
    /// A framework joined, left for a while, or wants other roles, or its filters were dropped.
    Framework(FrameworkId),
    FrameworkRemoved(FrameworkId),
    Weight(Role),
    Claimed(AgentId),
    Released(AgentId),
    /// A filter on this agent expired.
    FilterExpired(AgentId),
}

/// Totals, claims, frameworks, roles and filters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    agents: BTreeMap<AgentId, AgentEntry>,
    total: Quantities,
    frameworks: BTreeMap<FrameworkId, FrameworkEntry>,
    weights: BTreeMap<Role, u64>,
    claims: BTreeMap<ClaimId, Claim>,
    subtrees: BTreeMap<Role, Usage>,
    roles: BTreeMap<Role, Usage>,
    leaves: BTreeMap<(Role, FrameworkId), Usage>,
    filters: Filters,
}

/// A role and all those above it.
fn lineage(role: &Role) -> impl Iterator<Item = Role> {
    std::iter::successors(Some(role.clone()), Role::parent)
}

/// What is free is recomputed whole: exact whatever an agent claims of itself.
fn free_of(agent: &AgentEntry, claims: &BTreeMap<ClaimId, Claim>) -> Resources {
    let mut free = agent
        .total
        .scalars()
        .fold(Resources::new(), |free, (name, units)| {
            let claimed = u64::try_from(agent.claimed.get(name)).unwrap_or(u64::MAX);
            free.with(name.clone(), units.saturating_sub(claimed))
        });
    for (name, ranges) in agent.total.all_ranges() {
        let mut left = ranges.clone();
        for claim in agent.claims.iter().filter_map(|id| claims.get(id)) {
            if let Some(taken) = claim.resources.ranges(name) {
                left.subtract(taken);
            }
        }
        free = free.with_ranges(name.clone(), left);
    }
    free
}

impl Ledger {
    /// One agent of the pool.
    #[must_use]
    pub fn agent(&self, agent: &AgentId) -> Option<&AgentEntry> {
        self.agents.get(agent)
    }

    /// The agents of the pool, by id.
    pub fn agents(&self) -> impl Iterator<Item = (&AgentId, &AgentEntry)> {
        self.agents.iter()
    }

    /// One framework.
    #[must_use]
    pub fn framework(&self, framework: &FrameworkId) -> Option<&FrameworkEntry> {
        self.frameworks.get(framework)
    }

    /// The frameworks, by id.
    pub fn frameworks(&self) -> impl Iterator<Item = (&FrameworkId, &FrameworkEntry)> {
        self.frameworks.iter()
    }

    /// The scalars of the whole pool.
    #[must_use]
    pub fn total(&self) -> &Quantities {
        &self.total
    }

    /// The claims, by what holds them.
    pub fn claims(&self) -> impl Iterator<Item = (&ClaimId, &Claim)> {
        self.claims.iter()
    }

    /// Whether there is a claim of that id.
    #[must_use]
    pub fn has_claim(&self, id: &ClaimId) -> bool {
        self.claims.contains_key(id)
    }

    /// The weight of a role among its siblings, in thousandths.
    #[must_use]
    pub fn weight_millis(&self, role: &Role) -> u64 {
        self.weights.get(role).copied().unwrap_or(DEFAULT_WEIGHT_MILLIS)
    }

    /// The roles that have a weight, a framework or a claim in or below them.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        let weighted = self
            .weights
            .keys()
            .filter(|role| !self.subtrees.contains_key(*role));
        self.subtrees.keys().chain(weighted)
    }

    /// How many roles have a weight other than the default.
    #[must_use]
    pub fn n_weights(&self) -> usize {
        self.weights.len()
    }

    /// What a role and those below it have.
    #[must_use]
    pub fn subtree(&self, role: &Role) -> Option<&Usage> {
        self.subtrees.get(role)
    }

    /// What the frameworks of this very role have.
    #[must_use]
    pub fn role(&self, role: &Role) -> Option<&Usage> {
        self.roles.get(role)
    }

    /// What one framework has in one role.
    #[must_use]
    pub fn leaf(&self, role: &Role, framework: &FrameworkId) -> Option<&Usage> {
        self.leaves.get(&(role.clone(), framework.clone()))
    }

    /// A framework's largest dominant share in any of its roles, over the role's weight.
    #[must_use]
    pub fn share(&self, framework: &FrameworkId) -> Share {
        let roles = self.frameworks.get(framework).map(|entry| &entry.roles);
        let share = |role: &Role| {
            let usage = self.leaf(role, framework)?;
            Some(usage.share(&self.total, self.weight_millis(role)))
        };
        roles
            .into_iter()
            .flatten()
            .filter_map(share)
            .max()
            .unwrap_or(Share::ZERO)
    }

    /// Whether a filter keeps these resources of this agent from the framework.
    #[must_use]
    pub fn is_filtered(
        &self,
        framework: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        candidate: &Resources,
        now: Timestamp,
    ) -> bool {
        self.filters.blocks(framework, role, agent, candidate, now)
    }

    /// When the next filter expires.
    #[must_use]
    pub fn next_filter_expiry(&self) -> Option<Timestamp> {
        self.filters.next_expiry()
    }

    /// Adds an agent or replaces its total; a new one is not active.
    pub fn set_agent(&mut self, agent: &AgentId, total: &Resources) -> Change {
        let entry = self.agents.entry(agent.clone()).or_insert_with(|| AgentEntry {
            total: Resources::new(),
            active: false,
            free: Resources::new(),
            claimed: Quantities::default(),
            claims: BTreeSet::new(),
        });
        self.total.subtract(&entry.total);
        self.total.add(total);
        entry.total = total.clone();
        entry.free = free_of(entry, &self.claims);
        Change::Agent(agent.clone())
    }

    /// Starts or stops offering an agent of the pool.
    pub fn set_agent_active(&mut self, agent: &AgentId, active: bool) -> Change {
        if let Some(entry) = self.agents.get_mut(agent) {
            entry.active = active;
        }
        Change::Agent(agent.clone())
    }

    /// Takes an agent out of the pool, with its claims and filters.
    pub fn remove_agent(&mut self, agent: &AgentId) -> Change {
        let claims = self.agents.get(agent).map(|entry| entry.claims.clone());
        for claim in claims.iter().flatten() {
            self.release(claim);
        }
        if let Some(entry) = self.agents.remove(agent) {
            self.total.subtract(&entry.total);
        }
        self.filters.remove_agent(agent);
        Change::AgentRemoved(agent.clone())
    }

    /// Adds a framework or replaces what is known of it.
    pub fn set_framework(&mut self, framework: &FrameworkId, entry: FrameworkEntry) -> Change {
        for role in &entry.roles {
            self.count_framework(role, framework, true);
        }
        if let Some(old) = self.frameworks.insert(framework.clone(), entry) {
            for role in &old.roles {
                self.count_framework(role, framework, false);
            }
        }
        Change::Framework(framework.clone())
    }

    /// Starts or stops offering to a framework. Stopping drops its filters.
    pub fn set_framework_active(&mut self, framework: &FrameworkId, active: bool) -> Change {
        if let Some(entry) = self.frameworks.get_mut(framework) {
            entry.active = active;
        }
        if !active {
            self.filters.remove_framework(framework);
        }
        Change::Framework(framework.clone())
    }

    /// Adds roles in which a framework wants no offers.
    pub fn suppress(&mut self, framework: &FrameworkId, roles: &BTreeSet<Role>) -> Change {
        if let Some(entry) = self.frameworks.get_mut(framework) {
            entry.suppressed.extend(roles.iter().cloned());
        }
        Change::Framework(framework.clone())
    }

    /// Ends suppression and filters of a framework in these roles.
    pub fn revive(&mut self, framework: &FrameworkId, roles: &BTreeSet<Role>) -> Change {
        if let Some(entry) = self.frameworks.get_mut(framework) {
            entry.suppressed.retain(|role| !roles.contains(role));
        }
        self.filters.remove_roles(framework, roles);
        Change::Framework(framework.clone())
    }

    /// Forgets a framework and its filters. Its claims stay until they are released.
    pub fn remove_framework(&mut self, framework: &FrameworkId) -> Change {
        if let Some(old) = self.frameworks.remove(framework) {
            for role in &old.roles {
                self.count_framework(role, framework, false);
            }
        }
        self.filters.remove_framework(framework);
        Change::FrameworkRemoved(framework.clone())
    }

    /// Sets a role's weight, in thousandths.
    pub fn set_weight(&mut self, role: &Role, weight_millis: u64) -> Change {
        if weight_millis == DEFAULT_WEIGHT_MILLIS {
            self.weights.remove(role);
        } else {
            self.weights.insert(role.clone(), weight_millis);
        }
        Change::Weight(role.clone())
    }

    /// Remembers what a framework refused.
    pub fn add_filter(&mut self, framework: &FrameworkId, role: &Role, agent: &AgentId, filter: Filter) {
        self.filters.add(framework, role, agent, filter);
    }

    /// Drops the filters that ended by `at`.
    pub fn expire_filters(&mut self, at: Timestamp) -> Vec<Change> {
        let agents = self.filters.expire(at);
        agents.into_iter().map(Change::FilterExpired).collect()
    }

    /// Records a claim on an agent of the pool. The caller sees to it that it fits, where it must.
    pub fn claim(&mut self, id: ClaimId, claim: Claim) -> Change {
        self.release(&id);
        let is_offer = matches!(id, ClaimId::Offer(_));
        let change = Change::Claimed(claim.agent_id.clone());
        let Some(agent) = self.agents.get_mut(&claim.agent_id) else {
            return change;
        };
        agent.claimed.add(&claim.resources);
        agent.claims.insert(id.clone());
        self.for_usages(&claim.role, &claim.framework_id, |usage| {
            usage.claimed.add(&claim.resources);
            usage.n_claims += 1;
            usage.n_offers += u64::from(is_offer);
        });
        let agent_id = claim.agent_id.clone();
        self.claims.insert(id, claim);
        self.refresh_free(&agent_id);
        change
    }

    /// Gives a claim back. Nothing happens when there is none of that id.
    pub fn release(&mut self, id: &ClaimId) -> Option<Change> {
        let claim = self.claims.remove(id)?;
        if let Some(agent) = self.agents.get_mut(&claim.agent_id) {
            agent.claimed.subtract(&claim.resources);
            agent.claims.remove(id);
        }
        self.for_usages(&claim.role, &claim.framework_id, |usage| {
            usage.claimed.subtract(&claim.resources);
            usage.n_claims -= 1;
        });
        self.prune(&claim.role, &claim.framework_id);
        self.refresh_free(&claim.agent_id);
        Some(Change::Released(claim.agent_id))
    }

    fn refresh_free(&mut self, agent: &AgentId) {
        if let Some(entry) = self.agents.get_mut(agent) {
            entry.free = free_of(entry, &self.claims);
        }
    }

    fn for_usages(&mut self, role: &Role, framework: &FrameworkId, mut change: impl FnMut(&mut Usage)) {
        for role in lineage(role) {
            change(self.subtrees.entry(role).or_default());
        }
        change(self.roles.entry(role.clone()).or_default());
        change(self.leaves.entry((role.clone(), framework.clone())).or_default());
    }

    fn count_framework(&mut self, role: &Role, framework: &FrameworkId, joins: bool) {
        self.for_usages(role, framework, |usage| {
            if joins {
                usage.n_frameworks += 1;
            } else {
                usage.n_frameworks -= 1;
            }
        });
        self.prune(role, framework);
    }

    /// Drops the sums of roles that nobody is in and nothing is claimed by.
    fn prune(&mut self, role: &Role, framework: &FrameworkId) {
        let idle = |usage: Option<&Usage>| usage.is_some_and(|u| u.n_claims == 0 && u.n_frameworks == 0);
        let leaf = (role.clone(), framework.clone());
        if idle(self.leaves.get(&leaf)) {
            self.leaves.remove(&leaf);
        }
        if idle(self.roles.get(role)) {
            self.roles.remove(role);
        }
        for role in lineage(role) {
            if idle(self.subtrees.get(&role)) {
                self.subtrees.remove(&role);
            }
        }
    }
}
