//! The launch of a group: all of its tasks are accepted, or none.

use std::collections::BTreeSet;

use proffer_types::{StatusReason, Timestamp};

use super::run_task::{self, Refusal, Room};
use crate::{Agent, Event, Output, TaskKey, TaskRecord};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, tasks: Vec<TaskRecord>, out: &mut Output) {
    let (known, new): (Vec<_>, Vec<_>) = tasks
        .into_iter()
        .map(|task| (run_task::key(&task), task))
        .partition(|(key, _)| agent.tasks.contains_key(key));
    for (key, _) in &known {
        out.event(Event::DuplicateIgnored { key: key.clone() });
    }
    let checked = match known.first() {
        Some((key, _)) => Err(taken(key)),
        None => check(agent, &new),
    };
    match checked {
        Ok(()) => accept(agent, now, new, out),
        Err((culprit, refusal)) => refuse(agent, now, new, &culprit, &refusal, out),
    }
}

/// A task id is in use here: the group cannot be whole.
fn taken(key: &TaskKey) -> (TaskKey, Refusal) {
    let refusal = Refusal::invalid("its id is in use".to_owned());
    (key.clone(), refusal)
}

/// Checks the tasks together. Names the first that cannot be launched.
fn check(agent: &Agent, tasks: &[(TaskKey, TaskRecord)]) -> Result<(), (TaskKey, Refusal)> {
    let mut room = Room::of(agent);
    let mut seen = BTreeSet::new();
    for (key, task) in tasks {
        if !seen.insert(key) {
            return Err(taken(key));
        }
        if task.info.executor.is_some() {
            let refusal = Refusal::invalid("a task with an executor cannot be one of a group".to_owned());
            return Err((key.clone(), refusal));
        }
        run_task::check(agent, &task.info, &room).map_err(|refusal| (key.clone(), refusal))?;
        room.take(&task.info.resources);
    }
    Ok(())
}

/// Checkpoints all before the first is launched, so that a crash in between leaves none or all.
fn accept(agent: &mut Agent, now: Timestamp, tasks: Vec<(TaskKey, TaskRecord)>, out: &mut Output) {
    for (key, task) in &tasks {
        run_task::accept(agent, now, key, task, out);
    }
    for (key, task) in tasks {
        run_task::launch(agent, now, &key, task, out);
    }
}

fn refuse(
    agent: &mut Agent,
    now: Timestamp,
    tasks: Vec<(TaskKey, TaskRecord)>,
    culprit: &TaskKey,
    refusal: &Refusal,
    out: &mut Output,
) {
    let mut told = BTreeSet::new();
    for (key, task) in tasks {
        if !told.insert(key.clone()) {
            continue;
        }
        let own = if key == *culprit {
            refusal.clone()
        } else {
            Refusal {
                state: refusal.state,
                reason: StatusReason::TaskGroupInvalid,
                message: format!("task `{}` of its group: {}", culprit.task_id, refusal.message),
            }
        };
        run_task::refuse(agent, now, key, task, own, out);
    }
}
