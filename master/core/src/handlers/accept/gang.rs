//! The offers of a gang: all tasks start, on whatever agents, or none does.

use std::collections::BTreeMap;

use proffer_types::scheduler_link::RefusedTask;
use proffer_types::{
    AgentId, Filters, FrameworkId, OfferId, Operation, Resources, StatusReason, TaskId, TaskInfo, TaskState,
};

use super::launch_group::of_culprit;
use super::{end, launch, resume, tell_operation, tell_task};
use crate::OfferEnd;
use crate::cx::Cx;
use crate::handlers::offers::{self, Held};
use crate::limits::MAX_TASKS_PER_ACCEPT;

pub(super) fn handle(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    offers: Vec<(OfferId, Held)>,
    operations: Vec<Operation>,
    refused: &[RefusedTask],
    filters: Filters,
) {
    let ids: Vec<OfferId> = offers.iter().map(|(id, _)| id.clone()).collect();
    match check(cx, framework, &offers, &operations, refused) {
        Ok(left) => {
            end(cx, &ids, OfferEnd::Accepted);
            for operation in operations {
                start(cx, framework, &offers, operation);
            }
            for (_, held) in offers {
                let resources = left.get(&held.agent_id).cloned().unwrap_or_default();
                offers::set_filter(cx, Held { resources, ..held }, filters.clone());
            }
        }
        Err((culprit, why)) => {
            offers::decline(cx, framework, &ids, filters);
            for operation in operations {
                refuse(cx, framework, &operation, culprit.as_ref(), &why);
            }
        }
    }
}

/// What is left on each agent. Fails with what is wrong, and the task it is wrong with.
fn check(
    cx: &Cx<'_>,
    framework: &FrameworkId,
    offers: &[(OfferId, Held)],
    operations: &[Operation],
    refused: &[RefusedTask],
) -> Result<BTreeMap<AgentId, Resources>, (Option<TaskId>, String)> {
    if let Some(task) = refused.first() {
        return Err((Some(task.id.clone()), task.message.clone()));
    }
    let mut tasks = Vec::new();
    for operation in operations {
        match operation {
            Operation::Launch(launched) => tasks.extend(launched),
            Operation::LaunchGroup(_) | Operation::Resume(_) | Operation::Change { .. } => {
                return Err((None, "the offers of a gang are for tasks only".to_owned()));
            }
        }
    }
    if tasks.len() > MAX_TASKS_PER_ACCEPT {
        return Err((
            None,
            format!("more than {MAX_TASKS_PER_ACCEPT} tasks in one accept"),
        ));
    }
    let of_task = |(id, why)| (Some(id), why);
    launch::check_distinct(tasks.iter().copied()).map_err(of_task)?;
    let mut left: BTreeMap<AgentId, Resources> = BTreeMap::new();
    for (_, held) in offers {
        left.entry(held.agent_id.clone())
            .or_default()
            .add(&held.resources);
    }
    for task in tasks {
        launch::check_new(cx, framework, task)
            .and_then(|()| take(&mut left, task))
            .map_err(|why| of_task((task.id.clone(), why)))?;
    }
    Ok(left)
}

fn take(left: &mut BTreeMap<AgentId, Resources>, task: &TaskInfo) -> Result<(), String> {
    let Some(there) = left.get_mut(&task.agent_id) else {
        return Err(format!("no offer of the gang is of agent {}", task.agent_id));
    };
    launch::check_fits(&task.agent_id, there, task)?;
    there.subtract(&task.resources);
    Ok(())
}

fn start(cx: &mut Cx<'_>, framework: &FrameworkId, offers: &[(OfferId, Held)], operation: Operation) {
    let (Operation::Launch(tasks), Some((_, held))) = (operation, offers.first()) else {
        return;
    };
    for task in tasks {
        launch::launch(cx, framework, &held.role, task);
    }
}

fn refuse(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    operation: &Operation,
    culprit: Option<&TaskId>,
    why: &str,
) {
    match operation {
        Operation::Launch(tasks) | Operation::LaunchGroup(tasks) => {
            let outcome = (TaskState::Error, StatusReason::TaskGroupInvalid);
            for task in tasks {
                let why =
                    culprit.map_or_else(|| why.to_owned(), |culprit| of_culprit(&task.id, culprit, why));
                tell_task(cx, framework, task, outcome, &why);
            }
        }
        Operation::Resume(tasks) => resume::refuse(cx, framework, tasks, why),
        Operation::Change { id, .. } => tell_operation(cx, framework, None, id.as_ref(), why),
    }
}
