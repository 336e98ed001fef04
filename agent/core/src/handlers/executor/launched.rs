//! What is heard of an executor's container before it runs, and that it runs.

use proffer_types::{StatusReason, TaskState, Timestamp};

use super::{live_tasks, settle};
use crate::agent::Report;
use crate::config::{EXECUTOR_REGISTRATION_TIMEOUT, EXECUTOR_REREGISTRATION_TIMEOUT};
use crate::task::Phase;
use crate::{Agent, Effect, Output, Signal, TaskKey};

/// It runs, for the first time or found again. It may have subscribed already.
pub(crate) fn handle(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let Some(executor) = agent.executors.get_mut(key) else {
        return;
    };
    executor.is_running = true;
    let container_id = executor.container_id;
    if let Some(ending) = &mut executor.ending {
        ending.kill_sent = true;
        let signal = Signal::Kill;
        out.effect(Effect::Signal { container_id, signal });
    } else if executor.connection.is_none() {
        executor.subscribe_by = Some(now.after(match executor.was_subscribed {
            true => EXECUTOR_REREGISTRATION_TIMEOUT,
            false => EXECUTOR_REGISTRATION_TIMEOUT,
        }));
    }
    settle(agent, now, key, out);
}

/// Its preparation takes long: its tasks say so.
pub(crate) fn preparing(agent: &mut Agent, now: Timestamp, key: &TaskKey, message: &str, out: &mut Output) {
    for task in live_tasks(agent, key) {
        let waits = |task: &crate::task::Task| task.phase == Phase::Launching;
        if agent.tasks.get(&task).is_some_and(waits) {
            let report = Report {
                reason: Some(StatusReason::ContainerPreparing),
                message: message.to_owned(),
                ..Report::default()
            };
            agent.update(now, &task, TaskState::Starting, report, out);
            agent.send_head(now, &task, out);
        }
    }
}
