//! An agent leaves: its link is down, then it is unreachable, in the end forgotten.

use std::time::Duration;

use proffer_types::{AgentId, FrameworkId, StatusReason, TaskId, TaskState, Timestamp, scheduler_link};

use super::{away, framework_gone, offers, operation};
use crate::cx::Cx;
use crate::limits::MAX_UNREACHABLE_AGENTS;
use crate::state::{AgentPresence, Framework, Peer, Task};
use crate::{Event, LinkId};

/// An agent's stream ended.
pub(crate) fn link_lost(cx: &mut Cx<'_>, link: LinkId) {
    if let Some(Peer::Agent(agent)) = cx.state.peer(link).cloned() {
        disconnected(cx, &agent, Duration::ZERO);
    }
}

/// The session is over, after some silence; the agent has a while to open another one.
pub(crate) fn disconnected(cx: &mut Cx<'_>, agent: &AgentId, silence: Duration) {
    rescind_offers(cx, agent);
    cx.emit(Event::AgentDisconnected {
        agent_id: agent.clone(),
        deadline: cx.now.after(cx.config.agent_reregister_timeout),
    });
    away::tell(cx, agent, silence);
}

pub(crate) fn rescind_offers(cx: &mut Cx<'_>, agent: &AgentId) {
    let offers = cx.state.agent(agent).map(|agent| agent.offers.clone());
    for offer in offers.unwrap_or_default() {
        offers::rescind(cx, &offer);
    }
}

/// The agent stayed away too long. Its tasks may still run; nobody can say.
pub(crate) fn unreachable(cx: &mut Cx<'_>, agent: &AgentId) {
    rescind_offers(cx, agent);
    cx.emit(Event::AgentUnreachable {
        agent_id: agent.clone(),
        since: cx.now,
    });
    tell_frameworks(cx, agent);
    operation::unreachable(cx, agent);
    let tasks = cx.state.agent(agent).map(|agent| agent.tasks.clone());
    for (framework, task) in tasks.unwrap_or_default() {
        if cx.state.framework(&framework).is_none_or(Framework::is_completed) {
            framework_gone::finish(cx, &framework, &task, agent);
            continue;
        }
        let live = cx.state.task(&framework, &task);
        if live.is_some_and(|live| live.view.state == TaskState::Unreachable) {
            let reason = StatusReason::AgentRemoved;
            let message = "the agent is unreachable";
            let status = cx.status(&task, Some(agent), TaskState::Unreachable, reason, message);
            cx.update_task(&framework, status);
        } else {
            tell_listed_end(cx, agent, &framework, &task);
        }
    }
    forget_surplus(cx);
}

/// Whoever is there hears that an agent is lost.
pub(crate) fn tell_frameworks(cx: &mut Cx<'_>, agent: &AgentId) {
    let links: Vec<_> = cx.state.frameworks().filter_map(|(_, f)| f.link()).collect();
    for link in links {
        cx.send(link, scheduler_link::Event::AgentLost(agent.clone()));
    }
}

/// An agent that listed a task's end may never come to tell it. Its framework hears what it hears of the others; when the
/// agent is back after all, its statuses come in order, up to the end.
fn tell_listed_end(cx: &mut Cx<'_>, agent: &AgentId, framework: &FrameworkId, task: &TaskId) {
    if cx.state.task(framework, task).is_some_and(ended_unheard) {
        let reason = StatusReason::AgentRemoved;
        let message = "the agent is unreachable";
        let status = cx.status(task, Some(agent), TaskState::Unreachable, reason, message);
        cx.tell_framework(framework, scheduler_link::Event::Update(status));
    }
}

/// Whether the task's end is known from its agent's list alone: the status of it was never here.
pub(crate) fn ended_unheard(task: &Task) -> bool {
    let status = &task.view.status;
    // Those of a list have no uuid. Whether it is acknowledged says nothing: an earlier one may be, twice.
    let was_sent = status.state.is_terminal() && status.uuid.is_some();
    task.view.state.is_terminal() && !was_sent
}

/// Beyond the bound, the agent that is unreachable for longest is dropped; its tasks are gone.
fn forget_surplus(cx: &mut Cx<'_>) {
    if cx.state.n_unreachable_agents() <= MAX_UNREACHABLE_AGENTS {
        return;
    }
    let unreachable = cx.state.agents().filter_map(|(id, agent)| match agent.presence {
        AgentPresence::Unreachable { since } => Some((since, id)),
        AgentPresence::Active { .. }
        | AgentPresence::Disconnected { .. }
        | AgentPresence::Recovered { .. } => None,
    });
    let Some(oldest) = unreachable.min().map(|(_, id): (Timestamp, &AgentId)| id.clone()) else {
        return;
    };
    let tasks = cx.state.agent(&oldest).map(|agent| agent.tasks.clone());
    for (framework, task) in tasks.unwrap_or_default() {
        let reason = StatusReason::AgentRemoved;
        let message = "the agent is unreachable for too long";
        let status = cx.status(&task, Some(&oldest), TaskState::Gone, reason, message);
        cx.update_task(&framework, status);
    }
    operation::agent_forgotten(cx, &oldest, "the agent is unreachable for too long");
    let agent_id = oldest;
    cx.emit(Event::AgentForgotten { agent_id });
}
