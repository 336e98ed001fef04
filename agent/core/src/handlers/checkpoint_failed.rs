//! A checkpoint was not written, as on a full disk. A task not launched yet is refused; for any other the
//! checkpoint is tried again, and nothing is reported until it succeeds; a restart waits for it too.

use proffer_types::{StatusReason, TaskState, Timestamp};

use super::{executor, group, restart};
use crate::agent::Report;
use crate::config::CHECKPOINT_RETRY;
use crate::task::{Phase, Task};
use crate::{Agent, ContainerId, Effect, Event, Output, TaskKey};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    container_id: ContainerId,
    launch_skipped: bool,
    error: String,
    out: &mut Output,
) {
    out.event(Event::CheckpointFailed {
        container_id,
        error: error.clone(),
    });
    if executor::checkpoint_failed::handle(agent, now, container_id, launch_skipped, &error, out) {
        return;
    }
    let Some(key) = agent.containers.get(&container_id).cloned() else {
        return;
    };
    if launch_skipped && restart::not_renewed(agent, now, &key, out) {
        return;
    }
    let waits = |task: &Task| task.phase == Phase::Launching && task.info.executor.is_some();
    if launch_skipped || agent.tasks.get(&key).is_some_and(waits) {
        refuse(agent, now, &key, &error, out);
    } else if let Some(task) = agent.tasks.get_mut(&key) {
        task.sent = None;
        task.save_at = Some(now.after(CHECKPOINT_RETRY));
    }
}

/// What was not written cannot be relied on, so the task is as if it never had been accepted.
fn refuse(agent: &mut Agent, now: Timestamp, key: &TaskKey, error: &str, out: &mut Output) {
    let Some(task) = agent.tasks.get_mut(key).filter(|task| task.is_live()) else {
        return;
    };
    task.durable = false;
    task.updates.clear();
    task.sent = None;
    out.effect(Effect::Forget {
        container_id: task.container_id,
    });
    let report = Report {
        reason: Some(StatusReason::ContainerLaunchFailed),
        message: format!("the agent could not write its checkpoint: {error}"),
        ..Report::default()
    };
    agent.update(now, key, TaskState::Dropped, report, out);
    agent.send_head(now, key, out);
    group::member_ended(agent, now, key, out);
    executor::task_ended(agent, now, key, out);
}
