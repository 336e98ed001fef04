//! Executors: a file for each thing that happens to them, and the moves they share.

pub(crate) mod checkpoint_failed;
pub(crate) mod end;
pub(crate) mod ended;
pub(crate) mod hand_over;
pub(crate) mod heard;
pub(crate) mod kill_task;
pub(crate) mod launched;
pub(crate) mod recover;
pub(crate) mod start;
pub(crate) mod tick;
pub(crate) mod update;

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_types::{ExecutorEvent, Resources, TaskState, Timestamp};

use crate::agent::{Report, Stopping};
use crate::config::EXECUTOR_LINGER;
use crate::executor::{Executor, key_of};
use crate::{Agent, ContainerId, Effect, ExecutorOrder, Output, TaskKey};

/// The executor that a container is of.
pub(crate) fn of_container(agent: &Agent, container_id: ContainerId) -> Option<TaskKey> {
    let mut executors = agent.executors.iter();
    let found = executors.find(|(_, executor)| executor.container_id == container_id);
    found.map(|(key, _)| key.clone())
}

/// The live tasks of an executor, in order.
fn live_tasks(agent: &Agent, executor: &TaskKey) -> Vec<TaskKey> {
    let executor = agent.executors.get(executor);
    executor.map_or_else(Vec::new, |executor| executor.tasks.iter().cloned().collect())
}

/// The live tasks of an executor that is not there, or not yet.
fn tasks_without(agent: &Agent, executor: &TaskKey) -> BTreeSet<TaskKey> {
    let of_it = agent.tasks.iter().filter(|(key, task)| {
        task.is_live() && key_of(&key.framework_id, &task.info).as_ref() == Some(executor)
    });
    of_it.map(|(key, _)| key.clone()).collect()
}

/// Tells an executor something, if it is connected.
pub(super) fn tell(executor: &Executor, record: Option<ContainerId>, event: ExecutorEvent, out: &mut Output) {
    if let Some(connection) = executor.connection {
        out.effect(Effect::Executor {
            container_id: executor.container_id,
            order: ExecutorOrder::Tell {
                connection,
                record,
                event,
            },
        });
    }
}

/// Ends a live task of an executor.
pub(super) fn end_task(
    agent: &mut Agent,
    now: Timestamp,
    key: &TaskKey,
    state: TaskState,
    report: Report,
    out: &mut Output,
) {
    agent.update(now, key, state, report, out);
    agent.send_head(now, key, out);
}

/// A task has ended; its executor, if it has one, may have too much for the others.
pub(super) fn task_ended(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let task = agent.tasks.get(key);
    if let Some(executor) = task.and_then(|task| key_of(&key.framework_id, &task.info)) {
        settle(agent, now, &executor, out);
    }
}

/// Limits an executor to what its tasks ask for, when that has changed; without one it keeps what it has, and is ended
/// after a while.
pub(super) fn settle(agent: &mut Agent, now: Timestamp, executor: &TaskKey, out: &mut Output) {
    let linger = match agent.stopping {
        Some(Stopping::WithTasks) => Duration::ZERO,
        Some(Stopping::LeavingTasks) | None => EXECUTOR_LINGER,
    };
    let Some(executor) = agent.executors.get_mut(executor) else {
        return;
    };
    let tasks = executor.tasks.iter().filter_map(|key| agent.tasks.get(key));
    let resources: Resources = tasks.map(|task| &task.info.resources).sum();
    executor.idle_until = match (executor.tasks.is_empty(), executor.idle_until) {
        (false, _) => None,
        (true, None) => Some(now.after(linger)),
        (true, Some(until)) => Some(until.min(now.after(linger))),
    };
    if executor.is_running && !resources.is_empty() && (executor.resources != resources || !executor.is_sized)
    {
        executor.is_sized = true;
        executor.resources = resources.clone();
        out.effect(Effect::Executor {
            container_id: executor.container_id,
            order: ExecutorOrder::Resize { resources },
        });
    }
}
