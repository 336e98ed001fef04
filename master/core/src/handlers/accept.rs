//! Accept: offers become tasks; what is left of them is declined.
//!
//! Whether the offers are valid is all or nothing; whether a task is, is its own affair.

use std::collections::BTreeSet;

use proffer_types::agent_link::MasterMessage;
use proffer_types::scheduler_link::{self, Operation, RefusedTask};
use proffer_types::{
    AgentId, Filters, FrameworkId, OfferId, Resources, Role, StatusReason, TaskInfo, TaskState,
};

use super::offers;
use crate::cx::Cx;
use crate::limits::MAX_TASKS_PER_ACCEPT;
use crate::validate::check_task;
use crate::{Event, OfferEnd};

/// The sum of the offers of one accept.
struct Held {
    agent_id: AgentId,
    role: Role,
    resources: Resources,
}

pub(crate) fn handle(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    offer_ids: &[OfferId],
    operations: Vec<Operation>,
    filters: Filters,
) {
    let launches = operations.into_iter().flat_map(|Operation::Launch(tasks)| tasks);
    let tasks: Vec<TaskInfo> = launches.collect();
    let held = match held(cx, framework, offer_ids) {
        Ok(held) => held,
        Err(why) => return void(cx, framework, offer_ids, &tasks, &why),
    };
    for id in offer_ids {
        let (offer_id, end) = (id.clone(), OfferEnd::Accepted);
        cx.emit(Event::OfferEnded { offer_id, end });
    }
    let mut left = held.resources.clone();
    for (nth, task) in tasks.into_iter().enumerate() {
        match check(cx, framework, &held, &left, &task, nth) {
            Ok(()) => {
                left.subtract(&task.resources);
                launch(cx, framework, &held.role, task);
            }
            Err(why) => {
                let (state, reason) = (TaskState::Error, StatusReason::TaskInvalid);
                let status = cx.status(&task.id, Some(&held.agent_id), state, reason, why);
                cx.tell_framework(framework, scheduler_link::Event::Update(status));
            }
        }
    }
    offers::set_filter(cx, framework, &held.role, &held.agent_id, left, filters);
}

/// Tells of tasks that never were: their descriptions are wrong, whatever becomes of the offers.
pub(crate) fn refuse(cx: &mut Cx<'_>, framework: &FrameworkId, refused: &[RefusedTask]) {
    for task in refused {
        let (state, agent_id) = (TaskState::Error, task.agent_id.as_ref());
        let status = cx.status(&task.id, agent_id, state, task.reason, &task.message);
        cx.tell_framework(framework, scheduler_link::Event::Update(status));
    }
}

fn launch(cx: &mut Cx<'_>, framework: &FrameworkId, role: &Role, info: TaskInfo) {
    cx.emit(Event::TaskLaunched {
        framework_id: framework.clone(),
        role: role.clone(),
        info: info.clone(),
        at: cx.now,
    });
    let agent = info.agent_id.clone();
    let message = MasterMessage::RunTask {
        framework_id: framework.clone(),
        role: role.clone(),
        info,
    };
    cx.tell_agent(&agent, message);
}

fn held(cx: &Cx<'_>, framework: &FrameworkId, offer_ids: &[OfferId]) -> Result<Held, String> {
    let mut held: Option<Held> = None;
    let mut seen = BTreeSet::new();
    for id in offer_ids {
        if !seen.insert(id) {
            return Err(format!("offer {id} is named twice"));
        }
        let offer = cx
            .state
            .offer(id)
            .filter(|offer| offer.framework_id == *framework);
        let offer = offer.ok_or_else(|| format!("offer {id} is no longer valid"))?;
        match &mut held {
            None => {
                held = Some(Held {
                    agent_id: offer.agent_id.clone(),
                    role: offer.role.clone(),
                    resources: offer.resources.clone(),
                });
            }
            Some(held) if held.agent_id == offer.agent_id && held.role == offer.role => {
                held.resources.add(&offer.resources);
            }
            Some(_) => return Err(format!("offer {id} is of another agent or role than the first")),
        }
    }
    held.ok_or_else(|| "no offer is named".to_owned())
}

/// Valid offers among void ones are returned without a filter.
fn void(cx: &mut Cx<'_>, framework: &FrameworkId, offer_ids: &[OfferId], tasks: &[TaskInfo], why: &str) {
    offers::decline(cx, framework, offer_ids, Filters::NONE);
    for task in tasks {
        let (state, reason) = (TaskState::Dropped, StatusReason::InvalidOffers);
        let status = cx.status(&task.id, Some(&task.agent_id), state, reason, why);
        cx.tell_framework(framework, scheduler_link::Event::Update(status));
    }
}

fn check(
    cx: &Cx<'_>,
    framework: &FrameworkId,
    held: &Held,
    left: &Resources,
    task: &TaskInfo,
    nth: usize,
) -> Result<(), String> {
    if nth >= MAX_TASKS_PER_ACCEPT {
        return Err(format!("more than {MAX_TASKS_PER_ACCEPT} tasks in one accept"));
    }
    if let Some(live) = cx.state.task(framework, &task.id) {
        let state = live.view.state.as_str();
        return Err(format!(
            "task id `{}` is in use by a task that is {state}",
            task.id
        ));
    }
    if task.agent_id != held.agent_id {
        return Err(format!(
            "the task is for agent {}, the offer is of agent {}",
            task.agent_id, held.agent_id
        ));
    }
    check_task(task)?;
    match left.first_lacking(&task.resources) {
        Some(name) => Err(format!(
            "the task needs {}; of `{name}`, {left} is left of the offer",
            task.resources
        )),
        None => Ok(()),
    }
}
