//! The end of a framework: every task of it is killed, and nobody is left to acknowledge its operations.

use proffer_types::{FrameworkId, KillPolicy, Timestamp};

use super::kill_task;
use crate::{Agent, KillCause, Output, TaskKey};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, framework_id: &FrameworkId, out: &mut Output) {
    let of_it = |key: &&TaskKey| key.framework_id == *framework_id;
    let keys: Vec<TaskKey> = agent.tasks.keys().filter(of_it).cloned().collect();
    for key in keys {
        kill_task::kill(
            agent,
            now,
            &key,
            KillCause::FrameworkShutdown,
            KillPolicy::default(),
            out,
        );
    }
    if agent.operations.forget_framework(framework_id) {
        agent.save_resources(out);
    }
}
