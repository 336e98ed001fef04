//! Privileges: a user of the container's own user namespace, a short list of capabilities, no way to gain more, and no
//! system call that has no use in a task.
//!
//! As the OCI runtimes have it, root has all capabilities of the list, and another user none; one that the spec adds is
//! kept for any user, as ambient.

use proffer_types::container::Capability;

use super::Draft;
use crate::{ContainerConfig, IdMap, PayloadStep, PlanError};

/// The length of one instruction of a filter (`struct sock_filter`), and the most of them the kernel takes.
const INSTRUCTION_BYTES: usize = 8;
const MAX_INSTRUCTIONS: usize = 4096;

/// Becomes the task's user. What needs privileges on the host comes before.
pub(crate) fn become_user(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    let user = &config.user;
    if let Some(map) = config.id_map {
        check_map(map)?;
        let ids = [user.uid, user.gid]
            .into_iter()
            .chain(user.groups.iter().copied());
        if let Some(id) = ids.into_iter().find(|id| *id >= map.count) {
            return Err(PlanError::IdNotMapped { id, count: map.count });
        }
        draft.payload.push(PayloadStep::EnterUserNamespace);
    }
    draft.payload.push(PayloadStep::BoundCapabilities(kept(config)));
    draft.payload.push(PayloadStep::BecomeUser(user.clone()));
    Ok(())
}

/// Drops capabilities, sets `no_new_privs` and installs the filter.
pub(crate) fn drop(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    let security = &config.spec.security;
    let is_root = config.user.uid == 0;
    let ambient = if is_root {
        Vec::new()
    } else {
        security.add_capabilities.clone()
    };
    let permitted = if is_root { kept(config) } else { ambient.clone() };
    let capabilities = PayloadStep::KeepCapabilities { permitted, ambient };
    let filter = filter(config)?;
    // Who can still gain privileges may install a filter only while it has them.
    if security.may_gain_privileges {
        draft.payload.extend(filter);
        draft.payload.push(capabilities);
    } else {
        draft.payload.push(capabilities);
        draft.payload.push(PayloadStep::NoNewPrivileges);
        draft.payload.extend(filter);
    }
    Ok(())
}

/// The default set, with what the spec adds and without what it drops.
fn kept(config: &ContainerConfig) -> Vec<Capability> {
    let security = &config.spec.security;
    let is_kept = |one: &&Capability| {
        let is_dropped = security.drop_capabilities.contains(one);
        security.add_capabilities.contains(one) || (Capability::DEFAULT.contains(one) && !is_dropped)
    };
    Capability::ALL.iter().filter(is_kept).copied().collect()
}

fn filter(config: &ContainerConfig) -> Result<Option<PayloadStep>, PlanError> {
    let filter = &config.seccomp;
    if filter.is_empty() {
        return Ok(None);
    }
    if !filter.len().is_multiple_of(INSTRUCTION_BYTES) || filter.len() / INSTRUCTION_BYTES > MAX_INSTRUCTIONS
    {
        return Err(PlanError::Filter {
            n_bytes: filter.len(),
        });
    }
    Ok(Some(PayloadStep::FilterCalls(filter.clone())))
}

fn check_map(map: IdMap) -> Result<(), PlanError> {
    // The last id stands for none.
    let is_good = map.count > 0 && map.first.checked_add(map.count).is_some() && map.first > 0;
    if is_good {
        Ok(())
    } else {
        Err(PlanError::IdMap(map))
    }
}
