//! One round of allocation: what the allocator grants becomes offers.
//!
//! Nobody hears of an offer before the round is over, for it may grow until then.

use std::collections::BTreeMap;

use proffer_allocator::{Allocator, ClaimIx, Grant, Hold, Host, LeafIx, Ledger, Outcome, Round};
use proffer_types::{FrameworkId, GangId, OfferId, Resources, Role, ShapeId, scheduler_link};
use rand_chacha::ChaCha8Rng;

use crate::cx::Cx;
use crate::{Bundle, Event};

struct Offerer<'a, 'b> {
    cx: &'a mut Cx<'b>,
    made: Vec<OfferId>,
    by_claim: BTreeMap<ClaimIx, OfferId>,
    /// The first offer of each bundle of this round.
    bundles: BTreeMap<(LeafIx, GangId), OfferId>,
}

impl Host for Offerer<'_, '_> {
    fn ledger(&self) -> &Ledger {
        self.cx.state.ledger()
    }

    fn grant(&mut self, grant: Grant) -> ClaimIx {
        let offer_id = self.cx.state.next_offer_id();
        let event = self.offer(&offer_id, grant);
        self.cx
            .emit(event.expect("the allocator grants what is in the ledger"));
        let claim = self.cx.state.offer(&offer_id).map(|offer| offer.claim);
        let claim = claim.expect("an offer that was made is there");
        self.made.push(offer_id.clone());
        self.by_claim.insert(claim, offer_id);
        claim
    }

    fn grow(&mut self, claim: ClaimIx, more: &Resources, shape: (ShapeId, u32)) {
        if let Some(offer_id) = self.by_claim.get(&claim).cloned() {
            let more = more.clone();
            self.cx.emit(Event::OfferGrown {
                offer_id,
                more,
                shape,
            });
        }
    }

    fn hold(&mut self, leaf: LeafIx, hold: Option<Hold>) {
        let Some((framework_id, role)) = self.owner(leaf) else {
            return;
        };
        let event = match hold {
            Some(hold) => {
                let ledger = self.cx.state.ledger();
                let agents = hold.agents.into_iter();
                let agents = agents.filter_map(|(agent, held)| Some((ledger.agent(agent)?.id.clone(), held)));
                Event::HoldSet {
                    framework_id,
                    role,
                    waiting: hold.waiting,
                    agents: agents.collect(),
                    since: hold.since,
                    until: hold.until,
                }
            }
            None => Event::HoldEnded { framework_id, role },
        };
        self.cx.emit(event);
    }
}

impl Offerer<'_, '_> {
    fn owner(&self, leaf: LeafIx) -> Option<(FrameworkId, Role)> {
        let ledger = self.cx.state.ledger();
        let leaf = ledger.leaf(leaf)?;
        Some((leaf.framework.clone(), ledger.role(leaf.role)?.name.clone()?))
    }

    /// A grant as a fact. `None` when it is of somebody or something that is not there.
    fn offer(&mut self, offer_id: &OfferId, grant: Grant) -> Option<Event> {
        let gang = grant.gang.map(|gang| Bundle {
            gang,
            first: self
                .bundles
                .entry((grant.leaf, gang))
                .or_insert_with(|| offer_id.clone())
                .clone(),
        });
        let (framework_id, role) = self.owner(grant.leaf)?;
        let ledger = self.cx.state.ledger();
        let timeout = self.cx.config.offer_timeout;
        Some(Event::OfferMade {
            offer_id: offer_id.clone(),
            framework_id,
            agent_id: ledger.agent(grant.agent)?.id.clone(),
            role,
            resources: grant.resources,
            shapes: grant.shapes,
            gang,
            expires: timeout.map(|timeout| self.cx.now.after(timeout)),
        })
    }
}

/// Runs a round. Each framework hears of all its new offers at once.
pub(crate) fn allocate(cx: &mut Cx<'_>, allocator: &mut dyn Allocator, rng: &mut ChaCha8Rng) -> Outcome {
    let (now, budget) = (cx.now, cx.config.allocation_budget);
    let hold_after = cx.config.hold_after;
    let mut offerer = Offerer {
        cx,
        made: Vec::new(),
        by_claim: BTreeMap::new(),
        bundles: BTreeMap::new(),
    };
    let round = Round::new(&mut offerer, now, rng, budget);
    let outcome = allocator.allocate(&mut round.with_hold_after(hold_after));
    let made = offerer.made;
    let mut offers: BTreeMap<FrameworkId, Vec<_>> = BTreeMap::new();
    for id in made {
        if let Some(offer) = cx.state.offer_view(&id) {
            offers.entry(offer.framework_id.clone()).or_default().push(offer);
        }
    }
    for (framework, offers) in offers {
        cx.tell_framework(&framework, scheduler_link::Event::Offers(offers));
    }
    outcome
}
