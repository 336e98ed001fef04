//! Whose files are those of a task, on the host.

use proffer_container::{ContainerConfig, IdMap};
use proffer_fetch::Owner;

/// The task's user, as the host knows it; absent where that is the agent's own.
pub(crate) fn of(config: &ContainerConfig) -> Result<Option<Owner>, String> {
    let outside = |id: u32| match config.id_map {
        None => Ok(id),
        Some(IdMap { first, count }) if id < count => Ok(first.saturating_add(id)),
        Some(IdMap { count, .. }) => Err(format!(
            "the task's user or group {id} is not one of the {count} that the agent has for tasks"
        )),
    };
    let (uid, gid) = (outside(config.user.uid)?, outside(config.user.gid)?);
    let own = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    Ok(((uid, gid) != own).then_some(Owner { uid, gid }))
}
