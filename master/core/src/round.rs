//! One round of allocation: what the allocator grants becomes offers.

use std::collections::BTreeMap;

use proffer_allocator::{Allocator, Grant, Host, Ledger, Outcome, Round};
use proffer_types::{FrameworkId, Offer, scheduler_link};
use rand_chacha::ChaCha8Rng;

use crate::Event;
use crate::cx::Cx;

struct Offerer<'a, 'b> {
    cx: &'a mut Cx<'b>,
    made: BTreeMap<FrameworkId, Vec<Offer>>,
}

impl Host for Offerer<'_, '_> {
    fn ledger(&self) -> &Ledger {
        self.cx.state.ledger()
    }

    fn grant(&mut self, grant: Grant) {
        let offer_id = self.cx.state.next_offer_id();
        let framework_id = grant.framework_id.clone();
        let timeout = self.cx.config.offer_timeout;
        self.cx.emit(Event::OfferMade {
            offer_id: offer_id.clone(),
            framework_id: grant.framework_id,
            agent_id: grant.agent_id,
            role: grant.role,
            resources: grant.resources,
            expires: timeout.map(|timeout| self.cx.now.after(timeout)),
        });
        let made = self.made.entry(framework_id).or_default();
        made.extend(self.cx.state.offer_view(&offer_id));
    }
}

/// Runs a round. Each framework hears of all its new offers at once.
pub(crate) fn allocate(cx: &mut Cx<'_>, allocator: &mut dyn Allocator, rng: &mut ChaCha8Rng) -> Outcome {
    let (now, budget) = (cx.now, cx.config.allocation_budget);
    let mut offerer = Offerer {
        cx,
        made: BTreeMap::new(),
    };
    let outcome = allocator.allocate(&mut Round::new(&mut offerer, now, rng, budget));
    let made = offerer.made;
    for (framework, offers) in made {
        cx.tell_framework(&framework, scheduler_link::Event::Offers(offers));
    }
    outcome
}
