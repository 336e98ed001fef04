//! A kill of an executor's task: the executor is asked, and when it does not answer in time it is killed itself.

use std::time::Duration;

use proffer_types::{ExecutorEvent, TaskState, Timestamp};

use super::{end, end_task, settle, tell};
use crate::agent::Report;
use crate::executor::{EndCause, key_of};
use crate::{Agent, Output, TaskKey};

/// Ends a task that was not handed over yet; its kill is noted already.
pub(crate) fn waiting(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let Some(task) = agent.tasks.get(key) else { return };
    let executor = key_of(&key.framework_id, &task.info);
    let verdict = crate::verdict::of_executor(task, TaskState::Killed, String::new());
    let report = Report {
        reason: verdict.reason,
        message: verdict.message,
        ..Report::default()
    };
    end_task(agent, now, key, verdict.state, report, out);
    if let Some(executor) = executor {
        settle(agent, now, &executor, out);
    }
}

/// Asks the executor; if it is away, it is asked once it is back.
pub(crate) fn ask(agent: &mut Agent, key: &TaskKey, grace: Duration, out: &mut Output) {
    let Some(task) = agent.tasks.get(key) else { return };
    let executor = key_of(&key.framework_id, &task.info).and_then(|key| agent.executors.get(&key));
    if let Some(executor) = executor {
        let task_id = key.task_id.clone();
        let kill = ExecutorEvent::Kill { task_id, grace };
        tell(executor, Some(task.container_id), kill, out);
    }
}

/// The executor had its time.
pub(crate) fn ignored(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let Some(task) = agent.tasks.get_mut(key) else {
        return;
    };
    task.kill_sent = true;
    if let Some(executor) = key_of(&key.framework_id, &task.info) {
        let task_id = key.task_id.clone();
        end::begin(
            agent,
            now,
            &executor,
            EndCause::KillIgnored { task_id },
            Duration::ZERO,
            out,
        );
    }
}
