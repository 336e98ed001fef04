//! Namespaces: pid, mount, uts and ipc around pid 1, cgroup around the payload.

use super::Draft;
use crate::{ContainerConfig, InitStep, Leaf, Namespace, PayloadStep, PlanError};

/// The kernel's longest host name (`HOST_NAME_MAX`).
const MAX_HOSTNAME_BYTES: usize = 64;

/// Starts pid 1 in its namespaces, and the payload in its leaf.
///
/// The cgroup namespace comes last: its root is the leaf of whoever unshares it, and that must be the payload's.
pub(crate) fn enter(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    let namespaces = vec![Namespace::Pid, Namespace::Mount, Namespace::Uts, Namespace::Ipc];
    let leaf = Leaf::Init;
    draft.init.push(InitStep::Enter { leaf, namespaces });
    draft.init.push(InitStep::ForbidDumping);
    draft.init.push(InitStep::SetHostname(hostname(config)?));
    draft.payload.push(PayloadStep::Enter { leaf: Leaf::Task });
    draft.payload.push(PayloadStep::Unshare(vec![Namespace::Cgroup]));
    Ok(())
}

fn hostname(config: &ContainerConfig) -> Result<String, PlanError> {
    let Some(name) = &config.hostname else {
        let id = config.container_id.as_str().replace('_', "-");
        // An id is ASCII, so every cut is on a character.
        return Ok(id[..id.len().min(MAX_HOSTNAME_BYTES)].to_owned());
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if (1..=MAX_HOSTNAME_BYTES).contains(&name.len()) && name.chars().all(good) {
        Ok(name.clone())
    } else {
        Err(PlanError::Hostname(name.escape_debug().to_string()))
    }
}
