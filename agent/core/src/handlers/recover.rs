//! A task found on disk at start: taken back if its container lives, reported if it ended meanwhile.

use proffer_types::{TaskState, Timestamp};

use crate::agent::Report;
use crate::task::{Phase, Task};
use crate::{Agent, Effect, Output, RecoveredTask, Signal, StateRecord, TaskKey};

pub(crate) fn task(agent: &mut Agent, now: Timestamp, found: RecoveredTask, out: &mut Output) {
    let RecoveredTask {
        container_id,
        task,
        state,
    } = found;
    let key = TaskKey {
        framework_id: task.framework_id,
        task_id: task.info.id.clone(),
    };
    if agent.tasks.contains_key(&key) || agent.containers.contains_key(&container_id) {
        // Left by a Forget that was cut short: the other record of the task is the one in force.
        out.effect(Effect::Destroy { container_id });
        out.effect(Effect::Forget { container_id });
        return;
    }
    let state = match state {
        Some(state) => state,
        None => unwritten(agent, now, &key),
    };
    if state.latest.state.is_terminal() && state.updates.is_empty() {
        out.effect(Effect::Destroy { container_id });
        out.effect(Effect::Forget { container_id });
        return;
    }
    let task = Task {
        container_id,
        role: task.role,
        group: task.group,
        info: task.info,
        phase: phase(&state),
        process: state.process,
        started_at: state.started_at,
        kill: state.kill,
        kill_sent: false,
        latest: state.latest,
        updates: state.updates.into(),
        sent: None,
        durable: true,
        save_at: None,
    };
    take_back(&task, now, out);
    agent.containers.insert(container_id, key.clone());
    agent.tasks.insert(key, task);
}

/// The launch was cut short before its state was written, or the state cannot be read.
fn unwritten(agent: &mut Agent, now: Timestamp, key: &TaskKey) -> StateRecord {
    StateRecord {
        process: None,
        started_at: None,
        kill: None,
        latest: agent.status(now, key, TaskState::Starting, Report::default()),
        updates: Vec::new(),
    }
}

fn phase(state: &StateRecord) -> Phase {
    match (state.latest.state.is_terminal(), state.process) {
        (true, _) => Phase::Ended,
        (false, Some(_)) => Phase::Running,
        (false, None) => Phase::Launching,
    }
}

fn take_back(task: &Task, now: Timestamp, out: &mut Output) {
    let container_id = task.container_id;
    if !task.is_live() {
        out.effect(Effect::Destroy { container_id });
        return;
    }
    out.effect(Effect::Adopt {
        container_id,
        process: task.process,
    });
    if let (Phase::Running, Some(kill)) = (task.phase, &task.kill)
        && now < kill.kill_at
    {
        // The first one may have been cut short.
        out.effect(Effect::Signal {
            container_id,
            signal: Signal::Term,
        });
    }
}
