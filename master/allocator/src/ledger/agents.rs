//! The agents of the pool.

use std::collections::BTreeMap;
use std::sync::Arc;

use proffer_types::{AgentId, AgentInfo, Resources};

use super::{AgentIx, Change, Claim, ClaimIx, Filter, LeafIx, Ledger};
use crate::Quantities;

/// One agent of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentEntry {
    pub id: AgentId,
    /// What it says of itself; `info.resources` is its total.
    pub info: Arc<AgentInfo>,
    /// Only an active agent is offered.
    pub active: bool,
    /// It is not offered by an operator's word: why it is not active, or would not be.
    pub out_of_use: bool,
    /// What no claim holds. Shared volumes are always there.
    pub free: Resources,
    /// Claims hold more than there is, or hold something twice.
    pub(super) over_claimed: bool,
    pub(super) claims: Vec<ClaimIx>,
    pub(super) filters: BTreeMap<LeafIx, Vec<Filter>>,
}

impl AgentEntry {
    /// All the agent has.
    #[must_use]
    pub fn total(&self) -> &Resources {
        &self.info.resources
    }

    /// What on the agent is neither claimed nor reserved nor revocable.
    fn common(&self) -> Resources {
        self.free.plain()
    }
}

impl Ledger {
    /// One agent.
    #[must_use]
    pub fn agent(&self, agent: AgentIx) -> Option<&AgentEntry> {
        self.agents.get(agent)
    }

    /// The handle of an agent of the pool.
    #[must_use]
    pub fn agent_ix(&self, agent: &AgentId) -> Option<AgentIx> {
        self.agents_by_id.get(agent).copied()
    }

    /// The agents of the pool, by handle.
    pub fn agents(&self) -> impl Iterator<Item = (AgentIx, &AgentEntry)> {
        self.agents.iter()
    }

    /// How many agents there are.
    #[must_use]
    pub fn n_agents(&self) -> usize {
        self.agents.len()
    }

    /// The claims on an agent.
    pub fn claims_on(&self, agent: AgentIx) -> impl Iterator<Item = (ClaimIx, &Claim)> {
        let claims = self.agents.get(agent).into_iter().flat_map(|entry| &entry.claims);
        claims.map(|claim| (*claim, &self.claims[*claim]))
    }

    /// Adds an agent, or replaces what is known of it; a new one is not active. Its total is `info.resources`.
    pub fn set_agent(&mut self, agent: &AgentId, info: Arc<AgentInfo>) -> Change {
        let total = info.resources.clone();
        let ix = match self.agent_ix(agent) {
            Some(ix) => {
                self.count_agent(ix, false);
                self.agents[ix].info = info;
                ix
            }
            None => {
                let ix = self.agents.insert(AgentEntry {
                    id: agent.clone(),
                    info,
                    active: false,
                    out_of_use: false,
                    free: total,
                    over_claimed: false,
                    claims: Vec::new(),
                    filters: BTreeMap::new(),
                });
                self.agents_by_id.insert(agent.clone(), ix);
                ix
            }
        };
        self.recompute_free(ix);
        self.count_agent(ix, true);
        Change::Agent(ix)
    }

    /// Starts or stops offering an agent of the pool. Nothing happens when there is none.
    pub fn set_agent_active(&mut self, agent: &AgentId, active: bool) -> Option<Change> {
        let ix = self.agent_ix(agent)?;
        if self.agents[ix].active != active {
            self.count_free(ix, false);
            self.agents[ix].active = active;
            self.count_free(ix, true);
        }
        Some(Change::Agent(ix))
    }

    /// Notes whether an operator took an agent of the pool out of use, for explanations.
    pub fn set_agent_out_of_use(&mut self, agent: &AgentId, out_of_use: bool) {
        if let Some(ix) = self.agent_ix(agent) {
            self.agents[ix].out_of_use = out_of_use;
        }
    }

    /// Takes an agent out of the pool, with its claims and filters.
    pub fn remove_agent(&mut self, agent: &AgentId) -> Vec<Change> {
        let Some(ix) = self.agent_ix(agent) else {
            return Vec::new();
        };
        let mut changes: Vec<_> = self.agents[ix]
            .claims
            .clone()
            .into_iter()
            .filter_map(|claim| self.release(claim))
            .collect();
        for leaf in self.agents[ix].filters.keys().copied().collect::<Vec<_>>() {
            self.change_filters(leaf, ix, Vec::clear);
        }
        self.count_agent(ix, false);
        self.agents.remove(ix);
        self.agents_by_id.remove(agent);
        changes.extend(self.drop_holds_on(ix));
        changes.push(Change::Agent(ix));
        changes
    }

    /// Counts an agent in, or out of, the sums over all agents.
    fn count_agent(&mut self, ix: AgentIx, joins: bool) {
        let total = self.agents[ix].total().clone();
        if joins {
            self.total.add(&total);
        } else {
            self.total.subtract(&total);
        }
        self.count_free(ix, joins);
        if total.has_kinds() {
            self.count_reserved(&total, joins);
            let revocable = usize::from(total.kinds().any(|(kind, _)| kind.revocable));
            self.n_revocable = if joins {
                self.n_revocable + revocable
            } else {
                self.n_revocable - revocable
            };
        }
    }

    /// Counts what an agent has free in, or out of, what is free in the cluster.
    pub(super) fn count_free(&mut self, ix: AgentIx, joins: bool) {
        let entry = &self.agents[ix];
        if !entry.active {
            return;
        }
        if joins {
            self.free.add(&entry.common());
        } else {
            self.free.subtract(&entry.common());
        }
    }

    /// What active agents have free that is neither reserved nor revocable.
    #[must_use]
    pub fn free(&self) -> &Quantities {
        &self.free
    }

    /// From the claims, one by one: right whatever an agent claims of itself.
    pub(super) fn recompute_free(&mut self, ix: AgentIx) {
        let (free, over_claimed) = self.free_of(&self.agents[ix]);
        let entry = &mut self.agents[ix];
        entry.free = free;
        entry.over_claimed = over_claimed;
    }

    pub(super) fn free_of(&self, entry: &AgentEntry) -> (Resources, bool) {
        let (mut free, mut over_claimed) = (entry.total().clone(), false);
        for claim in &entry.claims {
            let held = &self.claims[*claim].resources;
            over_claimed |= !free.contains(held);
            free.subtract(held);
        }
        (free, over_claimed)
    }
}
