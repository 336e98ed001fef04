//! What a check found: a change is told, and a task that is unhealthy is killed.
//!
//! The shell asks and waits; what counts is decided here. Failures count one by one in a row, and not in the grace
//! period before the first success. What is found of a task that is suspended, or about to be, does not count.

use proffer_types::container::{Check, ContainerSpec};
use proffer_types::{KillPolicy, StatusReason, TaskCondition, TaskState, Timestamp};

use super::kill_task;
use crate::agent::Report;
use crate::command::CheckRole;
use crate::task::{Failures, Phase, Task};
use crate::{Agent, ContainerId, Effect, KillCause, Output, TaskKey};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    container_id: ContainerId,
    which: CheckRole,
    ok: Result<(), String>,
    out: &mut Output,
) {
    let Some(key) = agent.containers.get(&container_id).cloned() else {
        return;
    };
    let is_checked = |task: &&mut Task| {
        let goes_on = !task.is_suspended() && !task.freezing;
        task.phase == Phase::Running && task.kill.is_none() && goes_on
    };
    let Some(task) = agent.tasks.get_mut(&key).filter(is_checked) else {
        return;
    };
    let Some(check) = of(&task.info.container, which) else {
        return;
    };
    let failures = check.failures.max(1);
    let grace_ends = task.started_at.map(|at| at.after(check.grace));
    let found = *finding(&mut task.condition, which);
    match ok {
        Ok(()) => {
            *count(&mut task.failures, which) = 0;
            if found != Some(true) {
                *finding(&mut task.condition, which) = Some(true);
                tell(agent, now, &key, which, String::new(), out);
            }
        }
        Err(_) if found.is_none() && grace_ends.is_some_and(|end| now < end) => {}
        Err(error) => {
            let count = count(&mut task.failures, which);
            *count = count.saturating_add(1);
            if *count < failures || found == Some(false) {
                return;
            }
            *finding(&mut task.condition, which) = Some(false);
            failed(agent, now, &key, which, (failures, &error), out);
        }
    }
}

/// Runs the checks of a container that runs, if its task has any.
pub(crate) fn run(task: &Task, now: Timestamp, out: &mut Output) {
    let spec = &task.info.container;
    if spec.health.is_some() || spec.readiness.is_some() {
        out.effect(Effect::RunChecks {
            container_id: task.container_id,
            info: task.info.clone(),
            running_for: task.started_at.map(|at| now.since(at)).unwrap_or_default(),
        });
    }
}

fn failed(
    agent: &mut Agent,
    now: Timestamp,
    key: &TaskKey,
    which: CheckRole,
    (failures, error): (u32, &str),
    out: &mut Output,
) {
    let times = if failures == 1 {
        "".to_owned()
    } else {
        format!(" {failures} times in a row")
    };
    match which {
        CheckRole::Readiness => {
            let message = format!("its readiness check failed{times}: {error}");
            tell(agent, now, key, which, message, out);
        }
        CheckRole::Health => {
            let cause = KillCause::Unhealthy {
                message: format!("its health check failed{times}: {error}"),
            };
            kill_task::kill(agent, now, key, cause, KillPolicy::default(), out);
        }
    }
}

fn tell(
    agent: &mut Agent,
    now: Timestamp,
    key: &TaskKey,
    which: CheckRole,
    message: String,
    out: &mut Output,
) {
    let reason = match which {
        CheckRole::Health => StatusReason::TaskHealthCheckStatusUpdated,
        CheckRole::Readiness => StatusReason::TaskCheckStatusUpdated,
    };
    let report = Report {
        reason: Some(reason),
        message,
        ..Report::default()
    };
    agent.update(now, key, TaskState::Running, report, out);
    agent.send_head(now, key, out);
}

fn of(spec: &ContainerSpec, which: CheckRole) -> Option<&Check> {
    match which {
        CheckRole::Health => spec.health.as_ref(),
        CheckRole::Readiness => spec.readiness.as_ref(),
    }
}

fn finding(condition: &mut TaskCondition, which: CheckRole) -> &mut Option<bool> {
    match which {
        CheckRole::Health => &mut condition.healthy,
        CheckRole::Readiness => &mut condition.ready,
    }
}

fn count(failures: &mut Failures, which: CheckRole) -> &mut u32 {
    match which {
        CheckRole::Health => &mut failures.health,
        CheckRole::Readiness => &mut failures.readiness,
    }
}
