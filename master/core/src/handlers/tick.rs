//! Time passes: those who stayed away too long, and offers nobody answered.

use std::collections::BTreeMap;

use proffer_types::{AgentId, Filters, FrameworkId, OfferId, Resources, Timestamp, scheduler_link};

use super::{drain, framework_gone, maintenance, offers, orphans, removal};
use crate::Event;
use crate::cx::Cx;
use crate::limits::MAX_SHAPES;
use crate::state::{Deadline, FrameworkPresence, State, Withheld};

/// The first step after a start: everybody known gets their time to come back.
pub(crate) fn start(cx: &mut Cx<'_>) {
    cx.emit(Event::Started {
        at: cx.now,
        deadline: cx.now.after(cx.config.agent_reregister_timeout),
    });
    // Whatever its failover timeout: it was the master that was away.
    let earliest = cx.now.after(cx.config.agent_reregister_timeout);
    let frameworks = cx.state.frameworks().filter_map(|(id, framework)| {
        let deadline = match framework.presence {
            FrameworkPresence::Recovered { deadline } => deadline,
            FrameworkPresence::Active { .. }
            | FrameworkPresence::Disconnected { .. }
            | FrameworkPresence::Orphaned { .. }
            | FrameworkPresence::Completed => return None,
        };
        let given = deadline.unwrap_or_else(|| cx.now.after(framework.info.failover_timeout));
        let extended = given.max(earliest);
        (deadline != Some(extended)).then(|| (id.clone(), extended))
    });
    for (framework_id, deadline) in frameworks.collect::<Vec<(FrameworkId, Timestamp)>>() {
        cx.emit(Event::FrameworkDisconnected {
            framework_id,
            deadline,
        });
    }
    orphans::start(cx);
    withhold(cx);
}

/// With quota set, nobody can say what is left of it before most agents are back.
fn withhold(cx: &mut Cx<'_>) {
    let n_expected = cx.state.n_recovered_agents();
    let mut roles = cx.state.ledger().roles();
    let is_quota_set = roles.any(|(_, role)| !role.config.quota.is_default());
    drop(roles);
    if n_expected == 0 || !is_quota_set {
        return;
    }
    let percent = u64::from(cx.config.recovery_percent.min(100));
    let n_needed = (u64::from(n_expected) * percent).div_ceil(100);
    cx.emit(Event::OffersWithheld(Withheld {
        n_expected,
        n_needed: u32::try_from(n_needed).unwrap_or(n_expected),
        until: cx.now.after(cx.config.recovery_timeout),
    }));
}

pub(crate) fn handle(cx: &mut Cx<'_>) {
    let first_event = cx.out.events.len();
    for whose in cx.state.due(cx.now) {
        match whose {
            Deadline::Agent(agent) => removal::overdue(cx, &agent),
            Deadline::Framework(framework) if cx.state.orphans().contains(&framework) => {
                orphans::overdue(cx, &framework);
            }
            Deadline::Framework(framework) => {
                framework_gone::evict(cx, &framework, "the framework was away for too long");
            }
            Deadline::Drain(agent) => drain::overdue(cx, &agent),
            Deadline::Window(agent) => maintenance::turn(cx, &agent),
            Deadline::Inverse(agent_id, framework_id) => cx.emit(Event::InverseRefusalOver {
                framework_id,
                agent_id,
            }),
            Deadline::Offer(offer) => take_back(cx, &offer),
        }
    }
    removal::tell_held(cx, first_event);
}

/// Takes back an offer that was not answered, with all that the framework was offered of the same agents: if the pieces
/// of an agent came back one at a time, whoever wants more than one would never see them together.
fn take_back(cx: &mut Cx<'_>, offer: &OfferId) {
    let mut pieces = cx.state.bundle_of(offer);
    let held: Vec<_> = pieces.iter().filter_map(|id| offers::held(cx, id)).collect();
    for held in &held {
        let on_agent = cx.state.agent(&held.agent_id).map(|agent| &agent.offers);
        let of_framework = on_agent.into_iter().flatten().filter(|id| {
            let offer = cx.state.offer(id);
            offer.is_some_and(|offer| offer.framework_id == held.framework_id)
        });
        pieces.extend(of_framework.flat_map(|id| cx.state.bundle_of(id)));
    }
    let mut refused: BTreeMap<AgentId, offers::Held> = BTreeMap::new();
    for id in pieces {
        if let Some(held) = offers::held(cx, &id) {
            let more = held.resources.clone();
            let all = refused.entry(held.agent_id.clone());
            all.and_modify(|all| all.resources.add(&more)).or_insert(held);
        }
        offers::rescind(cx, &id);
    }
    // Or the same framework, being next in line, would sit on it again at once.
    for held in refused.into_values() {
        refuse_for(cx, held);
    }
}

/// As if the framework had declined the offer in each of its roles: one that answers nothing would else be offered the
/// same in the next role, and then in the first again.
fn refuse_for(cx: &mut Cx<'_>, held: offers::Held) {
    let framework = cx.state.framework(&held.framework_id);
    let roles = framework.map(|framework| framework.info.roles.clone());
    for role in roles.unwrap_or_default() {
        let held = offers::Held { role, ..held.clone() };
        offers::set_filter(cx, held, Filters::DEFAULT);
    }
}

/// The largest agents there are, those expected back included.
pub(crate) fn shapes(state: &State) -> scheduler_link::Event {
    let totals = state.shapes();
    let n_agents = totals.values().fold(0, |sum: u32, n| sum.saturating_add(*n));
    let mut largest = maximal(totals.keys().cloned());
    if largest.len() > MAX_SHAPES {
        let rest = largest.split_off(MAX_SHAPES - 1);
        let common = rest.into_iter().reduce(|a, b| maximum(&a, &b));
        largest = maximal(largest.into_iter().chain(common));
    }
    scheduler_link::Event::Shapes { n_agents, largest }
}

fn maximal(totals: impl Iterator<Item = Resources>) -> Vec<Resources> {
    let mut largest: Vec<Resources> = Vec::new();
    for total in totals {
        if !largest.iter().any(|larger| larger.contains(&total)) {
            largest.retain(|smaller| !total.contains(smaller));
            largest.push(total);
        }
    }
    largest
}

fn maximum(a: &Resources, b: &Resources) -> Resources {
    let mut maximum = a.clone();
    for (name, units) in b.scalars() {
        maximum = maximum.with(name.clone(), units.max(a.scalar(name)));
    }
    for (name, ranges) in b.all_ranges() {
        let mut union = a.ranges(name).cloned().unwrap_or_default();
        union.add(ranges);
        maximum = maximum.with_ranges(name.clone(), union);
    }
    maximum
}
