//! An offer ends exactly once: accepted, declined or rescinded; and it ends when its agent or framework goes.
//!
//! Source: mesos.apache.org, "Scheduler HTTP API", events OFFERS and RESCIND: an offer is valid until one of these.

use std::collections::BTreeSet;

use proffer_master_core::{AgentState, Event, FrameworkState, Snapshot};
use proffer_types::{OfferId, Timestamp};

use super::Invariant;
use crate::facts::Fact;

#[derive(Debug, Default)]
pub(crate) struct OfferEndsOnce {
    made: BTreeSet<OfferId>,
    outstanding: BTreeSet<OfferId>,
}

impl Invariant for OfferEndsOnce {
    fn name(&self) -> &'static str {
        "an offer ends once"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::MasterStarted(_) => self.outstanding.clear(),
            Fact::MasterEvent(Event::OfferMade { offer_id, .. }) => {
                if !self.made.insert(offer_id.clone()) {
                    return Err(format!("offer {offer_id} was made twice"));
                }
                self.outstanding.insert(offer_id.clone());
            }
            Fact::MasterEvent(Event::OfferEnded { offer_id, end, .. }) => {
                let was_outstanding = self.outstanding.remove(offer_id);
                let complaint = || format!("offer {offer_id} is {end:?}, but it is not outstanding");
                return was_outstanding.then_some(()).ok_or_else(complaint);
            }
            Fact::MasterState { snapshot, .. } => return self.compare(snapshot),
            _ => {}
        }
        Ok(())
    }
}

impl OfferEndsOnce {
    fn compare(&self, snapshot: &Snapshot) -> Result<(), String> {
        let there: BTreeSet<_> = snapshot.offers.iter().map(|offer| offer.id.clone()).collect();
        if there != self.outstanding {
            return Err(format!(
                "outstanding are {:?}, the master has {there:?}",
                self.outstanding
            ));
        }
        for offer in &snapshot.offers {
            let mut agents = snapshot.agents.iter();
            let agent = agents.find(|agent| agent.agent_id == offer.agent_id);
            if agent.map(|agent| agent.state) != Some(AgentState::Active) {
                return Err(format!("offer {} is of an agent that is not active", offer.id));
            }
            let mut frameworks = snapshot.frameworks.iter();
            let framework = frameworks.find(|framework| framework.framework_id == offer.framework_id);
            if framework.map(|framework| framework.state) != Some(FrameworkState::Active) {
                return Err(format!("offer {} is of a framework that is not active", offer.id));
            }
        }
        Ok(())
    }
}
