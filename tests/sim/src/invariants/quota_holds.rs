//! No offer takes a role, or any role above it, beyond its limit. Tasks may be beyond it: quota kills nothing.
//!
//! Source: Mesos, "Quota": limits; there, the limit of a top-level role is not looked at for the roles below it.

use std::collections::BTreeMap;

use proffer_master_core::{Event, State};
use proffer_types::{OfferId, Quota, ResourceName, Resources, Role, Timestamp};

use super::Invariant;
use crate::facts::Fact;
use crate::spoil;

#[derive(Debug, Default)]
pub(crate) struct QuotaHolds {
    folded: Option<State>,
    quotas: BTreeMap<Role, Quota>,
}

impl Invariant for QuotaHolds {
    fn name(&self) -> &'static str {
        "no offer exceeds a limit"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::MasterStarted(state) => {
                let roles = state.ledger().roles();
                let quotas = roles.map(|(role, entry)| (role.clone(), entry.config.quota.clone()));
                self.quotas = quotas.collect();
                self.folded = Some((*state).clone());
                Ok(())
            }
            Fact::MasterEvent(event) => {
                if let Some(folded) = &mut self.folded {
                    folded.apply(event);
                }
                match event {
                    Event::RoleSet { role, config } => {
                        self.quotas.insert(role.clone(), config.quota.clone());
                        Ok(())
                    }
                    Event::OfferMade { offer_id, .. } | Event::OfferGrown { offer_id, .. } => {
                        self.check(offer_id)
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl QuotaHolds {
    fn check(&self, offer: &OfferId) -> Result<(), String> {
        let Some(state) = &self.folded else { return Ok(()) };
        let offered = state
            .offer(offer)
            .zip(state.offered(offer))
            .map(|(entry, claim)| (spoil::meant(&entry.role), claim.resources.plain()));
        let Some((role, plain)) = offered else {
            return Err(format!("offer {offer} was made and is not there"));
        };
        for (limited, quota) in &self.quotas {
            if !is_within(&role, limited) {
                continue;
            }
            for (name, limit) in &quota.limit {
                let consumed = consumed(state, limited, name);
                if plain.scalar(name) > 0 && consumed > u128::from(*limit) {
                    return Err(format!(
                        "with offer {offer}, role {limited} has {consumed} of {name}, and its limit is {limit}"
                    ));
                }
            }
        }
        Ok(())
    }
}

fn is_within(role: &Role, above: &Role) -> bool {
    let rest = role.as_str().strip_prefix(above.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Summed up without the ledger's own sums: what is unreserved of tasks and offers, and all that is reserved.
fn consumed(state: &State, role: &Role, name: &ResourceName) -> u128 {
    let tasks = state
        .tasks()
        .filter(|task| task.view.state.holds_resources() && is_within(&spoil::meant(&task.view.role), role))
        .map(|task| task.view.held().plain().scalar(name));
    let offers = state
        .offers()
        .filter(|(_, offer)| is_within(&spoil::meant(&offer.role), role))
        .filter_map(|(id, _)| state.offered(id))
        .map(|claim| claim.resources.plain().scalar(name));
    let reserved = state
        .ledger()
        .agents()
        .map(|(_, agent)| Resources::scalar(&agent.total().reserved_to(role), name));
    tasks.chain(offers).chain(reserved).map(u128::from).sum()
}
