//! A container's first process runs: for the first time, or found again after a restart in mid-launch.

use std::net::IpAddr;

use proffer_types::{StatusReason, TaskState, Timestamp};

use super::{check_result, executor};
use crate::agent::Report;
use crate::task::Phase;
use crate::{Agent, ContainerId, Effect, Output, Process, Signal};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    container_id: ContainerId,
    process: Process,
    addresses: Vec<IpAddr>,
    out: &mut Output,
) {
    if let Some(key) = executor::of_container(agent, container_id) {
        return executor::launched::handle(agent, now, &key, out);
    }
    let Some(key) = agent.containers.get(&container_id).cloned() else {
        out.effect(Effect::Destroy { container_id });
        return;
    };
    let Some(task) = agent
        .tasks
        .get_mut(&key)
        .filter(|task| task.phase == Phase::Launching)
    else {
        return;
    };
    task.phase = Phase::Running;
    task.process = Some(process);
    task.started_at = Some(now);
    task.first_started_at.get_or_insert(now);
    task.replaces = None;
    task.condition.addresses = addresses;
    let is_killed = task.kill.is_some();
    task.kill_sent = is_killed;
    let restarts = task.condition.restarts;
    if is_killed {
        agent.update(now, &key, TaskState::Killing, Report::default(), out);
        out.effect(Effect::Signal {
            container_id,
            signal: Signal::Kill,
        });
    } else {
        let report = Report {
            reason: (restarts > 0).then_some(StatusReason::TaskRestarted),
            ..Report::default()
        };
        agent.update(now, &key, TaskState::Running, report, out);
        if let Some(task) = agent.tasks.get(&key) {
            check_result::run(task, now, out);
        }
    }
    agent.send_head(now, &key, out);
}
