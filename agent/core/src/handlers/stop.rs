//! The end of the agent: at once, or after its tasks.

use proffer_types::{KillPolicy, Timestamp};

use super::kill_task;
use crate::{Agent, Effect, KillCause, Output, TaskKey};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, kill_tasks: bool, out: &mut Output) {
    if !kill_tasks {
        agent.close_link("the agent is stopping", out);
        return exit(agent, out);
    }
    agent.stopping = true;
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

/// Ends an agent that stops together with its tasks once the last of them is gone.
pub(crate) fn exit_when_done(agent: &mut Agent, out: &mut Output) {
    if agent.stopping && !agent.exited && !agent.tasks.values().any(crate::task::Task::is_live) {
        agent.close_link("the agent is stopping", out);
        exit(agent, out);
    }
}

fn exit(agent: &mut Agent, out: &mut Output) {
    agent.exited = true;
    out.effect(Effect::Exit { error: None });
}
