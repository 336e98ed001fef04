//! Other limits for a container that lives: an executor's, whose tasks come and go.
//!
//! Only what follows from resources is set anew; what the container was launched with stays as it is.

use std::path::PathBuf;

use proffer_types::{ContainerSpec, Resources};

use crate::isolators::{self, Draft};
use crate::{ContainerConfig, ContainerId, Files, HostFacts, Limit, PlanError, PrepareStep};

/// Plans the limits of a container that lives; in which order those of memory can be set depends on what is in force. Fails when the host cannot enforce them.
pub fn resize(
    container_id: &ContainerId,
    spec: &ContainerSpec,
    resources: &Resources,
    host: &HostFacts,
) -> Result<Vec<Limit>, PlanError> {
    // Those that set limits look at no file.
    let none = PathBuf::new;
    let files = Files {
        sandbox: none(),
        tmp: none(),
        stdout: none(),
        stderr: none(),
        attach: none(),
        exit: none(),
    };
    let config = ContainerConfig::new(container_id.clone(), spec.clone(), resources.clone(), files);
    let mut draft = Draft::default();
    isolators::cpu::limit(&config, host, &mut draft)?;
    isolators::memory::limit(&config, host, &mut draft)?;
    let limits = draft.prepare.into_iter().filter_map(|step| match step {
        PrepareStep::SetLimit(limit) => Some(limit),
        PrepareStep::CreateDirectory { .. }
        | PrepareStep::OpenFile { .. }
        | PrepareStep::OpenOutputDirectory(_)
        | PrepareStep::Listen(_)
        | PrepareStep::CreateCgroup(_)
        | PrepareStep::AllowDevices(_) => None,
    });
    // That one never changes.
    Ok(limits.filter(|limit| *limit != Limit::OomGroup).collect())
}
