//! A launch. The agent checks again what the master checked, so that no mistake there over-commits a host.

use proffer_types::resources::format::format_scalar;
use proffer_types::{ResourceName, StatusReason, TaskInfo, TaskState, Timestamp};

use crate::agent::Report;
use crate::config::{MAX_REFUSED, MAX_TASKS};
use crate::task::{Phase, Task};
use crate::{Agent, Effect, Event, Output, TaskKey, TaskRecord};

/// Why a task is not launched.
struct Refusal {
    state: TaskState,
    reason: StatusReason,
    message: String,
}

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, task: TaskRecord, out: &mut Output) {
    let key = TaskKey {
        framework_id: task.framework_id.clone(),
        task_id: task.info.id.clone(),
    };
    // A report on the second launch would be taken for one on the first, so there is none.
    if agent.tasks.contains_key(&key) {
        out.event(Event::DuplicateIgnored { key });
        return;
    }
    match check(agent, &task.info) {
        Ok(()) => accept(agent, now, key, task, out),
        Err(refusal) => refuse(agent, now, key, task, refusal, out),
    }
}

fn check(agent: &Agent, info: &TaskInfo) -> Result<(), Refusal> {
    let refuse = |state, reason, message: String| {
        Err(Refusal {
            state,
            reason,
            message,
        })
    };
    if agent.agent_id.as_ref() != Some(&info.agent_id) {
        let message = format!("it is meant for agent {}", info.agent_id);
        return refuse(TaskState::Error, StatusReason::TaskInvalid, message);
    }
    let command = &info.container.command;
    if command.is_empty() || command.iter().any(|part| part.contains('\0')) {
        let message = "its command is empty or holds a NUL byte".to_owned();
        return refuse(TaskState::Error, StatusReason::TaskInvalid, message);
    }
    if agent.stopping.is_some() {
        let message = "the agent is stopping".to_owned();
        return refuse(TaskState::Dropped, StatusReason::AgentDisconnected, message);
    }
    if agent.tasks.len() >= MAX_TASKS {
        let message = format!("the agent holds {MAX_TASKS} tasks already");
        return refuse(TaskState::Dropped, StatusReason::ContainerLaunchFailed, message);
    }
    let free = agent.free();
    match free.first_lacking(&info.resources) {
        None => Ok(()),
        Some(name) => refuse(
            TaskState::Dropped,
            StatusReason::InvalidOffers,
            format!("the agent has not enough {name}: {}", lack(agent, info, name)),
        ),
    }
}

fn lack(agent: &Agent, info: &TaskInfo, name: &ResourceName) -> String {
    let free = agent.free();
    match info.resources.ranges(name) {
        Some(wanted) => {
            let free = free.ranges(name).cloned().unwrap_or_default();
            format!("{wanted} wanted, {free} free")
        }
        None => format!(
            "{} wanted, {} free",
            format_scalar(name, info.resources.scalar(name)),
            format_scalar(name, free.scalar(name)),
        ),
    }
}

fn accept(agent: &mut Agent, now: Timestamp, key: TaskKey, task: TaskRecord, out: &mut Output) {
    let container_id = insert(agent, now, &key, task.clone(), true);
    out.event(Event::TaskAccepted {
        key: key.clone(),
        container_id,
    });
    out.effect(Effect::CheckpointTask {
        container_id,
        task: task.clone(),
    });
    agent.update(now, &key, TaskState::Starting, Report::default(), out);
    out.effect(Effect::Launch {
        container_id,
        framework_id: task.framework_id,
        info: task.info,
    });
    agent.send_head(now, &key, out);
}

fn refuse(
    agent: &mut Agent,
    now: Timestamp,
    key: TaskKey,
    task: TaskRecord,
    refusal: Refusal,
    out: &mut Output,
) {
    out.event(Event::TaskRefused {
        key: key.clone(),
        message: refusal.message.clone(),
    });
    if agent.tasks.values().filter(|task| !task.durable).count() >= MAX_REFUSED {
        agent.close_link("too many refused tasks are not acknowledged", out);
        return;
    }
    insert(agent, now, &key, task, false);
    let report = Report {
        reason: Some(refusal.reason),
        message: refusal.message,
        ..Report::default()
    };
    agent.update(now, &key, refusal.state, report, out);
    agent.send_head(now, &key, out);
}

fn insert(
    agent: &mut Agent,
    now: Timestamp,
    key: &TaskKey,
    task: TaskRecord,
    durable: bool,
) -> crate::ContainerId {
    let container_id = agent.new_container_id();
    let task = Task {
        container_id,
        role: task.role,
        info: task.info,
        phase: Phase::Launching,
        process: None,
        started_at: None,
        kill: None,
        kill_sent: false,
        latest: agent.status(now, key, TaskState::Staging, Report::default()),
        updates: std::collections::VecDeque::new(),
        sent: None,
        durable,
        save_at: None,
    };
    agent.tasks.insert(key.clone(), task);
    agent.containers.insert(container_id, key.clone());
    container_id
}
