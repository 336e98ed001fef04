//! A kill: SIGTERM, then SIGKILL after the grace period. A later kill only shortens it. A launch is aborted, and a
//! pause before a restart ends at once. A suspended task is thawed for it, without its cpus. An executor is asked in place
//! of the signals.

use std::time::Duration;

use proffer_types::task::DEFAULT_KILL_GRACE;
use proffer_types::{KillPolicy, StatusReason, TaskState, Timestamp};

use super::{executor, exited, group, restart};
use crate::agent::Report;
use crate::task::{Phase, Task};
use crate::{Agent, ContainerEnd, Effect, Event, KillCause, KillRecord, Output, Signal, TaskKey};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, key: &TaskKey, policy: KillPolicy, out: &mut Output) {
    if agent.tasks.contains_key(key) {
        kill(agent, now, key, KillCause::Requested, policy, out);
    } else {
        out.event(Event::UnknownIgnored {
            key: key.clone(),
            what: "kill",
        });
    }
}

/// Begins to kill a live task, or hurries a kill under way. A task that has ended is left as it is.
pub(crate) fn kill(
    agent: &mut Agent,
    now: Timestamp,
    key: &TaskKey,
    cause: KillCause,
    policy: KillPolicy,
    out: &mut Output,
) {
    let Some(task) = agent.tasks.get_mut(key).filter(|task| task.is_live()) else {
        return;
    };
    let grace = grace(policy, task.info.kill_policy);
    let kill_at = now.after(grace);
    // The group ends with it, unless that is why it ends, or it comes back.
    let dooms = match &cause {
        KillCause::GroupEnded { .. } => false,
        KillCause::Unhealthy { .. } => !restart::follows_unhealthy(task),
        KillCause::Requested
        | KillCause::RequestedDuringLaunch
        | KillCause::FrameworkShutdown
        | KillCause::MaxCompletionTime
        | KillCause::AgentStopping
        | KillCause::LimitExceeded { .. } => true,
    };
    if task.kill.is_some() {
        again(agent, now, key, cause, kill_at, out);
    } else {
        first(task, cause, kill_at);
        match task.phase {
            Phase::Launching if task.info.executor.is_some() => {
                return executor::kill_task::waiting(agent, now, key, out);
            }
            Phase::Launching => abort(agent, now, key, out),
            Phase::Waiting { .. } => return end(agent, now, key, out),
            Phase::Running => begin(agent, now, key, grace, out),
            Phase::Ended => {}
        }
    }
    if dooms {
        group::member_doomed(agent, now, key, out);
    }
}

fn grace(asked: KillPolicy, own: KillPolicy) -> Duration {
    asked
        .grace_period
        .or(own.grace_period)
        .unwrap_or(DEFAULT_KILL_GRACE)
}

fn first(task: &mut Task, cause: KillCause, kill_at: Timestamp) {
    let cause = if cause == KillCause::Requested && task.phase == Phase::Launching {
        KillCause::RequestedDuringLaunch
    } else {
        cause
    };
    task.kill = Some(KillRecord { cause, kill_at });
}

/// The first cause stands, but for one after which the task would come back: nobody who wants it dead wants that.
fn again(
    agent: &mut Agent,
    now: Timestamp,
    key: &TaskKey,
    cause: KillCause,
    kill_at: Timestamp,
    out: &mut Output,
) {
    let Some(task) = agent.tasks.get_mut(key) else {
        return;
    };
    let comes_back = restart::follows_unhealthy(task);
    let Some(kill) = &mut task.kill else { return };
    let is_unhealthy = |cause: &KillCause| matches!(cause, KillCause::Unhealthy { .. });
    let replaces = comes_back && is_unhealthy(&kill.cause) && !is_unhealthy(&cause);
    // A group's end says nothing of how long its tasks may take.
    let hurries = kill_at < kill.kill_at && !matches!(cause, KillCause::GroupEnded { .. });
    if replaces {
        kill.cause = cause;
    }
    if hurries {
        kill.kill_at = kill_at;
    }
    let is_executed = task.info.executor.is_some();
    if replaces || hurries {
        Agent::save(task, out);
        agent.send_head(now, key, out);
    }
    if hurries && is_executed {
        executor::kill_task::ask(agent, key, kill_at.since(now), out);
    }
}

fn begin(agent: &mut Agent, now: Timestamp, key: &TaskKey, grace: Duration, out: &mut Output) {
    let cause = agent.tasks.get(key).and_then(|task| task.kill.as_ref());
    let report = cause.map(|kill| announced(&kill.cause)).unwrap_or_default();
    agent.update(now, key, TaskState::Killing, report, out);
    let is_executed = |task: &Task| task.info.executor.is_some();
    if agent.tasks.get(key).is_some_and(is_executed) {
        executor::kill_task::ask(agent, key, grace, out);
    } else if let Some(task) = agent.tasks.get_mut(key) {
        let signal = if grace.is_zero() {
            Signal::Kill
        } else {
            Signal::Term
        };
        task.kill_sent = signal == Signal::Kill;
        if task.is_suspended() || std::mem::take(&mut task.freezing) {
            // No process that is frozen acts on SIGTERM, and of cgroup v1 none dies of SIGKILL.
            out.effect(Effect::Freezer {
                container_id: task.container_id,
                freeze: false,
            });
        }
        out.effect(Effect::Signal {
            container_id: task.container_id,
            signal,
        });
    }
    agent.send_head(now, key, out);
}

/// What is told of a kill before it is done.
fn announced(cause: &KillCause) -> Report {
    let (reason, message) = match cause {
        KillCause::Unhealthy { message } => (StatusReason::TaskUnhealthy, message),
        KillCause::LimitExceeded { reason, message } => (*reason, message),
        KillCause::Requested
        | KillCause::RequestedDuringLaunch
        | KillCause::FrameworkShutdown
        | KillCause::MaxCompletionTime
        | KillCause::AgentStopping
        | KillCause::GroupEnded { .. } => return Report::default(),
    };
    Report {
        reason: Some(reason),
        message: message.clone(),
        ..Report::default()
    }
}

fn abort(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    if let Some(task) = agent.tasks.get_mut(key) {
        Agent::save(task, out);
        out.effect(Effect::AbortLaunch {
            container_id: task.container_id,
        });
    }
    agent.send_head(now, key, out);
}

/// Ends a task that has no container: it waits for its next one.
fn end(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let Some(container_id) = agent.container_of(key) else {
        return;
    };
    exited::handle(agent, now, container_id, &ContainerEnd::Unknown, None, out);
}
