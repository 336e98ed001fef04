//! Inverse offers: made, answered, taken back. They follow from the drains, windows and tasks there are, and nothing follows
//! from them: they are a request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::{AgentId, Filters, FrameworkId, InverseOffer, OfferId, TaskId, scheduler_link};

use crate::cx::Cx;
use crate::limits::MIN_INVERSE_REFUSAL;
use crate::{Event, InverseEnd};

/// A framework agrees to leave agents.
pub(crate) fn accept(cx: &mut Cx<'_>, framework: &FrameworkId, offers: &[OfferId]) {
    answer(cx, framework, offers, InverseEnd::Accepted);
}

/// A framework does not want to leave agents; it is asked again later.
pub(crate) fn decline(cx: &mut Cx<'_>, framework: &FrameworkId, offers: &[OfferId], refuse: Duration) {
    let refuse = refuse.clamp(MIN_INVERSE_REFUSAL, Filters::MAX);
    let until = cx.now.after(refuse);
    answer(cx, framework, offers, InverseEnd::Declined { until });
}

/// Offers that are void, or another's, are passed over.
fn answer(cx: &mut Cx<'_>, framework: &FrameworkId, offers: &[OfferId], end: InverseEnd) {
    for offer_id in offers {
        let asked = cx.state.inverse_offer(offer_id);
        if asked.is_some_and(|(_, asked)| asked == framework) {
            cx.emit(Event::InverseOfferEnded {
                offer_id: offer_id.clone(),
                end,
                at: cx.now,
            });
        }
    }
}

/// Takes back all that is asked about an agent, also of whoever said yes: it may stay, or it is too late.
pub(crate) fn rescind_all(cx: &mut Cx<'_>, agent: &AgentId) {
    let asked = cx.state.asked_for(agent);
    let standing = asked.filter_map(|(_, asked)| asked.offer().cloned());
    for offer in standing.collect::<Vec<_>>() {
        rescind(cx, offer);
    }
}

fn rescind(cx: &mut Cx<'_>, offer_id: OfferId) {
    let asked = cx.state.inverse_offer(&offer_id);
    let Some(framework) = asked.map(|(_, framework)| framework.clone()) else {
        return;
    };
    cx.emit(Event::InverseOfferEnded {
        offer_id: offer_id.clone(),
        end: InverseEnd::Rescinded,
        at: cx.now,
    });
    cx.tell_framework(&framework, scheduler_link::Event::RescindInverse(offer_id));
}

/// Asks, and takes back, what follows from a step. Costs nothing while there is no drain and no window; else the tasks of the
/// agents in them that the step was about.
pub(crate) fn settle(cx: &mut Cx<'_>, first_event: usize) {
    if cx.state.asks_nothing() {
        return;
    }
    let mut made: BTreeMap<FrameworkId, Vec<InverseOffer>> = BTreeMap::new();
    for agent in concerned(cx, first_event) {
        review(cx, &agent, &mut made);
    }
    for (framework, offers) in made {
        cx.tell_framework(&framework, scheduler_link::Event::InverseOffers(offers));
    }
}

fn review(cx: &mut Cx<'_>, agent: &AgentId, made: &mut BTreeMap<FrameworkId, Vec<InverseOffer>>) {
    let holders = cx.state.to_be_asked(agent);
    let asked = cx.state.asked_for(agent);
    let idle = asked.filter(|(framework, _)| !holders.contains_key(*framework));
    let idle: Vec<_> = idle
        .filter_map(|(_, asked)| asked.unanswered().cloned())
        .collect();
    for offer in idle {
        rescind(cx, offer);
    }
    for (framework, resources) in holders {
        if cx.state.is_asked(agent, &framework) {
            continue;
        }
        let offer_id = cx.state.next_offer_id();
        cx.emit(Event::InverseOfferMade {
            offer_id: offer_id.clone(),
            framework_id: framework.clone(),
            agent_id: agent.clone(),
        });
        let view = cx.state.inverse_offer_view(&offer_id, resources);
        made.entry(framework).or_default().extend(view);
    }
}

/// The agents in drains and windows of which it may have changed who is to be asked.
fn concerned(cx: &Cx<'_>, first_event: usize) -> BTreeSet<AgentId> {
    let events = &cx.out.events[first_event..];
    let mut agents = BTreeSet::new();
    let is_of_framework = |event: &Event| {
        matches!(
            event,
            Event::FrameworkSubscribed { .. } | Event::FrameworkDisconnected { .. }
        )
    };
    if events.iter().any(is_of_framework) {
        agents.extend(cx.state.agents_to_leave().cloned());
    }
    agents.extend(events.iter().filter_map(|event| agent_of(cx, event)).cloned());
    agents.retain(|agent| {
        let agent = cx.state.agent(agent);
        agent.is_some_and(|agent| !agent.upkeep.windows.is_empty() || agent.upkeep.drain.is_some())
    });
    agents
}

/// The agent whose upkeep changed, or tasks.
fn agent_of<'a>(cx: &'a Cx<'_>, event: &'a Event) -> Option<&'a AgentId> {
    if let Event::AgentUpkeep { agent_id, .. }
    | Event::AgentUnreachable { agent_id, .. }
    | Event::InverseRefusalOver { agent_id, .. } = event
    {
        return Some(agent_id);
    }
    if let Event::TaskLaunched { info, .. } | Event::TaskAdded { info, .. } = event {
        return Some(&info.agent_id);
    }
    if let Event::TaskReported {
        framework_id,
        task_id,
        ..
    } = event
    {
        return agent_of_task(cx, framework_id, task_id);
    }
    if let Event::TaskUpdated {
        framework_id, status, ..
    } = event
    {
        let agent = agent_of_task(cx, framework_id, &status.task_id);
        return agent.or(status.agent_id.as_ref());
    }
    None
}

fn agent_of_task<'a>(cx: &'a Cx<'_>, framework: &FrameworkId, task: &TaskId) -> Option<&'a AgentId> {
    let live = cx.state.task(framework, task);
    live.map(|task| &task.view.info.agent_id)
}
