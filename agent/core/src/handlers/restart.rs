//! Restart in place: the same task in another container, after a pause that doubles with each short run.
//!
//! In the pause nothing runs, and the task is STARTING. What is left of the ended container stays until the next one
//! has entered their group: it might be the last one there, and the group end with it. The records of the ended
//! container become those of the next one; a crash at any point finds the task waiting, or its launch cut short, and
//! goes on from there.

use std::time::Duration;

use proffer_types::container::RestartOn;
use proffer_types::container::restart::{DEFAULT_BACKOFF, MAX_BACKOFF};
use proffer_types::{KillPolicy, StatusReason, TaskExit, TaskState, Timestamp};

use super::kill_task;
use crate::agent::Report;
use crate::config::{CHECKPOINT_RETRY, MIN_BACKOFF};
use crate::task::{Failures, Phase, Task};
use crate::verdict::Verdict;
use crate::{Agent, ContainerEnd, Effect, Event, KillCause, KillRecord, Output, TaskKey};

/// Whether the end of a task's container is followed by another container.
pub(crate) fn follows(task: &Task, end: &ContainerEnd) -> bool {
    let policy = task.info.container.restart;
    let is_unhealthy = match task.kill.as_ref().map(|kill| &kill.cause) {
        None => false,
        Some(KillCause::Unhealthy { .. }) => true,
        Some(
            KillCause::Requested
            | KillCause::RequestedDuringLaunch
            | KillCause::FrameworkShutdown
            | KillCause::MaxCompletionTime
            | KillCause::AgentStopping
            | KillCause::GroupEnded { .. }
            | KillCause::LimitExceeded { .. },
        ) => return false,
    };
    let has_failed = match end {
        // What could not be built once cannot be built again: it is the framework's to look elsewhere.
        ContainerEnd::NotStarted { .. } => return false,
        ContainerEnd::Exit(TaskExit::Code(0)) => is_unhealthy,
        ContainerEnd::Exit(_) | ContainerEnd::Unknown => true,
    };
    // The cpus of a suspended task are others', and nobody asked for it to go on.
    has_left(task)
        && !task.is_suspended()
        && match policy.on {
            RestartOn::Never => false,
            RestartOn::Failure => has_failed,
            RestartOn::Always => true,
        }
}

/// Whether the task is started again after it was found unhealthy.
pub(crate) fn follows_unhealthy(task: &Task) -> bool {
    task.info.container.restart.on != RestartOn::Never && has_left(task)
}

/// Whether the policy has restarts left.
fn has_left(task: &Task) -> bool {
    let max = task.info.container.restart.max;
    max.is_none_or(|max| task.condition.restarts < max)
}

/// Begins the pause after a container's end.
pub(crate) fn back_off(agent: &mut Agent, now: Timestamp, key: &TaskKey, verdict: Verdict, out: &mut Output) {
    let Some(task) = agent.tasks.get_mut(key) else {
        return;
    };
    let pause = pause(task, now);
    wait(task, now.after(pause));
    let how = if verdict.message.is_empty() {
        "command exited with code 0".to_owned()
    } else {
        verdict.message
    };
    let report = Report {
        reason: Some(StatusReason::TaskRestarted),
        message: format!(
            "{how}; restart {} in {pause:?}",
            task.condition.restarts.saturating_add(1)
        ),
        ..Report::default()
    };
    agent.update(now, key, TaskState::Starting, report, out);
    agent.send_head(now, key, out);
}

/// The next launch was cut short by the agent's own end, before there was a container: it is made again.
pub(crate) fn launch_again(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let Some(task) = agent.tasks.get_mut(key) else {
        return;
    };
    task.condition.restarts = task.condition.restarts.saturating_sub(1);
    wait(task, now);
    Agent::save(task, out);
}

/// Launches the next container.
pub(crate) fn launch(agent: &mut Agent, key: &TaskKey, out: &mut Output) {
    let container_id = agent.new_container_id();
    let Some(task) = agent.tasks.get_mut(key) else {
        return;
    };
    let old = std::mem::replace(&mut task.container_id, container_id);
    agent.containers.remove(&old);
    agent.containers.insert(container_id, key.clone());
    task.phase = Phase::Launching;
    task.replaces = Some(old);
    task.condition.restarts = task.condition.restarts.saturating_add(1);
    out.event(Event::ContainerReplaced {
        key: key.clone(),
        container_id,
    });
    out.effect(Effect::Renew {
        old,
        container_id,
        state: task.record(),
    });
    out.effect(Effect::Launch {
        container_id,
        framework_id: key.framework_id.clone(),
        group: task.group.clone(),
        info: task.info.clone(),
        replaces: Some(old),
    });
}

/// The records could not be given to the next container, which therefore was not launched. Answers whether that is
/// what happened.
pub(crate) fn not_renewed(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) -> bool {
    let Some(task) = agent.tasks.get_mut(key) else {
        return false;
    };
    let Some(old) = task.replaces else {
        return false;
    };
    let new = std::mem::replace(&mut task.container_id, old);
    agent.containers.remove(&new);
    agent.containers.insert(old, key.clone());
    task.condition.restarts = task.condition.restarts.saturating_sub(1);
    let kill = task.kill.take();
    out.event(Event::ContainerReplaced {
        key: key.clone(),
        container_id: old,
    });
    wait(task, now.after(CHECKPOINT_RETRY));
    if let Some(KillRecord { cause, .. }) = kill {
        kill_task::kill(agent, now, key, cause, KillPolicy::default(), out);
    }
    true
}

fn wait(task: &mut Task, until: Timestamp) {
    task.phase = Phase::Waiting { until };
    task.process = None;
    task.replaces = None;
    task.kill = None;
    task.kill_sent = false;
    task.freezing = false;
    task.failures = Failures::default();
    task.condition.healthy = None;
    task.condition.ready = None;
    task.condition.addresses.clear();
}

fn pause(task: &mut Task, now: Timestamp) -> Duration {
    let ran_for = task.started_at.map(|at| now.since(at)).unwrap_or_default();
    if ran_for > MAX_BACKOFF {
        task.short_runs = 0;
    }
    let first = task.info.container.restart.backoff.unwrap_or(DEFAULT_BACKOFF);
    let factor = 2_u32.checked_pow(task.short_runs).unwrap_or(u32::MAX);
    task.short_runs = task.short_runs.saturating_add(1);
    first.max(MIN_BACKOFF).saturating_mul(factor).min(MAX_BACKOFF)
}
