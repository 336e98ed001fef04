//! A launch. The agent checks again what the master checked, so that no mistake there over-commits a host.

use proffer_types::resources::format::format_scalar;
use proffer_types::{ResourceName, Resources, StatusReason, TaskCondition, TaskInfo, TaskState, Timestamp};

use super::executor;
use crate::agent::Report;
use crate::config::{MAX_REFUSED, MAX_TASKS};
use crate::executor::key_of;
use crate::task::{Failures, Phase, Task};
use crate::{Agent, Effect, Event, Output, SuspensionRecord, TaskKey, TaskRecord};

/// Why a task is not launched.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) state: TaskState,
    pub(super) reason: StatusReason,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn invalid(message: String) -> Self {
        Self {
            state: TaskState::Error,
            reason: StatusReason::TaskInvalid,
            message,
        }
    }

    fn dropped(reason: StatusReason, message: String) -> Self {
        Self {
            state: TaskState::Dropped,
            reason,
            message,
        }
    }
}

/// What is left for tasks that are launched together.
#[derive(Debug)]
pub(super) struct Room {
    free: Resources,
    n_tasks: usize,
}

impl Room {
    pub(super) fn of(agent: &Agent) -> Self {
        Self {
            free: agent.free(),
            n_tasks: MAX_TASKS.saturating_sub(agent.tasks.len()),
        }
    }

    /// Takes one task out of it.
    pub(super) fn take(&mut self, resources: &Resources) {
        self.free.subtract(resources);
        self.n_tasks = self.n_tasks.saturating_sub(1);
    }
}

pub(super) fn key(task: &TaskRecord) -> TaskKey {
    TaskKey {
        framework_id: task.framework_id.clone(),
        task_id: task.info.id.clone(),
    }
}

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, task: TaskRecord, out: &mut Output) {
    let key = key(&task);
    // A report on the second launch would be taken for one on the first, so there is none.
    if agent.tasks.contains_key(&key) {
        out.event(Event::DuplicateIgnored { key });
        return;
    }
    let checked = check(agent, &task.info, &Room::of(agent));
    match checked.and_then(|()| check_executor(agent, &key, &task.info)) {
        Ok(()) if task.info.executor.is_some() => {
            accept(agent, now, &key, &task, out);
            agent.send_head(now, &key, out);
            executor::start::join(agent, now, &key, out);
        }
        Ok(()) => {
            accept(agent, now, &key, &task, out);
            launch(agent, now, &key, task, out);
        }
        Err(refusal) => refuse(agent, now, key, task, refusal, out),
    }
}

pub(super) fn check(agent: &Agent, info: &TaskInfo, room: &Room) -> Result<(), Refusal> {
    if agent.agent_id.as_ref() != Some(&info.agent_id) {
        return Err(Refusal::invalid(format!(
            "it is meant for agent {}",
            info.agent_id
        )));
    }
    info.check_executor().map_err(Refusal::invalid)?;
    let container = match &info.executor {
        Some(executor) => &executor.container,
        None => &info.container,
    };
    let mut words = container.command.iter().chain(&container.arguments);
    if container.command.is_empty() && container.image.is_none() {
        let message = "it has neither a command nor an image".to_owned();
        return Err(Refusal::invalid(message));
    }
    if words.any(|word| word.contains('\0')) {
        return Err(Refusal::invalid("its command holds a NUL byte".to_owned()));
    }
    if agent.stopping.is_some() {
        let message = "the agent is stopping".to_owned();
        return Err(Refusal::dropped(StatusReason::AgentDisconnected, message));
    }
    if room.n_tasks == 0 {
        let message = format!("the agent holds {MAX_TASKS} tasks already");
        return Err(Refusal::dropped(StatusReason::ContainerLaunchFailed, message));
    }
    match room.free.first_lacking(&info.resources) {
        None => Ok(()),
        Some(name) => {
            let lack = lack(&room.free, info, name);
            let message = format!("the agent has not enough {name}: {lack}");
            Err(Refusal::dropped(StatusReason::InvalidOffers, message))
        }
    }
}

fn lack(free: &Resources, info: &TaskInfo, name: &ResourceName) -> String {
    let wanted = &info.resources;
    if free.has_kinds() || wanted.has_kinds() {
        // What is reserved or revocable does not stand in for the rest, so that sums would mislead.
        return format!("`{wanted}` wanted, `{free}` free");
    }
    match wanted.ranges(name) {
        Some(wanted) => {
            let free = free.ranges(name).cloned().unwrap_or_default();
            format!("{wanted} wanted, {free} free")
        }
        None => format!(
            "{} wanted, {} free",
            format_scalar(name, wanted.scalar(name)),
            format_scalar(name, free.scalar(name)),
        ),
    }
}

/// Makes a task the agent's own, and checkpoints it.
pub(super) fn accept(agent: &mut Agent, now: Timestamp, key: &TaskKey, task: &TaskRecord, out: &mut Output) {
    let container_id = insert(agent, now, key, task, true);
    out.event(Event::TaskAccepted {
        key: key.clone(),
        container_id,
    });
    out.effect(Effect::CheckpointTask {
        container_id,
        task: task.clone(),
    });
    agent.update(now, key, TaskState::Starting, Report::default(), out);
}

/// Tasks that share an executor say the same of it.
fn check_executor(agent: &Agent, key: &TaskKey, info: &TaskInfo) -> Result<(), Refusal> {
    let running = key_of(&key.framework_id, info).and_then(|key| agent.executors.get(&key));
    match running {
        Some(running) if info.executor.as_ref() != Some(&running.info) => {
            let message = format!(
                "executor `{}` is there already, and not as this task describes it",
                running.info.id
            );
            Err(Refusal::invalid(message))
        }
        Some(_) | None => Ok(()),
    }
}

/// Launches a task that was accepted.
pub(super) fn launch(agent: &mut Agent, now: Timestamp, key: &TaskKey, task: TaskRecord, out: &mut Output) {
    let Some(container_id) = agent.container_of(key) else {
        return;
    };
    out.effect(Effect::Launch {
        container_id,
        framework_id: task.framework_id,
        group: task.group,
        info: task.info,
        replaces: None,
    });
    agent.send_head(now, key, out);
}

pub(super) fn refuse(
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
    insert(agent, now, &key, &task, false);
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
    task: &TaskRecord,
    durable: bool,
) -> crate::ContainerId {
    let container_id = agent.new_container_id();
    let task = Task {
        container_id,
        role: task.role.clone(),
        group: task.group.clone(),
        info: task.info.clone(),
        phase: Phase::Launching,
        process: None,
        started_at: None,
        first_started_at: None,
        short_runs: 0,
        replaces: None,
        condition: TaskCondition::default(),
        failures: Failures::default(),
        suspension: SuspensionRecord::default(),
        freezing: false,
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
