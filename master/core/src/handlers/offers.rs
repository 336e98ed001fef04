//! How offers end other than by use: declined with a filter, or rescinded.

use proffer_types::{AgentId, Filters, FrameworkId, OfferId, Resources, Role, scheduler_link};

use crate::cx::Cx;
use crate::{Event, OfferEnd};

/// Ends the offers that are the framework's; a filter keeps the same from coming back for a while.
pub(crate) fn decline(cx: &mut Cx<'_>, framework: &FrameworkId, offers: &[OfferId], filters: Filters) {
    for id in offers {
        let offer = cx
            .state
            .offer(id)
            .filter(|offer| offer.framework_id == *framework);
        let Some(offer) = offer.cloned() else {
            continue;
        };
        let (offer_id, end) = (id.clone(), OfferEnd::Declined);
        cx.emit(Event::OfferEnded { offer_id, end });
        set_filter(
            cx,
            framework,
            &offer.role,
            &offer.agent_id,
            offer.resources,
            filters,
        );
    }
}

/// Takes an offer back, and says so to the framework.
pub(crate) fn rescind(cx: &mut Cx<'_>, id: &OfferId) {
    let Some(framework) = cx.state.offer(id).map(|offer| offer.framework_id.clone()) else {
        return;
    };
    let (offer_id, end) = (id.clone(), OfferEnd::Rescinded);
    cx.emit(Event::OfferEnded { offer_id, end });
    cx.tell_framework(&framework, scheduler_link::Event::Rescind(id.clone()));
}

/// Nothing happens when nothing was refused, or for no time.
pub(crate) fn set_filter(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    role: &Role,
    agent: &AgentId,
    refused: Resources,
    filters: Filters,
) {
    if refused.is_empty() || filters.refuse.is_zero() {
        return;
    }
    cx.emit(Event::FilterSet {
        framework_id: framework.clone(),
        role: role.clone(),
        agent_id: agent.clone(),
        refused,
        until: cx.now.after(filters.refuse.min(Filters::MAX)),
    });
}
