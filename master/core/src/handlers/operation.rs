//! Changes of agents' resources: on their way, made durable by the agent, told to who asked, acknowledged.
//!
//! The master changes its own picture of the agent at once; the agent corrects it when it could not follow.

use proffer_types::agent_link::{MasterMessage, RegisteredOperation};
use proffer_types::{
    AgentId, FrameworkId, OfferId, OperationId, OperationState, OperationStatus, ResourceChange, Resources,
    StatusUuid, VolumeId, scheduler_link,
};

use super::offers;
use crate::Event;
use crate::cx::Cx;
use crate::limits::MAX_OPERATIONS_PER_AGENT;
use crate::state::{Agent, AgentPresence, Framework};

/// Who the master's own operations belong to: no framework is ever given such an id.
pub(crate) fn own() -> FrameworkId {
    FrameworkId::new("master").expect("a word is an id")
}

/// A status the master makes itself: no acknowledgement, no retry.
pub(crate) fn status(
    cx: &Cx<'_>,
    id: &OperationId,
    agent: Option<&AgentId>,
    state: OperationState,
    message: impl Into<String>,
) -> OperationStatus {
    OperationStatus {
        operation_id: id.clone(),
        agent_id: agent.cloned(),
        state,
        message: message.into(),
        timestamp: cx.now,
        uuid: None,
    }
}

/// Changes an agent's total and tells the agent to. Fails, and changes nothing, when it cannot be. An operation without
/// an owner is the master's own. Returns its id.
pub(crate) fn send(
    cx: &mut Cx<'_>,
    agent_id: &AgentId,
    owner: Option<(FrameworkId, OperationId)>,
    change: ResourceChange,
) -> Result<OperationId, String> {
    if let Some((framework, id)) = &owner
        && cx.state.operation(framework, id).is_some()
    {
        return Err(format!("operation id `{id}` is in use"));
    }
    let agent = cx.state.agent(agent_id);
    let agent = agent.ok_or_else(|| format!("agent {agent_id} is gone"))?;
    if agent.operations.len() >= MAX_OPERATIONS_PER_AGENT {
        return Err(format!(
            "{MAX_OPERATIONS_PER_AGENT} operations of agent {agent_id} are not acknowledged"
        ));
    }
    let total = change.apply(&agent.info.resources);
    let total = total.map_err(|error| error.to_string())?;
    if let ResourceChange::Destroy { volume } = &change {
        check_unused(cx, agent_id, volume)?;
        offers::rescind_where(cx, |cx, id| offers_volume(cx, id, agent_id, volume));
    }
    let (framework_id, operation_id) = owner.unwrap_or_else(|| (own(), cx.state.next_operation_id()));
    set_total(cx, agent_id, total);
    cx.emit(Event::OperationSent {
        framework_id: framework_id.clone(),
        operation_id: operation_id.clone(),
        agent_id: agent_id.clone(),
        change: change.clone(),
        at: cx.now,
    });
    let message = MasterMessage::ApplyOperation {
        framework_id,
        id: Some(operation_id.clone()),
        change,
    };
    cx.tell_agent(agent_id, message);
    Ok(operation_id)
}

fn set_total(cx: &mut Cx<'_>, agent: &AgentId, total: Resources) {
    cx.emit(Event::ResourcesChanged {
        agent_id: agent.clone(),
        total,
    });
}

fn check_unused(cx: &Cx<'_>, agent: &AgentId, volume: &VolumeId) -> Result<(), String> {
    let tasks = cx.state.agent(agent).into_iter().flat_map(|agent| &agent.tasks);
    let mut tasks = tasks.filter_map(|(framework, task)| cx.state.task(framework, task));
    let user = tasks
        .find(|task| task.view.state.holds_resources() && task.view.info.resources.volume(volume).is_some());
    match user {
        Some(task) => Err(format!(
            "volume `{volume}` is in use by task `{}`",
            task.view.info.id
        )),
        None => Ok(()),
    }
}

fn offers_volume(cx: &Cx<'_>, offer: &OfferId, agent: &AgentId, volume: &VolumeId) -> bool {
    let is_there = cx
        .state
        .offer(offer)
        .is_some_and(|offer| offer.agent_id == *agent);
    let claim = cx.state.offered(offer).filter(|_| is_there);
    claim.is_some_and(|claim| claim.resources.volume(volume).is_some())
}

/// An agent says what became of an operation.
pub(crate) fn update(cx: &mut Cx<'_>, agent: &AgentId, framework: &FrameworkId, status: OperationStatus) {
    let Some(uuid) = status.uuid.filter(|_| status.state.is_terminal()) else {
        return;
    };
    let known = cx.state.operation(framework, &status.operation_id);
    let is_elsewhere = known.is_some_and(|known| known.agent_id != *agent);
    let is_orphan = cx.state.framework(framework).is_none_or(Framework::is_completed);
    if is_elsewhere || is_orphan {
        // Nobody else will.
        if known.is_some() && !is_elsewhere {
            if *framework == own() {
                note(cx, framework, agent, status.clone());
            }
            forget(cx, framework, &status.operation_id);
        }
        send_acknowledgement(cx, agent, framework, &status.operation_id, uuid);
        return;
    }
    let status = OperationStatus {
        agent_id: Some(agent.clone()),
        ..status
    };
    note(cx, framework, agent, status.clone());
    cx.tell_framework(framework, scheduler_link::Event::OperationUpdate(status));
}

fn note(cx: &mut Cx<'_>, framework: &FrameworkId, agent: &AgentId, status: OperationStatus) {
    cx.emit(Event::OperationUpdated {
        framework_id: framework.clone(),
        agent_id: agent.clone(),
        status,
    });
}

fn forget(cx: &mut Cx<'_>, framework: &FrameworkId, id: &OperationId) {
    cx.emit(Event::OperationForgotten {
        framework_id: framework.clone(),
        operation_id: id.clone(),
    });
}

fn send_acknowledgement(
    cx: &mut Cx<'_>,
    agent: &AgentId,
    framework: &FrameworkId,
    id: &OperationId,
    uuid: StatusUuid,
) -> bool {
    let message = MasterMessage::AcknowledgeOperation {
        framework_id: framework.clone(),
        operation_id: id.clone(),
        uuid,
    };
    cx.tell_agent(agent, message)
}

/// A framework has seen an operation's end: the agent may forget it.
pub(crate) fn acknowledge(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    agent: &AgentId,
    id: &OperationId,
    uuid: StatusUuid,
) {
    // An agent that is away sends the status again when it is back, and so it is acknowledged again.
    if !send_acknowledgement(cx, agent, framework, id, uuid) {
        return;
    }
    let known = cx.state.operation(framework, id);
    if known.is_some_and(|known| known.agent_id == *agent && known.status.uuid == Some(uuid)) {
        forget(cx, framework, id);
    }
}

/// What a framework did not acknowledge before it left.
pub(crate) fn resend(cx: &mut Cx<'_>, framework: &FrameworkId) {
    let own = cx.state.operations_of(framework);
    let waiting = own.filter(|(_, operation)| operation.status.uuid.is_some());
    let waiting: Vec<_> = waiting.map(|(_, operation)| operation.status.clone()).collect();
    for status in waiting {
        cx.tell_framework(framework, scheduler_link::Event::OperationUpdate(status));
    }
}

/// What the master knows of operations, asked outright; all of them when none is named.
pub(crate) fn reconcile(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    operations: &[(OperationId, Option<AgentId>)],
) {
    let statuses: Vec<OperationStatus> = if operations.is_empty() {
        let own = cx.state.operations_of(framework);
        own.map(|(_, operation)| operation.status.clone()).collect()
    } else {
        let named = operations.iter();
        named
            .filter_map(|(id, agent)| known_or_not(cx, framework, id, agent.as_ref()))
            .collect()
    };
    for status in statuses {
        let status = OperationStatus { uuid: None, ..status };
        cx.tell_framework(framework, scheduler_link::Event::OperationUpdate(status));
    }
}

/// `None` while an agent that may know the operation is expected back.
fn known_or_not(
    cx: &Cx<'_>,
    framework: &FrameworkId,
    id: &OperationId,
    agent: Option<&AgentId>,
) -> Option<OperationStatus> {
    if let Some(operation) = cx.state.operation(framework, id) {
        return Some(operation.status.clone());
    }
    let presence = agent.map(|agent| cx.state.agent(agent).map(|agent| &agent.presence));
    let state = match presence {
        None if cx.state.n_recovered_agents() > 0 => return None,
        Some(Some(AgentPresence::Recovered { .. })) => return None,
        Some(Some(AgentPresence::Unreachable { .. })) => OperationState::Unreachable,
        None | Some(None | Some(AgentPresence::Active { .. } | AgentPresence::Disconnected { .. })) => {
            OperationState::Unknown
        }
    };
    Some(status(cx, id, agent, state, String::new()))
}

/// An agent is back with these. What the master sent it and it does not list never reached it, or is acknowledged.
pub(crate) fn compare(cx: &mut Cx<'_>, agent_id: &AgentId, listed: Vec<RegisteredOperation>) {
    let known = cx.state.agent(agent_id).map(|agent| agent.operations.clone());
    for (framework, id) in known.unwrap_or_default() {
        let is_listed = |listed: &RegisteredOperation| {
            listed.framework_id == framework && listed.status.operation_id == id
        };
        if listed.iter().any(is_listed) {
            continue;
        }
        let known = cx.state.operation(&framework, &id);
        if known.is_some_and(|known| !known.status.state.is_terminal()) {
            let message = "the agent was cut off before the operation reached it";
            let status = status(cx, &id, Some(agent_id), OperationState::Dropped, message);
            cx.tell_framework(&framework, scheduler_link::Event::OperationUpdate(status));
        }
        forget(cx, &framework, &id);
    }
    for RegisteredOperation { framework_id, status } in listed {
        let known = cx.state.operation(&framework_id, &status.operation_id);
        let is_elsewhere = known.is_some_and(|known| known.agent_id != *agent_id);
        let is_orphan = cx
            .state
            .framework(&framework_id)
            .is_none_or(Framework::is_completed);
        if !is_elsewhere && !is_orphan && status.state.is_terminal() {
            // The status itself follows: the agent sends it again in its new session.
            let agent = Some(agent_id.clone());
            let status = OperationStatus {
                agent_id: agent,
                ..status
            };
            note(cx, &framework_id, agent_id, status);
        }
    }
}

/// An agent was given up: nobody can say what became of what was on its way there.
pub(crate) fn unreachable(cx: &mut Cx<'_>, agent_id: &AgentId) {
    for (framework, id) in of_agent(cx, agent_id) {
        let known = cx.state.operation(&framework, &id);
        if known.is_some_and(|known| known.status.state == OperationState::Pending) {
            let message = "the agent is unreachable";
            let status = status(cx, &id, Some(agent_id), OperationState::Unreachable, message);
            note(cx, &framework, agent_id, status.clone());
            cx.tell_framework(&framework, scheduler_link::Event::OperationUpdate(status));
        }
    }
}

/// An agent is dropped for good.
pub(crate) fn agent_forgotten(cx: &mut Cx<'_>, agent_id: &AgentId, why: &str) {
    for (framework, id) in of_agent(cx, agent_id) {
        let known = cx.state.operation(&framework, &id);
        if known.is_some_and(|known| !known.status.state.is_terminal()) {
            let status = status(cx, &id, Some(agent_id), OperationState::Unknown, why);
            cx.tell_framework(&framework, scheduler_link::Event::OperationUpdate(status));
        }
        forget(cx, &framework, &id);
    }
}

/// A framework is completed: nobody waits for its operations any more.
pub(crate) fn framework_completed(cx: &mut Cx<'_>, framework: &FrameworkId) {
    let own = cx.state.operations_of(framework);
    let own: Vec<OperationId> = own.map(|(id, _)| id.clone()).collect();
    for id in own {
        forget(cx, framework, &id);
    }
}

fn of_agent(cx: &Cx<'_>, agent: &AgentId) -> Vec<(FrameworkId, OperationId)> {
    let agent: Option<&Agent> = cx.state.agent(agent);
    agent.map(|agent| agent.operations.clone()).unwrap_or_default()
}

/// An agent's total is another than the master's picture of it. What is on its way there comes on top, in order; what
/// of it the agent refuses, it says, and corrects the picture again.
pub(crate) fn total(cx: &mut Cx<'_>, agent_id: &AgentId, total: Resources) {
    let pending = of_agent(cx, agent_id);
    let pending = pending.iter().filter_map(|(framework, id)| {
        let operation = cx.state.operation(framework, id)?;
        let is_pending = operation.status.state == OperationState::Pending;
        operation.change.as_ref().filter(|_| is_pending)
    });
    let total = pending.fold(total, |total, change| change.apply(&total).unwrap_or(total));
    if cx
        .state
        .agent(agent_id)
        .is_some_and(|agent| agent.info.resources != total)
    {
        super::agent_lost::rescind_offers(cx, agent_id);
        set_total(cx, agent_id, total);
    }
}
