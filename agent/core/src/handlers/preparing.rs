//! A preparation that takes long says what it is at. Only the newest word waits to be sent.

use proffer_types::{StatusReason, TaskState, Timestamp};

use super::executor;
use crate::agent::Report;
use crate::task::Phase;
use crate::{Agent, ContainerId, Output};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    container_id: ContainerId,
    message: String,
    out: &mut Output,
) {
    if let Some(key) = executor::of_container(agent, container_id) {
        return executor::launched::preparing(agent, now, &key, &message, out);
    }
    let Some(key) = agent.containers.get(&container_id).cloned() else {
        return;
    };
    let is_awaited = |task: &crate::task::Task| task.phase == Phase::Launching && task.kill.is_none();
    if !agent.tasks.get(&key).is_some_and(is_awaited) {
        return;
    }
    let report = Report {
        reason: Some(StatusReason::ContainerPreparing),
        message,
        ..Report::default()
    };
    agent.update(now, &key, TaskState::Starting, report, out);
    agent.send_head(now, &key, out);
}
