//! Kill: passed to the agent, or remembered until it is back. Of an unknown task, answered as a reconciliation.

use proffer_types::agent_link::MasterMessage;
use proffer_types::{AgentId, FrameworkId, KillPolicy, TaskId};

use super::reconcile;
use crate::Event;
use crate::cx::Cx;

pub(crate) fn handle(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    task: &TaskId,
    agent: Option<&AgentId>,
    kill_policy: KillPolicy,
) {
    if cx.state.task(framework, task).is_some() {
        request(cx, framework, task, kill_policy);
    } else {
        reconcile::explicit(cx, framework, task, agent);
    }
}

/// Wants a live task dead. One that has ended needs nothing: its status is on the way.
pub(crate) fn request(cx: &mut Cx<'_>, framework: &FrameworkId, task: &TaskId, kill_policy: KillPolicy) {
    want(cx, framework, task, kill_policy, false);
}

/// Wants a live task dead because its agent is drained.
pub(crate) fn drain(cx: &mut Cx<'_>, framework: &FrameworkId, task: &TaskId, kill_policy: KillPolicy) {
    want(cx, framework, task, kill_policy, true);
}

fn want(cx: &mut Cx<'_>, framework: &FrameworkId, task: &TaskId, kill_policy: KillPolicy, by_drain: bool) {
    let live = cx.state.task(framework, task);
    if live.is_none_or(|live| live.view.state.is_terminal()) {
        return;
    }
    cx.emit(Event::TaskKillRequested {
        framework_id: framework.clone(),
        task_id: task.clone(),
        kill_policy,
        by_drain,
    });
    send(cx, framework, task);
}

/// Sends the kill that is remembered for a live task, if any.
pub(crate) fn send(cx: &mut Cx<'_>, framework: &FrameworkId, task: &TaskId) {
    let live = cx.state.task(framework, task);
    let live = live.filter(|live| !live.view.state.is_terminal());
    let wanted = live.and_then(|live| Some((live.view.info.agent_id.clone(), live.kill?)));
    if let Some((agent, kill_policy)) = wanted {
        let (framework_id, task_id) = (framework.clone(), task.clone());
        let message = MasterMessage::KillTask {
            framework_id,
            task_id,
            kill_policy,
        };
        cx.tell_agent(&agent, message);
    }
}
