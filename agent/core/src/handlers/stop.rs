//! The end of the agent: after the launches under way, or after all of its tasks and a while for the last words.
//! Preparations are aborted: they may take minutes.

use proffer_types::{KillPolicy, Timestamp};

use super::kill_task;
use crate::agent::Stopping;
use crate::config::LAST_WORDS;
use crate::task::{Phase, Task};
use crate::{Agent, Effect, KillCause, Output, TaskKey};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, kill_tasks: bool, out: &mut Output) {
    if !kill_tasks {
        agent.stopping = Some(Stopping::LeavingTasks);
        for task in agent.tasks.values().filter(|task| task.phase == Phase::Launching) {
            out.effect(Effect::AbortLaunch {
                container_id: task.container_id,
            });
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
}

/// Ends an agent that was asked to, once nothing is left to wait for.
pub(crate) fn exit_when_done(agent: &mut Agent, now: Timestamp, out: &mut Output) {
    let waits_for: fn(&Task) -> bool = match agent.stopping {
        None => return,
        Some(Stopping::LeavingTasks) => |task| task.phase == Phase::Launching,
        Some(Stopping::WithTasks) => Task::is_live,
    };
    if agent.exited || agent.tasks.values().any(waits_for) || is_reporting(agent, now) {
        return;
    }
    agent.close_link("the agent is stopping", out);
    agent.exited = true;
    out.effect(Effect::Exit { error: None });
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
