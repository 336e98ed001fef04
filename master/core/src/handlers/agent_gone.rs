//! Gone: by an operator's word an agent is dead, and never comes back under its id.
//!
//! So its tasks are over and its resources leave the pool at once, whoever is connected. An agent that is there all the
//! same, now or later, is told to kill its tasks and to end.

use proffer_types::agent_link::MasterMessage;
use proffer_types::{AgentId, FrameworkId, Session, StatusReason, TaskId, TaskState};

use super::{agent_lost, inverse, operation};
use crate::cx::Cx;
use crate::limits::MAX_GONE_AGENTS;
use crate::state::Agent;
use crate::{CloseReason, Effect, Event, LinkId, OperatorError};

/// An operator declares an agent gone. Saying it twice changes nothing.
pub(crate) fn handle(cx: &mut Cx<'_>, agent: &AgentId) -> Result<(), OperatorError> {
    if cx.state.agent(agent).is_some() {
        mark(cx, agent);
        return Ok(());
    }
    match cx.state.gone_agents().contains_key(agent) {
        true => Ok(()),
        false => Err(OperatorError::NoSuchAgent(agent.clone())),
    }
}

/// Ends everything of an agent.
pub(crate) fn mark(cx: &mut Cx<'_>, agent: &AgentId) {
    agent_lost::rescind_offers(cx, agent);
    inverse::rescind_all(cx, agent);
    let link = cx.state.agent(agent).and_then(Agent::link);
    let message = message(agent);
    if let Some((link, _)) = link {
        let words = message.clone();
        cx.tell_agent(agent, MasterMessage::Gone { message: words });
        cx.close(link, CloseReason::Refused(message));
    }
    agent_lost::tell_frameworks(cx, agent);
    operation::agent_forgotten(cx, agent, "an operator declared the agent gone");
    let tasks = cx.state.agent(agent).map(|agent| agent.tasks.clone());
    for (framework, task) in tasks.unwrap_or_default() {
        end(cx, agent, &framework, &task);
    }
    cx.emit(Event::AgentGone {
        agent_id: agent.clone(),
        since: cx.now,
    });
    if let Some(agent_id) = cx.state.surplus_gone_agent(MAX_GONE_AGENTS).cloned() {
        cx.emit(Event::AgentForgotten { agent_id });
    }
}

/// A task that ended by itself keeps its end, even where only its agent could have said more of it.
fn end(cx: &mut Cx<'_>, agent: &AgentId, framework: &FrameworkId, task: &TaskId) {
    let Some(live) = cx.state.task(framework, task) else {
        return;
    };
    if live.view.status.state.is_terminal() {
        let (framework_id, task_id) = (framework.clone(), task.clone());
        return cx.emit(Event::TaskCompleted {
            framework_id,
            task_id,
        });
    }
    let latest = live.view.state;
    let state = if latest.is_terminal() {
        latest
    } else {
        TaskState::GoneByOperator
    };
    let reason = StatusReason::AgentRemovedByOperator;
    let message = "an operator declared the agent gone";
    let status = cx.status(task, Some(agent), state, reason, message);
    cx.update_task(framework, status);
}

/// Refuses an agent that is gone.
pub(crate) fn refuse(cx: &mut Cx<'_>, link: LinkId, agent: &AgentId) {
    let message = message(agent);
    cx.out.effects.push(Effect::ToAgent {
        link,
        session: Session(0),
        message: MasterMessage::Gone {
            message: message.clone(),
        },
    });
    cx.close(link, CloseReason::Refused(message));
}

fn message(agent: &AgentId) -> String {
    format!(
        "an operator declared agent `{agent}` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory"
    )
}
