//! An agent opens a session, with everything it runs: a new agent, or one that comes back.
//!
//! Sessions fence: what the master sent in an older one and the agent does not list was never received.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proffer_types::agent_link::{MasterMessage, RegisteredOperation, RegisteredTask};
use proffer_types::framework::DEFAULT_FAILOVER_TIMEOUT;
use proffer_types::{
    AgentId, AgentInfo, Capabilities, FrameworkId, FrameworkInfo, KillPolicy, Role, Session, StatusReason,
    StatusSource, TaskId, TaskInfo, TaskState, TaskStatus, scheduler_link,
};

use super::agent_status::is_of_an_agent;
use super::{agent_gone, agent_lost, away, drain, kill, operation, suspend};
use crate::cx::Cx;
use crate::links::agent_interval;
use crate::state::{Agent, AgentPresence, Framework};
use crate::validate::check_agent;
use crate::{CloseReason, Effect, Event, LinkId};

pub(crate) fn handle(
    cx: &mut Cx<'_>,
    link: LinkId,
    info: AgentInfo,
    agent_id: Option<AgentId>,
    tasks: Vec<RegisteredTask>,
    operations: Vec<RegisteredOperation>,
) {
    if cx.state.peer(link).is_some() {
        agent_lost::link_lost(cx, link);
        return cx.close(link, CloseReason::AlreadyRegistered);
    }
    if let Err(message) = check_agent(&info) {
        return refuse(cx, link, message);
    }
    let agent_id = agent_id.unwrap_or_else(|| cx.state.next_agent_id());
    if cx.state.gone_agents().contains_key(&agent_id) {
        return agent_gone::refuse(cx, link, &agent_id);
    }
    let known = cx.state.agent(&agent_id);
    let is_stranger = known.is_none();
    if known
        .and_then(|agent| agent.latest_link)
        .is_some_and(|latest| latest > link)
    {
        // Long under way, and older than what the agent said on a link it has dialled since.
        return cx.close(link, CloseReason::TakenOver);
    }
    if let Some((old, _)) = known.and_then(Agent::link) {
        agent_lost::disconnected(cx, &agent_id, Duration::ZERO);
        cx.close(old, CloseReason::TakenOver);
    }
    open(cx, link, &agent_id, info);
    compare(cx, &agent_id, tasks, operations);
    if is_stranger {
        introduce(cx, &agent_id);
    }
}

fn refuse(cx: &mut Cx<'_>, link: LinkId, message: String) {
    let (session, refused) = (Session(0), message.clone());
    let message = MasterMessage::Refused { message };
    cx.out.effects.push(Effect::ToAgent {
        link,
        session,
        message,
    });
    cx.close(link, CloseReason::Refused(refused));
}

fn open(cx: &mut Cx<'_>, link: LinkId, agent_id: &AgentId, info: AgentInfo) {
    let known = cx.state.agent(agent_id);
    if known.is_none_or(|agent| agent.is_unreachable() || *agent.info != info) {
        let (agent_id, info) = (agent_id.clone(), Arc::new(info));
        cx.emit(Event::AgentAdmitted { agent_id, info });
    }
    let known = cx.state.agent(agent_id).map(|agent| &agent.presence);
    let was_away = matches!(known, Some(AgentPresence::Disconnected { .. }));
    let session = cx.state.next_session();
    cx.emit(Event::AgentRegistered {
        agent_id: agent_id.clone(),
        link,
        session,
    });
    let registered = MasterMessage::Registered {
        agent_id: agent_id.clone(),
        master_id: cx.state.master_id().clone(),
        heartbeat_interval: agent_interval(cx.config, cx.state.n_agents()),
    };
    cx.tell_agent(agent_id, registered);
    if was_away {
        away::back(cx, agent_id);
    }
}

/// Brings what the master knows of the agent's tasks in line with what the agent says.
fn compare(
    cx: &mut Cx<'_>,
    agent_id: &AgentId,
    tasks: Vec<RegisteredTask>,
    operations: Vec<RegisteredOperation>,
) {
    let keys = tasks.iter().map(|t| (t.framework_id.clone(), t.info.id.clone()));
    let listed: BTreeSet<_> = keys.collect();
    let frameworks: BTreeSet<_> = listed.iter().map(|(framework, _)| framework.clone()).collect();
    for framework in &frameworks {
        orphan(cx, framework);
    }
    let owners = operations.iter().map(|operation| operation.framework_id.clone());
    let owners: BTreeSet<_> = owners.chain(frameworks).collect();
    operation::compare(cx, agent_id, operations);
    for task in tasks {
        take_in(cx, agent_id, task);
    }
    let known = cx.state.agent(agent_id).map(|agent| agent.tasks.clone());
    for (framework, task) in known.unwrap_or_default() {
        if listed.contains(&(framework.clone(), task.clone())) {
            kill::send(cx, &framework, &task);
            suspend::send(cx, &framework, &task);
        } else {
            missing(cx, agent_id, &framework, &task);
        }
    }
    drain::again(cx, agent_id);
    for framework_id in owners {
        if cx
            .state
            .framework(&framework_id)
            .is_some_and(Framework::is_completed)
        {
            cx.tell_agent(agent_id, MasterMessage::ShutdownFramework { framework_id });
        }
    }
}

/// Of what runs on an agent that the store did not know of, frameworks that are here already may not know either.
fn introduce(cx: &mut Cx<'_>, agent_id: &AgentId) {
    let tasks = cx.state.agent(agent_id).map(|agent| agent.tasks.clone());
    for (framework, task) in tasks.unwrap_or_default() {
        let live = cx.state.task(&framework, &task);
        let Some(live) = live.filter(|live| !live.view.state.is_terminal()) else {
            continue;
        };
        let status = TaskStatus {
            state: live.view.state,
            source: StatusSource::Master,
            reason: Some(StatusReason::AgentReregistered),
            timestamp: cx.now,
            uuid: None,
            ..live.view.status.clone()
        };
        cx.tell_framework(&framework, scheduler_link::Event::Update(status));
    }
}

/// A framework of which only its tasks are left: the registry was lost, is an older one, or has forgotten that it was
/// completed. Nobody but its own scheduler or an operator can say what is to become of them.
fn orphan(cx: &mut Cx<'_>, framework: &FrameworkId) {
    if cx.state.framework(framework).is_some() {
        return;
    }
    let info = FrameworkInfo {
        id: Some(framework.clone()),
        name: String::new(),
        roles: BTreeSet::from([Role::default()]),
        failover_timeout: DEFAULT_FAILOVER_TIMEOUT,
        services: Vec::new(),
        labels: Default::default(),
        capabilities: Capabilities::default(),
        preferences: Default::default(),
    };
    cx.emit(Event::FrameworkOrphaned {
        framework_id: framework.clone(),
        info,
        since: cx.now,
    });
}

fn take_in(cx: &mut Cx<'_>, agent_id: &AgentId, listed: RegisteredTask) {
    if !is_of_an_agent(listed.latest_status.state) {
        return;
    }
    let framework = listed.framework_id;
    let status = TaskStatus {
        task_id: listed.info.id.clone(),
        agent_id: Some(agent_id.clone()),
        ..listed.latest_status
    };
    let known = cx.state.task(&framework, &status.task_id);
    match known.map(|live| (live.view.info.agent_id == *agent_id, live.view.state)) {
        Some((false, _)) => {
            // The id names a live task elsewhere; this copy is nobody's.
            let (framework_id, task_id) = (framework, status.task_id);
            let kill_policy = KillPolicy::default();
            cx.tell_agent(
                agent_id,
                MasterMessage::KillTask {
                    framework_id,
                    task_id,
                    kill_policy,
                },
            );
        }
        Some((true, TaskState::Unreachable)) => back(cx, &framework, status),
        Some((true, _)) => note(cx, &framework, status),
        None => add(cx, agent_id, &framework, listed.role, listed.info, status),
    }
}

/// A task that was given up is there after all. Of one that ended, the agent tells itself.
fn back(cx: &mut Cx<'_>, framework: &FrameworkId, status: TaskStatus) {
    if status.state.is_terminal() {
        return note(cx, framework, status);
    }
    let status = TaskStatus {
        source: StatusSource::Master,
        reason: Some(StatusReason::AgentReregistered),
        timestamp: cx.now,
        uuid: None,
        ..status
    };
    cx.update_task(framework, status);
}

/// Takes note of the newest state. The status itself comes when it is the head of its queue.
fn note(cx: &mut Cx<'_>, framework: &FrameworkId, listed: TaskStatus) {
    suspend::resumption_lost(cx, framework, &listed);
    cx.emit(Event::TaskReported {
        framework_id: framework.clone(),
        task_id: listed.task_id,
        state: listed.state,
        suspension: listed.condition.suspension,
    });
}

/// The task stays in the role it was launched in, whether or not its framework still has that role.
fn add(
    cx: &mut Cx<'_>,
    agent_id: &AgentId,
    framework: &FrameworkId,
    role: Role,
    info: TaskInfo,
    status: TaskStatus,
) {
    let completed = cx.state.completed_task(framework, &info.id).is_some();
    if completed && status.state.is_terminal() {
        // Its acknowledgement was lost on the way; the agent repeats the status.
        return;
    }
    let agent_id = agent_id.clone();
    cx.emit(Event::TaskAdded {
        framework_id: framework.clone(),
        role,
        info: Arc::new(TaskInfo { agent_id, ..info }),
        status: TaskStatus { uuid: None, ..status },
    });
}

/// The master knows the task, the agent does not: it was never launched, or is gone.
fn missing(cx: &mut Cx<'_>, agent: &AgentId, framework: &FrameworkId, task: &TaskId) {
    let Some(live) = cx.state.task(framework, task) else {
        return;
    };
    if live.view.state.is_terminal() {
        let (framework_id, task_id) = (framework.clone(), task.clone());
        return cx.emit(Event::TaskCompleted {
            framework_id,
            task_id,
        });
    }
    let (state, message) = if live.reported {
        (TaskState::Gone, "the agent is back without the task")
    } else {
        (
            TaskState::Dropped,
            "the agent was cut off before the task reached it",
        )
    };
    let reason = StatusReason::AgentDisconnected;
    let status = cx.status(task, Some(agent), state, reason, message);
    cx.update_task(framework, status);
}
