//! A task found on disk at start: taken back if its container lives, reported if it ended meanwhile.

use proffer_types::{TaskCondition, TaskState, Timestamp};

use super::check_result;
use crate::agent::Report;
use crate::task::{Failures, Phase, Task};
use crate::{
    Agent, ContainerId, Effect, Output, RecoveredTask, Signal, StateRecord, SuspensionRecord, TaskKey,
    verdict,
};

pub(crate) fn task(agent: &mut Agent, now: Timestamp, found: RecoveredTask, out: &mut Output) {
    let RecoveredTask {
        container_id,
        task,
        state,
    } = found;
    let key = TaskKey {
        framework_id: task.framework_id,
        task_id: task.info.id.clone(),
    };
    if agent.tasks.contains_key(&key) || agent.containers.contains_key(&container_id) {
        // Left by a Forget that was cut short: the other record of the task is the one in force.
        out.effect(Effect::Destroy { container_id });
        out.effect(Effect::Forget { container_id });
        return;
    }
    let state = match state {
        Some(state) => state,
        None => unwritten(agent, now, &key),
    };
    if state.latest.state.is_terminal() && state.updates.is_empty() {
        out.effect(Effect::Destroy { container_id });
        out.effect(Effect::Forget { container_id });
        return;
    }
    let task = Task {
        container_id,
        role: task.role,
        group: task.group,
        info: task.info,
        phase: phase(&state),
        process: state.process,
        started_at: state.started_at,
        first_started_at: state.first_started_at.or(state.started_at),
        short_runs: state.short_runs,
        replaces: None,
        condition: TaskCondition {
            restarts: state.restarts,
            ..state.latest.condition.clone()
        },
        failures: Failures::default(),
        suspension: state.suspension,
        freezing: false,
        kill: state.kill,
        kill_sent: false,
        latest: state.latest,
        updates: state.updates.into(),
        sent: None,
        durable: true,
        save_at: None,
    };
    // An executor's tasks have no container of their own.
    let is_dead = agent.before_reboot.contains(&container_id);
    if task.info.executor.is_none() && is_dead && task.is_live() {
        agent.containers.insert(container_id, key.clone());
        agent.tasks.insert(key.clone(), task);
        return rebooted(agent, now, container_id, &key, out);
    }
    if task.info.executor.is_none() {
        take_back(&task, now, out);
    }
    agent.containers.insert(container_id, key.clone());
    agent.tasks.insert(key, task);
}

/// The container went with the host. It may have ended before; and where it waited for another one, that is not started:
/// by now its framework may have one elsewhere.
fn rebooted(agent: &mut Agent, now: Timestamp, container_id: ContainerId, key: &TaskKey, out: &mut Output) {
    let is_waiting = |task: &Task| matches!(task.phase, Phase::Waiting { .. });
    if agent.tasks.get(key).is_some_and(is_waiting) {
        let verdict = verdict::rebooted();
        let report = Report {
            reason: verdict.reason,
            message: verdict.message,
            ..Report::default()
        };
        agent.update(now, key, verdict.state, report, out);
        return out.effect(Effect::Destroy { container_id });
    }
    // Its process would be another one's by now.
    let process = None;
    out.effect(Effect::Adopt {
        container_id,
        process,
        frozen: false,
    });
}

/// The launch was cut short before its state was written, or the state cannot be read.
fn unwritten(agent: &mut Agent, now: Timestamp, key: &TaskKey) -> StateRecord {
    StateRecord {
        process: None,
        started_at: None,
        first_started_at: None,
        restarts: 0,
        short_runs: 0,
        restart_at: None,
        kill: None,
        suspension: SuspensionRecord::default(),
        latest: agent.status(now, key, TaskState::Starting, Report::default()),
        updates: Vec::new(),
    }
}

fn phase(state: &StateRecord) -> Phase {
    match (state.latest.state.is_terminal(), state.restart_at, state.process) {
        (true, ..) => Phase::Ended,
        (false, Some(until), _) => Phase::Waiting { until },
        (false, None, Some(_)) => Phase::Running,
        (false, None, None) => Phase::Launching,
    }
}

fn take_back(task: &Task, now: Timestamp, out: &mut Output) {
    let container_id = task.container_id;
    match task.phase {
        Phase::Launching | Phase::Running => {}
        Phase::Waiting { .. } => return,
        Phase::Ended => {
            out.effect(Effect::Destroy { container_id });
            return;
        }
    }
    out.effect(Effect::Adopt {
        container_id,
        process: task.process,
        frozen: task.is_suspended() && task.kill.is_none(),
    });
    if let (Phase::Running, Some(kill)) = (task.phase, &task.kill)
        && now < kill.kill_at
    {
        // The first one may have been cut short.
        out.effect(Effect::Signal {
            container_id,
            signal: Signal::Term,
        });
    }
    if task.phase == Phase::Running && task.kill.is_none() && !task.is_suspended() {
        check_result::run(task, now, out);
    }
}
