//! LAUNCH: each task by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use proffer_types::agent_link::MasterMessage;
use proffer_types::{AgentId, FrameworkId, Resources, Role, StatusReason, TaskId, TaskInfo, TaskState};

use super::{Remainder, tell_task};
use crate::Event;
use crate::cx::Cx;
use crate::limits::MAX_TASKS_PER_ACCEPT;
use crate::validate::check_task;

pub(super) fn run(cx: &mut Cx<'_>, remainder: &mut Remainder, tasks: Vec<TaskInfo>) {
    for task in tasks {
        let framework = remainder.framework_id.clone();
        match check(cx, &framework, remainder, &task) {
            Ok(()) => {
                remainder.left.subtract(&task.resources);
                remainder.n_tasks += 1;
                launch(cx, &framework, &remainder.role, task);
            }
            Err(why) => {
                let task = TaskInfo {
                    agent_id: remainder.agent_id.clone(),
                    ..task
                };
                let outcome = (TaskState::Error, StatusReason::TaskInvalid);
                tell_task(cx, &framework, &task, outcome, &why);
            }
        }
    }
}

/// Records a task and sends it to its agent.
pub(super) fn launch(cx: &mut Cx<'_>, framework: &FrameworkId, role: &Role, info: TaskInfo) {
    let info = Arc::new(info);
    record(cx, framework, role, &info);
    let agent = info.agent_id.clone();
    let message = MasterMessage::RunTask {
        framework_id: framework.clone(),
        role: role.clone(),
        info,
    };
    cx.tell_agent(&agent, message);
}

/// Notes a task. Its data is for its executor alone, and not kept here.
pub(super) fn record(cx: &mut Cx<'_>, framework: &FrameworkId, role: &Role, info: &Arc<TaskInfo>) {
    let mut info = Arc::clone(info);
    if !info.data.is_empty() {
        Arc::make_mut(&mut info).data = Vec::new();
    }
    cx.emit(Event::TaskLaunched {
        framework_id: framework.clone(),
        role: role.clone(),
        info,
        at: cx.now,
    });
}

fn check(cx: &Cx<'_>, framework: &FrameworkId, remainder: &Remainder, task: &TaskInfo) -> Result<(), String> {
    if remainder.n_tasks >= MAX_TASKS_PER_ACCEPT {
        return Err(format!("more than {MAX_TASKS_PER_ACCEPT} tasks in one accept"));
    }
    check_new(cx, framework, task)?;
    check_fits(&remainder.agent_id, &remainder.left, task)
}

/// Whether a task's id is free and its form is good.
pub(super) fn check_new(cx: &Cx<'_>, framework: &FrameworkId, task: &TaskInfo) -> Result<(), String> {
    if let Some(live) = cx.state.task(framework, &task.id) {
        let state = live.view.state.as_str();
        return Err(format!(
            "task id `{}` is in use by a task that is {state}",
            task.id
        ));
    }
    check_task(task)
}

/// Whether a task is for that agent and fits what is left there.
pub(super) fn check_fits(agent: &AgentId, left: &Resources, task: &TaskInfo) -> Result<(), String> {
    if task.agent_id != *agent {
        return Err(format!(
            "the task is for agent {}, the offer is of agent {agent}",
            task.agent_id
        ));
    }
    match left.first_lacking(&task.resources) {
        Some(name) => Err(format!(
            "the task needs {}; of `{name}`, {left} is left of the offer",
            task.resources
        )),
        None => Ok(()),
    }
}

/// Whether no two tasks that start together have one id.
pub(super) fn check_distinct<'a>(tasks: impl Iterator<Item = &'a TaskInfo>) -> Result<(), (TaskId, String)> {
    let mut seen = BTreeSet::new();
    for task in tasks {
        if !seen.insert(&task.id) {
            return Err((task.id.clone(), "its id is there twice".to_owned()));
        }
    }
    Ok(())
}
