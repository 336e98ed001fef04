//! A container was not built.

use proffer_types::Timestamp;

use super::exited;
use crate::{Agent, ContainerEnd, ContainerId, Output};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    container_id: ContainerId,
    error: String,
    out: &mut Output,
) {
    exited::handle(
        agent,
        now,
        container_id,
        &ContainerEnd::NotStarted { error },
        None,
        out,
    );
}
