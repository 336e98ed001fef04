//! What came of freezing a container: its task is suspended and gives its cpus up, or it goes on.
//!
//! Only then is it checkpointed: a crash before that finds a task that is not suspended, and thaws it.

use proffer_types::{StatusReason, TaskState, Timestamp};

use super::{check_result, suspend_task};
use crate::agent::Report;
use crate::task::Failures;
use crate::{Agent, ContainerId, Effect, Output};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    container_id: ContainerId,
    result: Result<(), String>,
    out: &mut Output,
) {
    let Some(key) = agent.containers.get(&container_id).cloned() else {
        return;
    };
    // One that began to be killed meanwhile was thawed for that.
    let task = agent.tasks.get_mut(&key);
    let Some(task) = task.filter(|task| task.is_live() && task.freezing) else {
        return;
    };
    task.freezing = false;
    if let Err(why) = result {
        out.effect(Effect::Freezer {
            container_id,
            freeze: false,
        });
        check_result::run(task, now, out);
        return suspend_task::refuse(agent, now, &key, why, out);
    }
    task.suspension.count = task.suspension.count.saturating_add(1);
    task.suspension.since = Some(now);
    task.condition.suspension = task.suspension.count;
    task.failures = Failures::default();
    let report = Report {
        reason: Some(StatusReason::TaskSuspended),
        ..Report::default()
    };
    agent.update(now, &key, TaskState::Running, report, out);
    agent.send_head(now, &key, out);
}
