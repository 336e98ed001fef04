//! Suspend: passed to the agent, or remembered until it is back. What cannot be suspended is told so, and goes on; of an
//! unknown or a suspended task, answered as a reconciliation.

use proffer_types::agent_link::MasterMessage;
use proffer_types::{
    AgentId, FrameworkId, StatusReason, StatusSource, TaskId, TaskState, TaskStatus, scheduler_link,
};

use super::reconcile;
use crate::Event;
use crate::cx::Cx;
use crate::state::Task;

pub(crate) fn handle(cx: &mut Cx<'_>, framework: &FrameworkId, task: &TaskId, agent: Option<&AgentId>) {
    let Some(live) = cx.state.task(framework, task) else {
        return reconcile::explicit(cx, framework, task, agent);
    };
    if live.view.state.is_terminal() {
        // Its status is on the way.
        return;
    }
    if live.view.status.condition.is_suspended() {
        return reconcile::explicit(cx, framework, task, agent);
    }
    if let Err(why) = check(cx, live) {
        return refuse(cx, framework, task, StatusReason::TaskSuspendFailed, &why);
    }
    cx.emit(Event::TaskSuspendRequested {
        framework_id: framework.clone(),
        task_id: task.clone(),
    });
    send(cx, framework, task);
}

fn check(cx: &Cx<'_>, live: &Task) -> Result<(), String> {
    let (view, agent_id) = (&live.view, &live.view.info.agent_id);
    if view.state != TaskState::Running {
        return Err(format!("the task is {}, not RUNNING", view.state.as_str()));
    }
    if live.kill.is_some() {
        return Err("the task is being killed".to_owned());
    }
    if view.info.executor.is_some() {
        return Err("the task runs in the container of its executor, with others".to_owned());
    }
    match cx
        .state
        .agent(agent_id)
        .is_some_and(|agent| agent.info.can_suspend)
    {
        true => Ok(()),
        false => Err(format!(
            "agent {agent_id} cannot suspend tasks: its host has no freezer, or its version does not know how"
        )),
    }
}

/// Sends the suspension that is remembered for a live task, if any.
pub(crate) fn send(cx: &mut Cx<'_>, framework: &FrameworkId, task: &TaskId) {
    let live = cx.state.task(framework, task);
    let wanted = live.filter(|live| live.suspend && live.kill.is_none() && !live.view.state.is_terminal());
    if let Some(agent) = wanted.map(|live| live.view.info.agent_id.clone()) {
        let (framework_id, task_id) = (framework.clone(), task.clone());
        cx.tell_agent(
            &agent,
            MasterMessage::SuspendTask {
                framework_id,
                task_id,
            },
        );
    }
}

/// Tells that a live task is neither suspended nor resumed, and why; of another one, all that is known.
pub(crate) fn refuse(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    task: &TaskId,
    reason: StatusReason,
    why: &str,
) {
    let live = cx.state.task(framework, task);
    let Some(live) = live.filter(|live| !live.view.state.is_terminal()) else {
        return reconcile::explicit(cx, framework, task, None);
    };
    let status = TaskStatus {
        state: live.view.state,
        source: StatusSource::Master,
        reason: Some(reason),
        message: why.to_owned(),
        timestamp: cx.now,
        uuid: None,
        ..live.view.status.clone()
    };
    cx.tell_framework(framework, scheduler_link::Event::Update(status));
}

/// Tells of a resumption that its agent does not know of, at its registration.
pub(crate) fn resumption_lost(cx: &mut Cx<'_>, framework: &FrameworkId, listed: &TaskStatus) {
    let live = cx.state.task(framework, &listed.task_id);
    if listed.condition.is_suspended() && live.is_some_and(|live| live.resumed == listed.condition.suspension)
    {
        let status = TaskStatus {
            source: StatusSource::Master,
            reason: Some(StatusReason::TaskResumeFailed),
            message: "the agent was cut off before the resumption reached it".to_owned(),
            timestamp: cx.now,
            uuid: None,
            ..listed.clone()
        };
        cx.tell_framework(framework, scheduler_link::Event::Update(status));
    }
}
