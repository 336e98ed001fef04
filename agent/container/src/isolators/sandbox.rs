//! The sandbox: the task's own directory on the host.

use super::{Draft, absolute, no_nul};
use crate::{ContainerConfig, PayloadStep, PlanError, PrepareStep};

/// Creates the sandbox.
pub(crate) fn prepare(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    absolute("the sandbox", &config.files.sandbox)?;
    draft
        .prepare
        .push(PrepareStep::CreateDirectory(config.files.sandbox.clone()));
    Ok(())
}

/// Changes into the working directory, by default the sandbox.
pub(crate) fn enter(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    let directory = working_directory(config)?;
    draft.payload.push(PayloadStep::ChangeDirectory(directory.into()));
    Ok(())
}

/// The directory the command starts in.
pub(super) fn working_directory(config: &ContainerConfig) -> Result<&str, PlanError> {
    match &config.spec.working_directory {
        None => absolute("the sandbox", &config.files.sandbox),
        Some(path) => {
            no_nul("the working directory", path)?;
            absolute("the working directory", path.as_ref())
        }
    }
}
