//! An agent speaks within its session: statuses, its total, heartbeats.

use std::time::Duration;

use proffer_types::agent_link::{AgentMessage, MasterMessage};
use proffer_types::{AgentId, FrameworkId, Session, StatusReason, TaskState, TaskStatus, scheduler_link};

use super::{acknowledge, agent_lost, drain, operation};
use crate::cx::Cx;
use crate::state::{Agent, Framework, Peer};
use crate::validate::check_total;
use crate::{CloseReason, Event, LinkId};

/// Takes a frame. Gives the interval of heartbeats that the agent says it goes by.
pub(crate) fn handle(
    cx: &mut Cx<'_>,
    link: LinkId,
    session: Session,
    messages: Vec<AgentMessage>,
) -> Option<Duration> {
    let Some(Peer::Agent(agent)) = cx.state.peer(link).cloned() else {
        cx.close(link, CloseReason::NotRegistered);
        return None;
    };
    if cx.state.agent(&agent).and_then(Agent::link) != Some((link, session)) {
        // The frame was on its way when its session ended.
        return None;
    }
    let mut beats_by = None;
    for message in messages {
        match message {
            AgentMessage::Status {
                framework_id,
                status,
                latest_state,
                latest_suspension,
            } => take(
                cx,
                &agent,
                &framework_id,
                status,
                (latest_state, latest_suspension),
            ),
            AgentMessage::OperationUpdate { framework_id, status } => {
                operation::update(cx, &agent, &framework_id, status)
            }
            AgentMessage::Total(total) => {
                if let Err(message) = check_total(&total) {
                    agent_lost::link_lost(cx, link);
                    cx.close(link, CloseReason::Refused(message));
                    return None;
                }
                operation::total(cx, &agent, total);
            }
            AgentMessage::Heartbeat { interval } => beats_by = interval.or(beats_by),
            AgentMessage::Register { .. } => {
                agent_lost::link_lost(cx, link);
                cx.close(link, CloseReason::AlreadyRegistered);
                return None;
            }
        }
    }
    beats_by
}

/// Takes a status, with the newest state and suspension that the agent knows.
fn take(
    cx: &mut Cx<'_>,
    agent: &AgentId,
    framework: &FrameworkId,
    status: TaskStatus,
    (latest, latest_suspension): (TaskState, u32),
) {
    if status.uuid.is_none() || !is_of_an_agent(status.state) || !is_of_an_agent(latest) {
        return;
    }
    let completed = cx.state.framework(framework).is_none_or(Framework::is_completed);
    let reason = if completed && status.state == TaskState::Killed {
        Some(StatusReason::FrameworkRemoved)
    } else {
        status.reason
    };
    let status = TaskStatus {
        agent_id: Some(agent.clone()),
        reason,
        ..status
    };
    let status = match completed {
        true => status,
        false => drain::blame(cx, agent, framework, status),
    };
    let live = cx.state.task(framework, &status.task_id);
    let is_live = live.is_some_and(|live| live.view.info.agent_id == *agent);
    if is_live {
        cx.emit(Event::TaskUpdated {
            framework_id: framework.clone(),
            status: status.clone(),
            latest_state: latest,
            latest_suspension,
        });
    }
    // A task that was given up has had its last word, unless this is it: its framework may not have heard.
    let stale = !is_live && (live_elsewhere(cx, framework, &status) || !status.state.is_terminal());
    if completed || stale {
        acknowledge_for(cx, agent, framework, &status);
    } else {
        cx.tell_framework(framework, scheduler_link::Event::Update(status));
    }
}

/// Whether an agent can know a task to be in that state; the others are the master's to conclude.
pub(crate) fn is_of_an_agent(state: TaskState) -> bool {
    match state {
        TaskState::Unreachable | TaskState::GoneByOperator | TaskState::Unknown => false,
        TaskState::Staging
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Killing
        | TaskState::Finished
        | TaskState::Failed
        | TaskState::Killed
        | TaskState::Error
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Gone => true,
    }
}

fn live_elsewhere(cx: &Cx<'_>, framework: &FrameworkId, status: &TaskStatus) -> bool {
    cx.state.task(framework, &status.task_id).is_some()
}

/// Nobody else will: the framework is gone, or must not hear of this copy.
fn acknowledge_for(cx: &mut Cx<'_>, agent: &AgentId, framework: &FrameworkId, status: &TaskStatus) {
    let Some(uuid) = status.uuid else {
        return;
    };
    let message = MasterMessage::AcknowledgeStatus {
        framework_id: framework.clone(),
        task_id: status.task_id.clone(),
        uuid,
    };
    cx.tell_agent(agent, message);
    acknowledge::passed(cx, framework, agent, &status.task_id, uuid);
}
