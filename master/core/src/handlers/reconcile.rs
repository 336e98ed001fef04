//! Reconciliation: what the master knows of a task, asked outright.
//!
//! Silence means "ask later": an agent that may run the task is not back yet since the master's start, or may not be
//! known to the store.

use proffer_types::{
    AgentId, FrameworkId, StatusReason, StatusSource, TaskId, TaskState, TaskStatus, scheduler_link,
};

use super::agent_lost::ended_unheard;
use crate::cx::Cx;
use crate::state::{Agent, AgentPresence};

pub(crate) fn handle(cx: &mut Cx<'_>, framework: &FrameworkId, tasks: &[(TaskId, Option<AgentId>)]) {
    if tasks.is_empty() {
        return implicit(cx, framework);
    }
    for (task, agent) in tasks {
        explicit(cx, framework, task, agent.as_ref());
    }
}

fn implicit(cx: &mut Cx<'_>, framework: &FrameworkId) {
    let live = cx.state.tasks_of(framework);
    let live = live.filter(|(_, task)| !task.view.state.is_terminal());
    let statuses: Vec<_> = live.map(|(_, task)| task.view.status.clone()).collect();
    for status in statuses {
        answer(cx, framework, status);
    }
}

/// Answers for one task by the first rule that holds.
pub(crate) fn explicit(cx: &mut Cx<'_>, framework: &FrameworkId, task: &TaskId, agent: Option<&AgentId>) {
    let live = cx.state.task(framework, task);
    if let Some(live) = live.filter(|live| ended_unheard(live)) {
        let agent = live.view.info.agent_id.clone();
        if cx.state.agent(&agent).is_some_and(Agent::is_unreachable) {
            let (state, reason) = (TaskState::Unreachable, StatusReason::Reconciliation);
            let status = cx.status(task, Some(&agent), state, reason, String::new());
            return answer(cx, framework, status);
        }
    }
    if live.is_some_and(|live| live.view.status.state.is_terminal() && !live.unacknowledged) {
        // An agent listed its end; the statuses up to it are on the way, in order.
        return;
    }
    let live = live.map(|live| &live.view);
    let known = live.or_else(|| cx.state.completed_task(framework, task));
    if let Some(view) = known {
        let status = view.status.clone();
        return answer(cx, framework, status);
    }
    if let Some(state) = state_of_unknown(cx, agent) {
        let reason = StatusReason::Reconciliation;
        let status = cx.status(task, agent, state, reason, String::new());
        answer(cx, framework, status);
    }
}

fn state_of_unknown(cx: &Cx<'_>, agent: Option<&AgentId>) -> Option<TaskState> {
    let is_settled = cx.now >= cx.state.settled_at();
    let Some(id) = agent else {
        let mut agents = cx.state.agents();
        let waiting = !is_settled || agents.any(|(_, agent)| agent.is_recovered());
        return (!waiting).then_some(TaskState::Unknown);
    };
    match cx.state.agent(id).map(|agent: &Agent| &agent.presence) {
        Some(AgentPresence::Recovered { .. }) => None,
        Some(AgentPresence::Active { .. } | AgentPresence::Disconnected { .. }) => Some(TaskState::Gone),
        Some(AgentPresence::Unreachable { .. }) => Some(TaskState::Unreachable),
        None if cx.state.gone_agents().contains_key(id) => Some(TaskState::GoneByOperator),
        None => is_settled.then_some(TaskState::Unknown),
    }
}

fn answer(cx: &mut Cx<'_>, framework: &FrameworkId, status: TaskStatus) {
    // By this reason a framework knows that nothing is held against the task.
    let kept = status
        .reason
        .filter(|reason| *reason == StatusReason::AgentDraining);
    let answer = TaskStatus {
        source: StatusSource::Master,
        reason: kept.or(Some(StatusReason::Reconciliation)),
        message: String::new(),
        uuid: None,
        ..status
    };
    cx.tell_framework(framework, scheduler_link::Event::Update(answer));
}
