//! How offers end other than by use: declined with a filter, or rescinded. A bundle ends whole.

use proffer_types::{AgentId, Filters, FrameworkId, OfferId, Resources, Role, scheduler_link};

use crate::cx::Cx;
use crate::{Event, OfferEnd};

/// What an offer promised, and to whom.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) framework_id: FrameworkId,
    pub(crate) agent_id: AgentId,
    pub(crate) role: Role,
    pub(crate) resources: Resources,
}

/// What an outstanding offer promises.
pub(crate) fn held(cx: &Cx<'_>, id: &OfferId) -> Option<Held> {
    let (offer, claim) = (cx.state.offer(id)?, cx.state.offered(id)?);
    Some(Held {
        framework_id: offer.framework_id.clone(),
        agent_id: offer.agent_id.clone(),
        role: offer.role.clone(),
        resources: claim.resources.clone(),
    })
}

/// Ends the offers that are the framework's; a filter keeps the same from coming back for a while.
pub(crate) fn decline(cx: &mut Cx<'_>, framework: &FrameworkId, offers: &[OfferId], filters: Filters) {
    for id in offers {
        let offer = cx.state.offer(id);
        if offer.is_none_or(|offer| offer.framework_id != *framework) {
            continue;
        }
        for offer_id in cx.state.bundle_of(id) {
            let held = held(cx, &offer_id);
            let end = OfferEnd::Declined;
            cx.emit(Event::OfferEnded {
                offer_id,
                end,
                at: cx.now,
            });
            if let Some(held) = held {
                set_filter(cx, held, filters.clone());
            }
        }
    }
}

/// Takes an offer back, and says so to the framework.
pub(crate) fn rescind(cx: &mut Cx<'_>, id: &OfferId) {
    let Some(framework) = cx.state.offer(id).map(|offer| offer.framework_id.clone()) else {
        return;
    };
    for offer_id in cx.state.bundle_of(id) {
        let (id, end) = (offer_id.clone(), OfferEnd::Rescinded);
        cx.emit(Event::OfferEnded {
            offer_id,
            end,
            at: cx.now,
        });
        cx.tell_framework(&framework, scheduler_link::Event::Rescind(id));
    }
}

/// Takes back the offers that a condition picks, one after the other while it is asked.
pub(crate) fn rescind_where(cx: &mut Cx<'_>, picks: impl Fn(&Cx<'_>, &OfferId) -> bool) {
    let offers: Vec<OfferId> = cx.state.offers().map(|(id, _)| id.clone()).collect();
    for offer in offers {
        if picks(cx, &offer) {
            rescind(cx, &offer);
        }
    }
}

/// Remembers what was refused. Nothing happens when nothing was, or for no time.
pub(crate) fn set_filter(cx: &mut Cx<'_>, refused: Held, filters: Filters) {
    if refused.resources.is_empty() || filters.refuse.is_zero() {
        return;
    }
    cx.emit(Event::FilterSet {
        framework_id: refused.framework_id,
        role: refused.role,
        agent_id: refused.agent_id,
        refused: refused.resources,
        at_least: filters.at_least,
        until: cx.now.after(filters.refuse.min(Filters::MAX)),
    });
}
