//! Tasks are handed to an executor that is connected: its limits grow first.

use proffer_types::{ExecutorEvent, Timestamp};

use super::{live_tasks, settle, tell};
use crate::task::Phase;
use crate::{Agent, Output, TaskKey};

/// Hands over what waits for an executor, if it is there to take it.
pub(super) fn waiting(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let is_there =
        |executor: &crate::executor::Executor| executor.connection.is_some() && executor.ending.is_none();
    let waiting = match agent.executors.get(key).is_some_and(is_there) {
        true => take(agent, now, key),
        false => Vec::new(),
    };
    settle(agent, now, key, out);
    let Some(executor) = agent.executors.get(key) else {
        return;
    };
    for task in waiting.iter().filter_map(|task| agent.tasks.get(task)) {
        let launch = ExecutorEvent::Launch(task.info.clone());
        tell(executor, Some(task.container_id), launch, out);
    }
}

/// Makes the tasks that wait the executor's own.
fn take(agent: &mut Agent, now: Timestamp, key: &TaskKey) -> Vec<TaskKey> {
    let mut taken = Vec::new();
    for task_key in live_tasks(agent, key) {
        let waits = |task: &&mut crate::task::Task| task.phase == Phase::Launching && task.save_at.is_none();
        if let Some(task) = agent.tasks.get_mut(&task_key).filter(waits) {
            task.phase = Phase::Running;
            task.started_at = Some(now);
            task.first_started_at.get_or_insert(now);
            taken.push(task_key);
        }
    }
    taken
}
