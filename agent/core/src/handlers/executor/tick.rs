//! Deadlines of executors: subscriptions, idle ones, ends that take too long.

use std::time::Duration;

use proffer_types::Timestamp;

use super::end;
use crate::config::EXECUTOR_SHUTDOWN_GRACE;
use crate::executor::EndCause;
use crate::{Agent, Effect, Output, Signal, TaskKey};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, out: &mut Output) {
    let due = agent
        .executors
        .iter()
        .filter(|(_, executor)| executor.next_deadline().is_some_and(|at| now >= at));
    let due: Vec<TaskKey> = due.map(|(key, _)| key.clone()).collect();
    for key in due {
        one(agent, now, &key, out);
    }
}

fn one(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let Some(executor) = agent.executors.get_mut(key) else {
        return;
    };
    if let Some(ending) = &mut executor.ending {
        ending.kill_sent = true;
        out.effect(Effect::Signal {
            container_id: executor.container_id,
            signal: Signal::Kill,
        });
    } else if executor.subscribe_by.is_some_and(|at| now >= at) {
        let again = executor.was_subscribed;
        end::begin(agent, now, key, EndCause::Silent { again }, Duration::ZERO, out);
    } else {
        end::begin(agent, now, key, EndCause::Idle, EXECUTOR_SHUTDOWN_GRACE, out);
    }
}
