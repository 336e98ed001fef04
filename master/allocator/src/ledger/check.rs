//! Whether the ledger is in order; for tests and the simulator.

use std::collections::{BTreeMap, BTreeSet};

use super::{AgentIx, ClaimIx, ClaimKind, LeafIx, Ledger, RoleIx};
use crate::Quantities;

impl Ledger {
    /// Checks every invariant. Panics with what is broken; for tests and the simulator.
    pub fn check(&self) {
        self.check_agents();
        self.check_sums();
        self.check_filters();
        for (name, ix) in &self.roles_by_name {
            assert_eq!(
                self.roles[*ix].name.as_ref(),
                Some(name),
                "the handle of role {name}"
            );
        }
        for (framework, leaves) in &self.leaves_by_id {
            for (role, ix) in leaves {
                let leaf = &self.leaves[*ix];
                assert_eq!(&leaf.framework, framework, "the handle of {framework} in {role}");
                assert_eq!(
                    self.roles[leaf.role].name.as_ref(),
                    Some(role),
                    "the role of {framework}"
                );
            }
        }
    }

    fn check_agents(&self) {
        let (mut total, mut free) = (Quantities::default(), Quantities::default());
        let mut on: BTreeMap<AgentIx, BTreeSet<ClaimIx>> = BTreeMap::new();
        for (ix, claim) in self.claims.iter() {
            on.entry(claim.agent).or_default().insert(ix);
        }
        for (ix, agent) in self.agents.iter() {
            let id = &agent.id;
            total.add(agent.total());
            if agent.active {
                free.add(&agent.free.plain());
            }
            let claims: BTreeSet<_> = agent.claims.iter().copied().collect();
            assert_eq!(
                claims,
                on.remove(&ix).unwrap_or_default(),
                "the index of claims on {id}"
            );
            let (own_free, over_claimed) = self.free_of(agent);
            assert_eq!(agent.free, own_free, "what agent {id} has free");
            assert!(agent.over_claimed || !over_claimed, "agent {id} is over-claimed");
            // Tasks may exceed an agent that came back smaller; offers fit into what they leave.
            let kinds = [ClaimKind::Task, ClaimKind::Offer];
            let held = kinds.into_iter().flat_map(|kind| {
                let claims = claims.iter().map(|claim| &self.claims[*claim]);
                claims.filter(move |claim| claim.kind == kind)
            });
            let mut left = agent.total().clone();
            for claim in held {
                let fits = claim.kind == ClaimKind::Task || left.contains(&claim.resources);
                assert!(fits, "agent {id} is over-committed");
                left.subtract(&claim.resources);
            }
        }
        assert!(on.is_empty(), "claims on agents that are not there: {on:?}");
        assert_eq!(self.total, total, "the totals of all agents summed up");
        assert_eq!(self.free, free, "what is free on active agents summed up");
    }

    fn check_sums(&self) {
        let mut leaves: BTreeMap<LeafIx, (Quantities, Quantities, u64)> = BTreeMap::new();
        let mut roles: BTreeMap<RoleIx, (Quantities, Quantities, u64)> = BTreeMap::new();
        for (_, claim) in self.claims.iter() {
            let plain = claim.resources.plain();
            let count = |sums: &mut (Quantities, Quantities, u64)| {
                sums.0.add(&claim.resources);
                sums.1.add(&plain);
                sums.2 += 1;
            };
            count(leaves.entry(claim.leaf).or_default());
            for role in self.lineage(self.leaves[claim.leaf].role) {
                count(roles.entry(role).or_default());
            }
        }
        for (ix, leaf) in self.leaves.iter() {
            let (claimed, common, n) = leaves.remove(&ix).unwrap_or_default();
            assert_eq!(
                leaf.usage.claimed, claimed,
                "the claims of {} summed up",
                leaf.framework
            );
            assert_eq!(
                leaf.usage.common, common,
                "the common claims of {}",
                leaf.framework
            );
            assert_eq!(
                leaf.usage.n_claims, n,
                "the number of claims of {}",
                leaf.framework
            );
        }
        for (ix, role) in self.roles.iter() {
            let (claimed, common, n) = roles.remove(&ix).unwrap_or_default();
            let name = &role.name;
            assert_eq!(
                role.usage.claimed, claimed,
                "the claims of role {name:?} summed up"
            );
            assert_eq!(
                role.usage.common, common,
                "the common claims of role {name:?} summed up"
            );
            assert_eq!(role.usage.n_claims, n, "the number of claims of role {name:?}");
        }
    }

    fn check_filters(&self) {
        let mut ends = BTreeSet::new();
        for (agent, entry) in self.agents.iter() {
            for (leaf, filters) in &entry.filters {
                ends.extend(filters.iter().map(|filter| (filter.until, agent, *leaf)));
                assert!(
                    self.leaves[*leaf].filtered.contains(&agent),
                    "a leaf knows where it has filters"
                );
            }
        }
        assert_eq!(self.filter_ends, ends, "the ends of all filters");
    }
}
