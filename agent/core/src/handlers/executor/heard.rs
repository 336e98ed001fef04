//! What comes of an executor's connection. Only the present one counts.

use std::collections::BTreeSet;

use proffer_types::task::DEFAULT_KILL_GRACE;
use proffer_types::{ExecutorEvent, StatusReason, TaskId, TaskState, Timestamp};

use super::{end_task, hand_over, live_tasks, of_container, tell, update};
use crate::agent::Report;
use crate::config::EXECUTOR_REREGISTRATION_TIMEOUT;
use crate::executor::Executor;
use crate::task::Phase;
use crate::{
    Agent, ConnectionId, ContainerId, Effect, Event, ExecutorNews, ExecutorOrder, KillCause, Output, TaskKey,
};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    container_id: ContainerId,
    connection: ConnectionId,
    news: ExecutorNews,
    out: &mut Output,
) {
    let Some(key) = of_container(agent, container_id) else {
        return;
    };
    let present = agent.executors.get(&key).and_then(|executor| executor.connection);
    match news {
        ExecutorNews::Subscribed { tasks } => subscribed(agent, now, &key, connection, tasks, out),
        ExecutorNews::Update(_) | ExecutorNews::Disconnected if present != Some(connection) => {}
        ExecutorNews::Update(update) => match update::handle(agent, now, &key, &update, out) {
            Ok(()) => {}
            Err(why) => refuse(agent, now, &key, connection, why, out),
        },
        ExecutorNews::Disconnected => lost(agent, now, &key),
    }
}

/// Ends a connection on which something was said that must not be.
pub(super) fn refuse(
    agent: &mut Agent,
    now: Timestamp,
    key: &TaskKey,
    connection: ConnectionId,
    why: String,
    out: &mut Output,
) {
    out.event(Event::ExecutorRefused {
        key: key.clone(),
        why: why.clone(),
    });
    if let Some(executor) = agent.executors.get(key) {
        out.effect(Effect::Executor {
            container_id: executor.container_id,
            order: ExecutorOrder::Disconnect { connection, why },
        });
    }
    lost(agent, now, key);
}

fn lost(agent: &mut Agent, now: Timestamp, key: &TaskKey) {
    if let Some(executor) = agent.executors.get_mut(key) {
        executor.connection = None;
        executor.subscribe_by = Some(now.after(EXECUTOR_REREGISTRATION_TIMEOUT));
    }
}

fn subscribed(
    agent: &mut Agent,
    now: Timestamp,
    key: &TaskKey,
    connection: ConnectionId,
    tasks: Vec<TaskId>,
    out: &mut Output,
) {
    let Some(agent_id) = agent.agent_id.clone() else {
        return;
    };
    let Some(executor) = agent.executors.get_mut(key) else {
        return;
    };
    out.event(Event::ExecutorSubscribed {
        key: key.clone(),
        n_tasks: tasks.len(),
    });
    executor.connection = Some(connection);
    // Which may not have been told yet.
    executor.is_running = true;
    executor.subscribe_by = None;
    if !executor.was_subscribed {
        executor.was_subscribed = true;
        out.effect(Effect::CheckpointExecutor {
            container_id: executor.container_id,
            executor: executor.record(key),
        });
    }
    let welcome = ExecutorEvent::Subscribed {
        framework_id: key.framework_id.clone(),
        agent_id,
        executor_id: executor.info.id.clone(),
    };
    tell(executor, None, welcome, out);
    if let Some(ending) = &executor.ending {
        let grace = ending.kill_at.since(now);
        tell(executor, None, ExecutorEvent::Shutdown { grace }, out);
        return;
    }
    let tasks: BTreeSet<TaskId> = tasks.into_iter().collect();
    compare(agent, now, key, &tasks, out);
    tell_kills(agent, now, key, &tasks, out);
    hand_over::waiting(agent, now, key, out);
}

/// Holds what the executor says it has against what it was given. What it never was heard to run, and does not have, it
/// never got.
fn compare(agent: &mut Agent, now: Timestamp, key: &TaskKey, has: &BTreeSet<TaskId>, out: &mut Output) {
    for task_key in live_tasks(agent, key) {
        let Some(task) = agent.tasks.get_mut(&task_key) else {
            continue;
        };
        match (has.contains(&task_key.task_id), task.state()) {
            (true, _) => {
                task.phase = Phase::Running;
                task.started_at.get_or_insert(now);
                task.first_started_at.get_or_insert(now);
            }
            (false, TaskState::Starting) if task.kill.is_none() => task.phase = Phase::Launching,
            (false, _) => unknown(agent, now, &task_key, out),
        }
    }
}

/// A task that its executor does not know: it was killed in time, or was lost.
fn unknown(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let kill = agent.tasks.get(key).and_then(|task| task.kill.as_ref());
    let is_wanted = matches!(
        kill.map(|kill| &kill.cause),
        Some(KillCause::Requested | KillCause::RequestedDuringLaunch)
    );
    let (state, reason) = match is_wanted {
        true => (TaskState::Killed, None),
        false => (TaskState::Failed, Some(StatusReason::ExecutorTerminated)),
    };
    let report = Report {
        reason,
        message: "its executor does not know it".to_owned(),
        ..Report::default()
    };
    end_task(agent, now, key, state, report, out);
}

/// Kills what is to be killed, and what the executor has and the agent does not: it has ended here already.
fn tell_kills(agent: &mut Agent, now: Timestamp, key: &TaskKey, has: &BTreeSet<TaskId>, out: &mut Output) {
    let Some(executor) = agent.executors.get(key) else {
        return;
    };
    for task_id in has {
        let task_key = TaskKey {
            framework_id: key.framework_id.clone(),
            task_id: task_id.clone(),
        };
        let task = agent.tasks.get(&task_key);
        let grace = match task.filter(|task| is_its(task, executor)) {
            Some(task) => match &task.kill {
                Some(kill) => kill.kill_at.since(now),
                None => continue,
            },
            None => DEFAULT_KILL_GRACE,
        };
        let task_id = task_id.clone();
        tell(executor, None, ExecutorEvent::Kill { task_id, grace }, out);
    }
}

/// Whether a task is live, and one of that executor.
fn is_its(task: &crate::task::Task, executor: &Executor) -> bool {
    let own = task.info.executor.as_ref();
    task.is_live() && own.is_some_and(|own| own.id == executor.info.id)
}
