//! The record of an executor was not written: before its launch, or when it had subscribed for the first time.

use proffer_types::Timestamp;

use super::{ended, heard, of_container};
use crate::{Agent, ContainerEnd, ContainerId, Output};

/// Answers whether the record is one of an executor.
pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    container_id: ContainerId,
    launch_skipped: bool,
    error: &str,
    out: &mut Output,
) -> bool {
    let Some(key) = of_container(agent, container_id) else {
        return false;
    };
    let why = format!("the agent could not write its checkpoint: {error}");
    if launch_skipped {
        let end = ContainerEnd::NotStarted {
            error: why,
            exit: None,
        };
        ended::handle(agent, now, &key, &end, None, out);
    } else if let Some(executor) = agent.executors.get_mut(&key) {
        // It comes back, and then is written again.
        executor.was_subscribed = false;
        if let Some(connection) = executor.connection {
            heard::refuse(agent, now, &key, connection, why, out);
        }
    }
    true
}
