//! An executor's word on one of its tasks. What was taken in is on disk before the executor is told so.

use proffer_types::{ExecutorEvent, ExecutorUpdate, StatusSource, TaskState, Timestamp};

use super::{end_task, settle, tell};
use crate::agent::Report;
use crate::executor::{Executor, key_of};
use crate::task::{Phase, Task};
use crate::verdict::of_executor;
use crate::{Agent, Event, Output, TaskKey};

/// Takes an update in. Fails with what is wrong with it.
pub(super) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    executor: &TaskKey,
    update: &ExecutorUpdate,
    out: &mut Output,
) -> Result<(), String> {
    let key = TaskKey {
        framework_id: executor.framework_id.clone(),
        task_id: update.task_id.clone(),
    };
    let Some(task) = agent.tasks.get(&key) else {
        return late(agent, executor, &key, update, out);
    };
    if key_of(&key.framework_id, &task.info).as_ref() != Some(executor) {
        return Err(format!("task `{}` is not one of it", update.task_id));
    }
    if !task.is_live() || is_known(task, update) {
        return late(agent, executor, &key, update, out);
    }
    if task.phase != Phase::Running {
        return Err(format!("task `{}` was not handed to it", update.task_id));
    }
    if !ExecutorUpdate::is_for_executors(update.state) {
        return Err(format!("{} is not for it to say", update.state.as_str()));
    }
    take(agent, now, executor, &key, update, out);
    if let Some(task) = agent.tasks.get(&key) {
        acknowledge(agent.executors.get(executor), task, update, out);
    }
    Ok(())
}

fn is_known(task: &Task, update: &ExecutorUpdate) -> bool {
    let uuid = Some(update.uuid);
    task.latest.uuid == uuid || task.updates.iter().any(|known| known.uuid == uuid)
}

/// It was taken in before, or comes after the end of the task: there is nothing more to do with it.
fn late(
    agent: &Agent,
    executor: &TaskKey,
    key: &TaskKey,
    update: &ExecutorUpdate,
    out: &mut Output,
) -> Result<(), String> {
    out.event(Event::UnknownIgnored {
        key: key.clone(),
        what: "executor's update",
    });
    let executor = agent.executors.get(executor);
    match (agent.tasks.get(key), executor) {
        (Some(task), executor) => acknowledge(executor, task, update, out),
        (None, Some(executor)) => tell(executor, None, acknowledged(update), out),
        (None, None) => {}
    }
    Ok(())
}

fn take(
    agent: &mut Agent,
    now: Timestamp,
    executor: &TaskKey,
    key: &TaskKey,
    update: &ExecutorUpdate,
    out: &mut Output,
) {
    let Some(task) = agent.tasks.get(key) else { return };
    let report = |reason, message| Report {
        reason,
        message,
        executor: Some(update.uuid),
        ..Report::default()
    };
    let message = update.message.clone();
    if update.state == TaskState::Running {
        // It crossed the kill.
        if task.kill.is_none() {
            agent.update(now, key, TaskState::Running, report(None, message), out);
            agent.send_head(now, key, out);
        }
        return;
    }
    let verdict = of_executor(task, update.state, message);
    end_task(
        agent,
        now,
        key,
        verdict.state,
        report(verdict.reason, verdict.message),
        out,
    );
    settle(agent, now, executor, out);
}

fn acknowledged(update: &ExecutorUpdate) -> ExecutorEvent {
    ExecutorEvent::Acknowledged {
        task_id: update.task_id.clone(),
        uuid: update.uuid,
    }
}

/// Not while what is known of the task is not on disk.
fn acknowledge(executor: Option<&Executor>, task: &Task, update: &ExecutorUpdate, out: &mut Output) {
    if let (Some(executor), None) = (executor, task.save_at) {
        tell(executor, Some(task.container_id), acknowledged(update), out);
    }
}

/// Acknowledges whatever waits of a task, since its checkpoint was written after all.
pub(crate) fn saved(agent: &Agent, key: &TaskKey, out: &mut Output) {
    let Some(task) = agent.tasks.get(key) else { return };
    let executor = key_of(&key.framework_id, &task.info).and_then(|key| agent.executors.get(&key));
    let Some(executor) = executor else { return };
    let by_it = |status: &&proffer_types::TaskStatus| status.source == StatusSource::Executor;
    for uuid in task.updates.iter().filter(by_it).filter_map(|status| status.uuid) {
        let task_id = key.task_id.clone();
        let event = ExecutorEvent::Acknowledged { task_id, uuid };
        tell(executor, Some(task.container_id), event, out);
    }
}
