//! A suspension: the task's processes are frozen, and it is suspended once they all are. What cannot be frozen is told so,
//! and goes on.

use proffer_types::{StatusReason, TaskState, Timestamp};

use crate::agent::Report;
use crate::task::{Phase, Task};
use crate::{Agent, Effect, Event, Output, TaskKey};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let can_suspend = agent.config.info.can_suspend;
    let task = agent.tasks.get_mut(key).filter(|task| task.is_live());
    // One that is being killed is told about anyway, and one that is suspended was.
    let Some(task) = task.filter(|task| task.kill.is_none() && !task.is_suspended() && !task.freezing) else {
        return out.event(Event::UnknownIgnored {
            key: key.clone(),
            what: "suspension",
        });
    };
    if let Err(why) = check(task, can_suspend) {
        return refuse(agent, now, key, why.to_owned(), out);
    }
    task.freezing = true;
    out.effect(Effect::Freezer {
        container_id: task.container_id,
        freeze: true,
    });
}

fn check(task: &Task, can_suspend: bool) -> Result<(), &'static str> {
    if !can_suspend {
        return Err("the agent's host has no freezer");
    }
    if task.info.executor.is_some() {
        return Err("the task runs in the container of its executor, with others");
    }
    match task.phase {
        Phase::Running => Ok(()),
        Phase::Launching | Phase::Waiting { .. } | Phase::Ended => Err("the task is not running"),
    }
}

/// Tells that a task goes on as before.
pub(super) fn refuse(agent: &mut Agent, now: Timestamp, key: &TaskKey, why: String, out: &mut Output) {
    let state = agent.tasks.get(key).map_or(TaskState::Running, Task::state);
    let report = Report {
        reason: Some(StatusReason::TaskSuspendFailed),
        message: why,
        ..Report::default()
    };
    agent.update(now, key, state, report, out);
    agent.send_head(now, key, out);
}
