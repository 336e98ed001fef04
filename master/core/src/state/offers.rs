//! Offers: the promise of an agent's resources to one framework, for a while.
//!
//! An offer ends exactly once: accepted, declined or rescinded. Until then its resources count as claimed.
//! The offers of a bundle end together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use proffer_allocator::{Change, Claim, ClaimIx, ClaimKind, Held, Hold, Waiting};
use proffer_types::{
    AgentId, FrameworkId, GangId, Offer, OfferGang, OfferId, Resources, Role, ShapeId, Timestamp,
};

use super::{Deadline, State};
use crate::{Bundle, OfferEnd};

/// One outstanding offer. What it holds is in its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferEntry {
    pub framework_id: FrameworkId,
    pub agent_id: AgentId,
    pub role: Role,
    pub gang: Option<Bundle>,
    pub expires: Option<Timestamp>,
    pub(crate) claim: ClaimIx,
}

/// What an offer holds, and for whom.
pub(super) struct OfferClaim<'a> {
    pub framework_id: &'a FrameworkId,
    pub agent_id: &'a AgentId,
    pub role: &'a Role,
    pub resources: &'a Resources,
    pub shapes: &'a [(ShapeId, u32)],
    pub gang: Option<&'a Bundle>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Offers {
    by_id: BTreeMap<OfferId, OfferEntry>,
    /// The offers of each bundle, by the first.
    pub(super) bundles: BTreeMap<OfferId, BTreeSet<OfferId>>,
    /// Of inverse offers, too.
    pub(super) n_made: u64,
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

    /// What an outstanding offer holds.
    #[must_use]
    pub fn offered(&self, offer: &OfferId) -> Option<&Claim> {
        self.ledger.claim_of(self.offer(offer)?.claim)
    }

    /// The offers that end together with one: itself, and the rest of its bundle.
    #[must_use]
    pub fn bundle_of(&self, offer: &OfferId) -> BTreeSet<OfferId> {
        let bundle = self.offer(offer).and_then(|entry| entry.gang.as_ref());
        let bundle = bundle.and_then(|bundle| self.offers.bundles.get(&bundle.first));
        bundle.cloned().unwrap_or_else(|| BTreeSet::from([offer.clone()]))
    }

    pub(crate) fn next_offer_id(&self) -> OfferId {
        self.master_id.offer(self.offers.n_made)
    }

    /// An outstanding offer as its scheduler sees it.
    pub(crate) fn offer_view(&self, id: &OfferId) -> Option<Offer> {
        let entry = self.offer(id)?;
        let claim = self.ledger.claim_of(entry.claim)?;
        let agent = self.agent(&entry.agent_id)?;
        let gang = entry.gang.as_ref().map(|bundle| OfferGang {
            id: bundle.gang,
            n_offers: self.n_offers_of(bundle),
        });
        Some(Offer {
            id: id.clone(),
            framework_id: entry.framework_id.clone(),
            agent_id: entry.agent_id.clone(),
            hostname: agent.info.hostname.clone(),
            address: agent.info.address.clone(),
            role: entry.role.clone(),
            resources: claim.resources.clone(),
            attributes: agent.info.attributes.clone(),
            domain: agent.info.domain.clone(),
            shapes: claim.shapes.clone(),
            gang,
            unavailability: agent.upkeep.coming().map(|window| window.time),
        })
    }

    fn n_offers_of(&self, bundle: &Bundle) -> u32 {
        let offers = self.offers.bundles.get(&bundle.first).map_or(0, BTreeSet::len);
        u32::try_from(offers).unwrap_or(u32::MAX)
    }

    pub(super) fn offer_made(
        &mut self,
        id: &OfferId,
        of: OfferClaim<'_>,
        expires: Option<Timestamp>,
    ) -> Vec<Change> {
        self.offers.n_made += 1;
        let Some(agent) = self.ledger.agent_ix(of.agent_id) else {
            return Vec::new();
        };
        let leaf = self.ledger_mut().ensure_leaf(of.framework_id, of.role);
        let gang: Option<GangId> = of.gang.map(|bundle| bundle.gang);
        let claim = self.ledger_mut().claim(Claim {
            shapes: of.shapes.to_vec(),
            gang,
            ..Claim::new(ClaimKind::Offer, leaf, agent, of.resources.clone())
        });
        if let Some(agent) = self.agent_mut(of.agent_id) {
            agent.offers.insert(id.clone());
        }
        if let Some(framework) = self.framework_mut(of.framework_id) {
            framework.offers.insert(id.clone());
        }
        if let Some(bundle) = of.gang {
            let offers = self.offers.bundles.entry(bundle.first.clone()).or_default();
            offers.insert(id.clone());
        }
        self.set_deadline(&Deadline::Offer(id.clone()), None, expires);
        let entry = OfferEntry {
            framework_id: of.framework_id.clone(),
            agent_id: of.agent_id.clone(),
            role: of.role.clone(),
            gang: of.gang.cloned(),
            expires,
            claim,
        };
        self.offers.by_id.insert(id.clone(), entry);
        vec![Change::Claimed(agent, leaf)]
    }

    pub(super) fn offer_grown(
        &mut self,
        id: &OfferId,
        more: &Resources,
        shape: (ShapeId, u32),
    ) -> Vec<Change> {
        let Some(claim) = self.offer(id).map(|entry| entry.claim) else {
            return Vec::new();
        };
        self.ledger_mut().grow(claim, more, &[shape]);
        let grown = self.ledger.claim_of(claim);
        grown
            .map(|claim| Change::Claimed(claim.agent, claim.leaf))
            .into_iter()
            .collect()
    }

    pub(super) fn hold_set(
        &mut self,
        framework: &FrameworkId,
        role: &Role,
        waiting: Waiting,
        agents: &[(AgentId, Held)],
        lasts: Range<Timestamp>,
    ) -> Vec<Change> {
        let agents = agents
            .iter()
            .filter_map(|(agent, held)| Some((self.ledger.agent_ix(agent)?, held.clone())));
        let hold = Hold {
            waiting,
            agents: agents.collect(),
            since: lasts.start,
            until: lasts.end,
        };
        self.ledger_mut().set_hold(framework, role, hold)
    }

    pub(super) fn offer_ended(&mut self, id: &OfferId, end: OfferEnd, at: Timestamp) -> Vec<Change> {
        let Some(entry) = self.offers.by_id.remove(id) else {
            return Vec::new();
        };
        if let Some(agent) = self.agent_mut(&entry.agent_id) {
            agent.offers.remove(id);
        }
        if let Some(framework) = self.framework_mut(&entry.framework_id) {
            framework.offers.remove(id);
        }
        if let Some(bundle) = &entry.gang
            && let Some(offers) = self.offers.bundles.get_mut(&bundle.first)
        {
            offers.remove(id);
            if offers.is_empty() {
                self.offers.bundles.remove(&bundle.first);
            }
        }
        self.set_deadline(&Deadline::Offer(id.clone()), entry.expires, None);
        let ledger = self.ledger_mut();
        let released = match end {
            OfferEnd::Accepted => ledger.release_accepted(entry.claim, at),
            OfferEnd::Declined | OfferEnd::Rescinded => ledger.release(entry.claim),
        };
        released.into_iter().collect()
    }
}
