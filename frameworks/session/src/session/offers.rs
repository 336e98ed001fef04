//! The offers that may be used.
//!
//! Invariant: the offers of a gang are usable all together or not at all, from when the last of them came until one of
//! them is used, declined or rescinded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proffer_types::{AgentId, GangId, Offer, OfferId, Role};

#[derive(Debug, Default)]
pub(super) struct Offers {
    usable: BTreeMap<OfferId, Usable>,
    /// Gangs of which not all offers have come: a long list of offers is told in several events.
    incomplete: BTreeMap<(Role, GangId), Vec<Offer>>,
}

#[derive(Debug, Clone)]
struct Usable {
    agent_id: AgentId,
    /// All offers that must be answered together; itself, where it is alone.
    bundle: Arc<[OfferId]>,
}

/// Why offers cannot be used as they were asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable {
    /// For people.
    pub(super) why: &'static str,
    /// Those that are not void, and nobody else will decline.
    pub(super) left: Vec<OfferId>,
}

impl Offers {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes new offers in; returns those that may be used now.
    pub(super) fn add(&mut self, offers: Vec<Offer>) -> Vec<Offer> {
        let mut ready = Vec::with_capacity(offers.len());
        for offer in offers {
            let Some(gang) = offer.gang else {
                ready.extend(self.add_bundle(vec![offer]));
                continue;
            };
            let key = (offer.role.clone(), gang.id);
            let mut bundle = self.incomplete.remove(&key).unwrap_or_default();
            bundle.push(offer);
            if bundle.len() < usize::try_from(gang.n_offers).unwrap_or(usize::MAX) {
                self.incomplete.insert(key, bundle);
            } else {
                ready.extend(self.add_bundle(bundle));
            }
        }
        ready
    }

    fn add_bundle(&mut self, offers: Vec<Offer>) -> Vec<Offer> {
        let bundle: Arc<[OfferId]> = offers.iter().map(|offer| offer.id.clone()).collect();
        for offer in &offers {
            let usable = Usable {
                agent_id: offer.agent_id.clone(),
                bundle: bundle.clone(),
            };
            self.usable.insert(offer.id.clone(), usable);
        }
        offers
    }

    /// Makes an offer void, and its gang with it; returns what could be used until now.
    pub(super) fn rescind(&mut self, id: &OfferId) -> Vec<OfferId> {
        self.incomplete
            .retain(|_, offers| offers.iter().all(|offer| offer.id != *id));
        self.take_bundles(std::slice::from_ref(id))
    }

    /// Uses offers up. Returns their agent, if they have one in common.
    pub(super) fn take(&mut self, ids: &[OfferId]) -> Result<Option<AgentId>, Unusable> {
        let named: BTreeSet<_> = ids.iter().collect();
        let usable: Option<Vec<_>> = ids.iter().map(|id| self.usable.get(id)).collect();
        let why = match &usable {
            None => "the offer was void when it was used",
            Some(usable) => {
                let mut needed = usable.iter().flat_map(|usable| usable.bundle.iter());
                if needed.all(|id| named.contains(id)) {
                    let mut agents = usable.iter().map(|usable| &usable.agent_id);
                    let first = agents.next();
                    let agent = first.filter(|first| agents.all(|agent| agent == *first)).cloned();
                    self.take_bundles(ids);
                    return Ok(agent);
                }
                "only some offers of a gang were used"
            }
        };
        let left = self.take_bundles(ids);
        Err(Unusable { why, left })
    }

    /// Gives offers up, gangs whole; returns those that were still usable.
    pub(super) fn take_bundles(&mut self, ids: &[OfferId]) -> Vec<OfferId> {
        let mut taken = Vec::new();
        for id in ids {
            let Some(usable) = self.usable.get(id) else {
                continue;
            };
            for id in usable.bundle.clone().iter() {
                taken.extend(self.usable.remove_entry(id).map(|(id, _)| id));
            }
        }
        taken
    }

    /// Gives those of `ids` up that are usable and not held; a gang is held with any of its offers.
    pub(super) fn take_unheld(&mut self, ids: &[OfferId], held: &[OfferId]) -> Vec<OfferId> {
        let held = held.iter().filter_map(|id| self.usable.get(id));
        let kept: BTreeSet<_> = held.flat_map(|usable| usable.bundle.iter().cloned()).collect();
        let unheld: Vec<_> = ids.iter().filter(|id| !kept.contains(*id)).cloned().collect();
        self.take_bundles(&unheld)
    }
}
