//! Namespaces: pid, mount, uts, ipc and network around pid 1, time and cgroup around the payload. The user namespace comes
//! last of all, with the privileges.

use std::path::Path;

use super::{Draft, absolute};
use crate::config::{ContainerConfig, IpcNamespace, NetworkNamespace};
use crate::{HostFacts, InitStep, Leaf, Namespace, PayloadStep, PlanError};

/// The kernel's longest host name (`HOST_NAME_MAX`).
const MAX_HOSTNAME_BYTES: usize = 64;

/// Starts pid 1 in its namespaces, or joins those that others made.
pub(crate) fn enter(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    let mut namespaces = vec![Namespace::Pid, Namespace::Mount, Namespace::Uts];
    let mut joined = Vec::new();
    let mut join = |namespace, path: &Path| -> Result<(), PlanError> {
        absolute("the namespace", path)?;
        let path = path.to_owned();
        joined.push(InitStep::Join { namespace, path });
        Ok(())
    };
    match &config.ipc {
        IpcNamespace::New => namespaces.push(Namespace::Ipc),
        IpcNamespace::Joined { namespace, .. } => join(Namespace::Ipc, namespace)?,
    }
    match &config.network {
        NetworkNamespace::Host => {}
        NetworkNamespace::New => namespaces.push(Namespace::Net),
        NetworkNamespace::Joined(path) => join(Namespace::Net, path)?,
    }
    let leaf = Leaf::Init;
    draft.init.push(InitStep::OpenCgroup(Leaf::Task));
    draft.init.push(InitStep::Enter { leaf, namespaces });
    draft.init.push(InitStep::ForbidDumping);
    draft.init.extend(joined);
    draft.init.push(InitStep::SetHostname(hostname(config)?));
    Ok(())
}

/// Starts the payload in its leaf, and in namespaces that only a new process can have.
///
/// The root of a cgroup namespace is the leaf of whoever unshares it, and that must be the payload's.
pub(crate) fn enter_payload(host: &HostFacts, draft: &mut Draft) {
    if host.has_time_namespace {
        draft.init.push(InitStep::Unshare(Namespace::Time));
    }
    draft.payload.push(PayloadStep::Enter);
    draft.payload.push(PayloadStep::Unshare(vec![Namespace::Cgroup]));
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
