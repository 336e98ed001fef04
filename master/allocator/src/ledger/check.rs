//! Whether the ledger is in order; for tests and the simulator.

use std::collections::BTreeSet;

use super::{ClaimId, Ledger, free_of, lineage};
use crate::Quantities;

impl Ledger {
    /// Checks every invariant. Panics with what is broken; for tests and the simulator.
    pub fn check(&self) {
        let mut total = Quantities::default();
        for (id, agent) in &self.agents {
            total.add(&agent.total);
            let claims = self.claims.iter().filter(|(_, claim)| claim.agent_id == *id);
            let ids: BTreeSet<_> = claims.clone().map(|(claim, _)| claim.clone()).collect();
            assert_eq!(agent.claims, ids, "the index of claims on agent {id}");
            let mut claimed = Quantities::default();
            claims.for_each(|(_, claim)| claimed.add(&claim.resources));
            assert_eq!(agent.claimed, claimed, "the claims on agent {id} summed up");
            assert_eq!(
                agent.free,
                free_of(agent, &self.claims),
                "what agent {id} has free"
            );
            // Tasks may exceed an agent that came back smaller; offers never do.
            for (name, units) in claimed.iter() {
                let offered = ids.iter().any(|claim| {
                    matches!(claim, ClaimId::Offer(_)) && self.claims[claim].resources.scalar(name) > 0
                });
                let fits = units <= u128::from(agent.total.scalar(name));
                assert!(
                    fits || !offered,
                    "agent {id} is over-committed in {name}: {claimed:?}"
                );
            }
        }
        assert_eq!(self.total, total, "the totals of all agents summed up");
        for (role, usage) in &self.subtrees {
            let below = self
                .claims
                .values()
                .filter(|claim| lineage(&claim.role).any(|up| up == *role));
            let mut claimed = Quantities::default();
            below.for_each(|claim| claimed.add(&claim.resources));
            assert_eq!(usage.claimed, claimed, "the claims of role {role} summed up");
        }
        for ((role, framework), usage) in &self.leaves {
            let own = self.claims.values();
            let mut claimed = Quantities::default();
            own.filter(|claim| claim.role == *role && claim.framework_id == *framework)
                .for_each(|claim| claimed.add(&claim.resources));
            assert_eq!(
                usage.claimed, claimed,
                "the claims of {framework} in role {role} summed up"
            );
        }
    }
}
