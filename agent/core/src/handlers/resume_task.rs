//! A resumption: the task takes its cpus back, and its processes are thawed. For want of cpus, which is a mistake of the
//! master's, it stays suspended: under another number, so that it is not taken for one that goes on.

use proffer_types::{StatusReason, TaskState, Timestamp};

use super::check_result;
use crate::agent::Report;
use crate::task::Task;
use crate::{Agent, Effect, Event, Output, TaskKey};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, key: &TaskKey, suspension: u32, out: &mut Output) {
    let free = agent.free();
    let is_meant = |task: &&mut Task| {
        task.is_live()
            && task.kill.is_none()
            && task.is_suspended()
            && task.condition.suspension == suspension
    };
    let Some(task) = agent.tasks.get_mut(key).filter(is_meant) else {
        return out.event(Event::UnknownIgnored {
            key: key.clone(),
            what: "resumption",
        });
    };
    let cpus = task.info.resources.cpus();
    if !free.contains(&cpus) {
        task.suspension.count = task.suspension.count.saturating_add(1);
        task.condition.suspension = task.suspension.count;
        let report = Report {
            reason: Some(StatusReason::TaskResumeFailed),
            message: format!("the task gave up `{cpus}`, and the agent has `{free}` free"),
            ..Report::default()
        };
        agent.update(now, key, TaskState::Running, report, out);
        return agent.send_head(now, key, out);
    }
    go_on(task, now);
    let container_id = task.container_id;
    let report = Report {
        reason: Some(StatusReason::TaskResumed),
        ..Report::default()
    };
    agent.update(now, key, TaskState::Running, report, out);
    out.effect(Effect::Freezer {
        container_id,
        freeze: false,
    });
    if let Some(task) = agent.tasks.get(key) {
        check_result::run(task, now, out);
    }
    agent.send_head(now, key, out);
}

/// The time for which it was suspended is as if it never had been.
fn go_on(task: &mut Task, now: Timestamp) {
    let lost = task.suspension.since.take().map(|since| now.since(since));
    let lost = lost.unwrap_or_default();
    task.started_at = task.started_at.map(|at| at.after(lost));
    task.first_started_at = task.first_started_at.map(|at| at.after(lost));
    task.condition.suspension = 0;
}
