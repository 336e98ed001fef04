//! The end of the agent: after the launches under way, or after all of its tasks and a while for the last words.
//! Preparations are aborted: they may take minutes.

use proffer_types::{KillPolicy, Timestamp};

use super::{executor, kill_task};
use crate::agent::Stopping;
use crate::config::LAST_WORDS;
use crate::task::{Phase, Task};
use crate::{Agent, Effect, KillCause, Output, TaskKey};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, kill_tasks: bool, out: &mut Output) {
    if !kill_tasks {
        agent.stopping = Some(Stopping::LeavingTasks);
        let tasks = agent.tasks.values().filter(|task| is_launching(task));
        let executors = agent.executors.values().filter(|executor| !executor.is_running);
        let containers = tasks.map(|task| task.container_id);
        for container_id in containers.chain(executors.map(|executor| executor.container_id)) {
            out.effect(Effect::AbortLaunch { container_id });
        }
        return;
    }
    agent.stopping = Some(Stopping::WithTasks);
    let keys: Vec<TaskKey> = agent.tasks.keys().cloned().collect();
    for key in keys {
        kill_task::kill(
            agent,
            now,
            &key,
            KillCause::AgentStopping,
            KillPolicy::default(),
            out,
        );
    }
    let executors: Vec<TaskKey> = agent.executors.keys().cloned().collect();
    for key in executors {
        executor::settle(agent, now, &key, out);
    }
}

/// Whether a container of its own is being launched.
fn is_launching(task: &Task) -> bool {
    task.phase == Phase::Launching && task.info.executor.is_none()
}

/// Ends an agent that was asked to, once nothing is left to wait for.
pub(crate) fn exit_when_done(agent: &mut Agent, now: Timestamp, out: &mut Output) {
    let mut executors = agent.executors.values();
    let waits = match agent.stopping {
        None => return,
        Some(Stopping::LeavingTasks) => {
            agent.tasks.values().any(is_launching) || executors.any(|executor| !executor.is_running)
        }
        Some(Stopping::WithTasks) => agent.tasks.values().any(Task::is_live) || executors.next().is_some(),
    };
    if agent.exited || waits || is_reporting(agent, now) {
        return;
    }
    agent.close_link("the agent is stopping", out);
    agent.exited = true;
    let error = agent.gone.clone();
    out.effect(Effect::Exit { error });
}

/// Whether the master may still acknowledge how the tasks ended.
fn is_reporting(agent: &mut Agent, now: Timestamp) -> bool {
    let is_heard = agent.stopping == Some(Stopping::WithTasks) && agent.link.session().is_some();
    if !is_heard || agent.tasks.is_empty() {
        return false;
    }
    let until = *agent.report_until.get_or_insert(now.after(LAST_WORDS));
    now < until
}
