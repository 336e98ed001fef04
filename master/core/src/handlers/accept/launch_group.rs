//! LAUNCH_GROUP: tasks that start together or not at all.

use std::sync::Arc;

use proffer_types::agent_link::MasterMessage;
use proffer_types::container::NetworkMode;
use proffer_types::{Resources, StatusReason, TaskId, TaskInfo, TaskState};

use super::{Remainder, launch, tell_task};
use crate::cx::Cx;
use crate::limits::{MAX_TASKS_PER_ACCEPT, MAX_TASKS_PER_GROUP};

pub(super) fn run(cx: &mut Cx<'_>, remainder: &mut Remainder, tasks: Vec<TaskInfo>) {
    let framework = remainder.framework_id.clone();
    match check(cx, remainder, &tasks) {
        Ok(left) => {
            remainder.left = left;
            remainder.n_tasks += tasks.len();
            start(cx, remainder, tasks);
        }
        Err((culprit, why)) => {
            let outcome = (TaskState::Error, StatusReason::TaskGroupInvalid);
            for task in &tasks {
                let why = of_culprit(&task.id, &culprit, &why);
                tell_task(cx, &framework, task, outcome, &why);
            }
        }
    }
}

/// What a task of a group that is refused is told.
pub(super) fn of_culprit(task: &TaskId, culprit: &TaskId, why: &str) -> String {
    if task == culprit {
        why.to_owned()
    } else {
        format!("task `{culprit}`, which would start with it, is invalid: {why}")
    }
}

/// What is left beside the group. Fails with the first task that cannot be launched.
fn check(cx: &Cx<'_>, remainder: &Remainder, tasks: &[TaskInfo]) -> Result<Resources, (TaskId, String)> {
    let Some(first) = tasks.first() else {
        return Ok(remainder.left.clone());
    };
    if tasks.len() > MAX_TASKS_PER_GROUP || remainder.n_tasks + tasks.len() > MAX_TASKS_PER_ACCEPT {
        let why = format!(
            "a group has at most {MAX_TASKS_PER_GROUP} tasks, and an accept at most {MAX_TASKS_PER_ACCEPT}"
        );
        return Err((first.id.clone(), why));
    }
    launch::check_distinct(tasks.iter())?;
    check_network(first, tasks)?;
    if let Some(task) = tasks.iter().find(|task| task.executor.is_some()) {
        let why = "a task with an executor cannot be one of a group";
        return Err((task.id.clone(), why.to_owned()));
    }
    let mut left = remainder.left.clone();
    for task in tasks {
        launch::check_new(cx, &remainder.framework_id, task)
            .and_then(|()| launch::check_fits(&remainder.agent_id, &left, task))
            .map_err(|why| (task.id.clone(), why))?;
        left.subtract(&task.resources);
    }
    Ok(left)
}

/// The tasks of a group share one network, so they must ask for the same.
fn check_network(first: &TaskInfo, tasks: &[TaskInfo]) -> Result<(), (TaskId, String)> {
    let mode = |task: &TaskInfo| match &task.container.network.mode {
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Bridge => "bridge".to_owned(),
        NetworkMode::Cni(name) => format!("cni:{name}"),
    };
    let other = tasks.iter().find(|task| mode(task) != mode(first));
    other.map_or(Ok(()), |other| {
        let why = format!(
            "it asks for the network `{}` and task `{}` of its group for `{}`: a group shares one",
            mode(other),
            first.id,
            mode(first)
        );
        Err((other.id.clone(), why))
    })
}

fn start(cx: &mut Cx<'_>, remainder: &Remainder, tasks: Vec<TaskInfo>) {
    if tasks.is_empty() {
        return;
    }
    let group = cx.state.next_group_id();
    for task in &tasks {
        launch::record(
            cx,
            &remainder.framework_id,
            &remainder.role,
            &Arc::new(task.clone()),
        );
    }
    let message = MasterMessage::RunGroup {
        framework_id: remainder.framework_id.clone(),
        role: remainder.role.clone(),
        group,
        tasks,
    };
    cx.tell_agent(&remainder.agent_id, message);
}

#[cfg(test)]
mod tests {
    use proffer_types::AgentId;

    use super::*;

    #[test]
    fn the_tasks_of_a_group_ask_for_one_network() {
        let task = |id: &str, mode: NetworkMode| {
            let (id, agent_id) = (TaskId::new(id).unwrap(), AgentId::new("a").unwrap());
            let mut task = TaskInfo::new(id, agent_id, Resources::new(), ["true"]);
            task.container.network.mode = mode;
            task
        };
        let checked = |second: NetworkMode| {
            let tasks = [
                task("t1", NetworkMode::Bridge),
                task("t2", NetworkMode::Bridge),
                task("t3", second),
            ];
            check_network(&tasks[0], &tasks).map_err(|(culprit, why)| format!("{culprit}: {why}"))
        };
        assert_eq!(checked(NetworkMode::Bridge), Ok(()));
        assert_eq!(
            checked(NetworkMode::Host).unwrap_err(),
            "t3: it asks for the network `host` and task `t1` of its group for `bridge`: a group shares one"
        );
        assert!(checked(NetworkMode::Cni("x".to_owned())).is_err());
    }
}
