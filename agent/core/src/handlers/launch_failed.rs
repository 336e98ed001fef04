//! A container was not built: it could not be, or the launch was aborted.

use proffer_types::{TaskExit, Timestamp};

use super::exited;
use crate::agent::Stopping;
use crate::{Agent, ContainerEnd, ContainerId, Output};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    container_id: ContainerId,
    error: String,
    exit: Option<TaskExit>,
    out: &mut Output,
) {
    let end = match agent.stopping {
        // Aborted, as by an end of the agent that nobody asked for.
        Some(Stopping::LeavingTasks) => ContainerEnd::Unknown,
        Some(Stopping::WithTasks) | None => ContainerEnd::NotStarted { error, exit },
    };
    exited::handle(agent, now, container_id, &end, None, out);
}
