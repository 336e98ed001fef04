//! A kill: SIGTERM, then SIGKILL after the grace period. A later kill only shortens it.

use std::time::Duration;

use proffer_types::task::DEFAULT_KILL_GRACE;
use proffer_types::{KillPolicy, TaskState, Timestamp};

use crate::agent::Report;
use crate::task::Phase;
use crate::{Agent, Effect, Event, KillCause, KillRecord, Output, Signal, TaskKey};

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
    if let Some(kill) = &mut task.kill {
        if kill_at < kill.kill_at {
            kill.kill_at = kill_at;
            Agent::save(task, out);
            agent.send_head(now, key, out);
        }
        return;
    }
    let cause = if cause == KillCause::Requested && task.phase == Phase::Launching {
        KillCause::RequestedDuringLaunch
    } else {
        cause
    };
    task.kill = Some(KillRecord { cause, kill_at });
    match task.phase {
        Phase::Launching | Phase::Ended => {
            Agent::save(task, out);
            agent.send_head(now, key, out);
        }
        Phase::Running => begin(agent, now, key, grace, out),
    }
}

fn grace(asked: KillPolicy, own: KillPolicy) -> Duration {
    asked
        .grace_period
        .or(own.grace_period)
        .unwrap_or(DEFAULT_KILL_GRACE)
}

fn begin(agent: &mut Agent, now: Timestamp, key: &TaskKey, grace: Duration, out: &mut Output) {
    agent.update(now, key, TaskState::Killing, Report::default(), out);
    if let Some(task) = agent.tasks.get_mut(key) {
        let signal = if grace.is_zero() {
            Signal::Kill
        } else {
            Signal::Term
        };
        task.kill_sent = signal == Signal::Kill;
        out.effect(Effect::Signal {
            container_id: task.container_id,
            signal,
        });
    }
    agent.send_head(now, key, out);
}
