//! Offers: the promise of an agent's resources to one framework, for a while.
//!
//! An offer ends exactly once: accepted, declined or rescinded. Until then its resources count as claimed.

use std::collections::BTreeMap;

use proffer_allocator::{Change, Claim, ClaimId};
use proffer_types::{AgentId, FrameworkId, Offer, OfferId, Resources, Role, Timestamp};

use super::{Deadline, State};

/// One outstanding offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferEntry {
    pub framework_id: FrameworkId,
    pub agent_id: AgentId,
    pub role: Role,
    pub resources: Resources,
    pub expires: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Offers {
    by_id: BTreeMap<OfferId, OfferEntry>,
    n_made: u64,
}

impl State {
    /// One outstanding offer.
    #[must_use]
    pub fn offer(&self, offer: &OfferId) -> Option<&OfferEntry> {
        self.offers.by_id.get(offer)
    }

    /// The outstanding offers, by id.
    pub fn offers(&self) -> impl Iterator<Item = (&OfferId, &OfferEntry)> {
        self.offers.by_id.iter()
    }

    pub(crate) fn next_offer_id(&self) -> OfferId {
        self.master_id.offer(self.offers.n_made)
    }

    /// An outstanding offer as its scheduler sees it.
    pub(crate) fn offer_view(&self, id: &OfferId) -> Option<Offer> {
        let entry = self.offer(id)?;
        let agent = self.agent(&entry.agent_id)?;
        Some(Offer {
            id: id.clone(),
            framework_id: entry.framework_id.clone(),
            agent_id: entry.agent_id.clone(),
            hostname: agent.info.hostname.clone(),
            role: entry.role.clone(),
            resources: entry.resources.clone(),
            attributes: agent.info.attributes.clone(),
        })
    }

    pub(super) fn offer_made(&mut self, id: &OfferId, entry: OfferEntry) -> Vec<Change> {
        self.offers.n_made += 1;
        if let Some(agent) = self.agent_mut(&entry.agent_id) {
            agent.offers.insert(id.clone());
        }
        if let Some(framework) = self.framework_mut(&entry.framework_id) {
            framework.offers.insert(id.clone());
        }
        self.set_deadline(&Deadline::Offer(id.clone()), None, entry.expires);
        let claim = Claim {
            agent_id: entry.agent_id.clone(),
            framework_id: entry.framework_id.clone(),
            role: entry.role.clone(),
            resources: entry.resources.clone(),
        };
        self.offers.by_id.insert(id.clone(), entry);
        vec![self.ledger.claim(ClaimId::Offer(id.clone()), claim)]
    }

    pub(super) fn offer_ended(&mut self, id: &OfferId) -> Vec<Change> {
        let Some(entry) = self.offers.by_id.remove(id) else {
            return Vec::new();
        };
        if let Some(agent) = self.agent_mut(&entry.agent_id) {
            agent.offers.remove(id);
        }
        if let Some(framework) = self.framework_mut(&entry.framework_id) {
            framework.offers.remove(id);
        }
        self.set_deadline(&Deadline::Offer(id.clone()), entry.expires, None);
        let released = self.ledger.release(&ClaimId::Offer(id.clone()));
        released.into_iter().collect()
    }
}
