//! Accept: offers become tasks, suspended tasks that go on, reservations and volumes; what is left of them is declined.
//!
//! Whether the offers are valid is all or nothing; whether an operation is, is its own affair, except for the offers
//! of a gang. Operations run in order over what is left of the offers' sum.

mod change;
mod gang;
mod launch;
mod launch_group;
mod resume;

use std::collections::BTreeSet;

use proffer_types::scheduler_link::{self, RefusedTask};
use proffer_types::{
    AgentId, Filters, FrameworkId, OfferId, Operation, OperationId, OperationState, Resources, Role,
    StatusReason, TaskInfo, TaskState,
};

use super::offers::{self, Held};
use super::operation;
use crate::cx::Cx;
use crate::state::OfferEntry;
use crate::{Event, OfferEnd};

/// What is left of the offers of one agent while the operations run.
struct Remainder {
    framework_id: FrameworkId,
    agent_id: AgentId,
    role: Role,
    left: Resources,
    /// What changes made of it: returned without a filter, for nobody has seen it yet.
    converted: Resources,
    n_tasks: usize,
}

pub(crate) fn handle(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    offer_ids: &[OfferId],
    operations: Vec<Operation>,
    refused: &[RefusedTask],
    filters: Filters,
) {
    refuse(cx, framework, refused);
    let named = match named(cx, framework, offer_ids) {
        Ok(named) => named,
        Err(why) => return void(cx, framework, offer_ids, &operations, &why),
    };
    if operations.is_empty() {
        return offers::decline(cx, framework, offer_ids, filters);
    }
    match named {
        Named::Gang(held) => gang::handle(cx, framework, held, operations, refused, filters),
        Named::OneAgent(held) => {
            end(cx, offer_ids, OfferEnd::Accepted);
            run(cx, held, operations, filters);
        }
    }
}

fn run(cx: &mut Cx<'_>, held: Held, operations: Vec<Operation>, filters: Filters) {
    let mut remainder = Remainder {
        framework_id: held.framework_id,
        agent_id: held.agent_id,
        role: held.role,
        left: held.resources,
        converted: Resources::new(),
        n_tasks: 0,
    };
    for operation in operations {
        match operation {
            Operation::Launch(tasks) => launch::run(cx, &mut remainder, tasks),
            Operation::LaunchGroup(tasks) => launch_group::run(cx, &mut remainder, tasks),
            Operation::Resume(tasks) => resume::run(cx, &mut remainder, &tasks),
            Operation::Change { id, change } => change::run(cx, &mut remainder, id, change),
        }
    }
    remainder.give_back(cx, filters);
}

impl Remainder {
    /// What no operation used is declined, but for what they made.
    fn give_back(self, cx: &mut Cx<'_>, filters: Filters) {
        let refused = Held {
            framework_id: self.framework_id,
            agent_id: self.agent_id,
            role: self.role,
            resources: self.left.minus(&self.converted),
        };
        offers::set_filter(cx, refused, filters);
    }
}

fn end(cx: &mut Cx<'_>, offer_ids: &[OfferId], end: OfferEnd) {
    for id in offer_ids {
        let offer_id = id.clone();
        cx.emit(Event::OfferEnded {
            offer_id,
            end,
            at: cx.now,
        });
    }
}

/// Tells of tasks that never were: their descriptions are wrong, whatever becomes of the offers.
fn refuse(cx: &mut Cx<'_>, framework: &FrameworkId, refused: &[RefusedTask]) {
    for task in refused {
        let (state, agent_id) = (TaskState::Error, task.agent_id.as_ref());
        let status = cx.status(&task.id, agent_id, state, task.reason, &task.message);
        cx.tell_framework(framework, scheduler_link::Event::Update(status));
    }
}

/// The offers of one accept.
enum Named {
    /// Their sum.
    OneAgent(Held),
    /// Those of a bundle, each by itself.
    Gang(Vec<(OfferId, Held)>),
}

fn named(cx: &Cx<'_>, framework: &FrameworkId, offer_ids: &[OfferId]) -> Result<Named, String> {
    let mut held: Vec<(OfferId, Held)> = Vec::new();
    let mut first: Option<&OfferEntry> = None;
    let mut seen = BTreeSet::new();
    for id in offer_ids {
        if !seen.insert(id.clone()) {
            return Err(format!("offer {id} is named twice"));
        }
        let offer = cx.state.offer(id);
        let offer = offer.filter(|offer| offer.framework_id == *framework);
        let offer = offer.ok_or_else(|| format!("offer {id} is no longer valid"))?;
        let first = *first.get_or_insert(offer);
        if offer.gang != first.gang {
            return Err(format!(
                "offer {id} is of another gang than the first, or of none"
            ));
        }
        let same = offer.gang.is_some() || (&offer.agent_id, &offer.role) == (&first.agent_id, &first.role);
        if !same {
            return Err(format!("offer {id} is of another agent or role than the first"));
        }
        held.extend(offers::held(cx, id).map(|held| (id.clone(), held)));
    }
    let Some(one) = first else {
        return Err("no offer is named".to_owned());
    };
    if one.gang.is_some() {
        let bundle = offer_ids.first().map(|id| cx.state.bundle_of(id));
        return match bundle.unwrap_or_default().difference(&seen).next() {
            Some(missing) => Err(format!("offer {missing} of the same gang is not named")),
            None => Ok(Named::Gang(held)),
        };
    }
    let sum = held.into_iter().map(|(_, held)| held).reduce(|mut sum, held| {
        sum.resources.add(&held.resources);
        sum
    });
    sum.map(Named::OneAgent)
        .ok_or_else(|| "no offer is named".to_owned())
}

/// Valid offers among void ones are returned without a filter.
fn void(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    offer_ids: &[OfferId],
    operations: &[Operation],
    why: &str,
) {
    offers::decline(cx, framework, offer_ids, Filters::NONE);
    let outcome = (TaskState::Dropped, StatusReason::InvalidOffers);
    for operation in operations {
        match operation {
            Operation::Launch(tasks) | Operation::LaunchGroup(tasks) => {
                for task in tasks {
                    tell_task(cx, framework, task, outcome, why);
                }
            }
            Operation::Resume(tasks) => resume::refuse(cx, framework, tasks, why),
            Operation::Change { id, .. } => tell_operation(cx, framework, None, id.as_ref(), why),
        }
    }
}

/// Tells of a task that is not launched.
fn tell_task(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    task: &TaskInfo,
    (state, reason): (TaskState, StatusReason),
    why: &str,
) {
    let status = cx.status(&task.id, Some(&task.agent_id), state, reason, why);
    cx.tell_framework(framework, scheduler_link::Event::Update(status));
}

/// Tells of a change that is not tried, if it has a name to be told by.
fn tell_operation(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    agent: Option<&AgentId>,
    id: Option<&OperationId>,
    why: &str,
) {
    if let Some(id) = id {
        let status = operation::status(cx, id, agent, OperationState::Error, why);
        cx.tell_framework(framework, scheduler_link::Event::OperationUpdate(status));
    }
}
