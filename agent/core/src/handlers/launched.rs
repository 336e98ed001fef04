//! A container's first process runs: for the first time, or found again after a restart in mid-launch.

use proffer_types::{TaskState, Timestamp};

use crate::agent::Report;
use crate::task::Phase;
use crate::{Agent, ContainerId, Effect, Output, Process, Signal};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    container_id: ContainerId,
    process: Process,
    out: &mut Output,
) {
    let Some(key) = agent.containers.get(&container_id).cloned() else {
        out.effect(Effect::Destroy { container_id });
        return;
    };
    let Some(task) = agent
        .tasks
        .get_mut(&key)
        .filter(|task| task.phase == Phase::Launching)
    else {
        return;
    };
    task.phase = Phase::Running;
    task.process = Some(process);
    task.started_at = Some(now);
    let state = if task.kill.is_some() {
        task.kill_sent = true;
        TaskState::Killing
    } else {
        TaskState::Running
    };
    agent.update(now, &key, state, Report::default(), out);
    if state == TaskState::Killing {
        out.effect(Effect::Signal {
            container_id,
            signal: Signal::Kill,
        });
    }
    agent.send_head(now, &key, out);
}
