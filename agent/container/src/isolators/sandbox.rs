//! The sandbox: the task's own directory, which it sees at the same place whatever its root is, and its `/tmp`.

use std::path::PathBuf;

use super::{Draft, absolute, mounts, no_nul, outside};
use crate::{ContainerConfig, PayloadStep, PlanError, PrepareStep, Root, RootStep};

/// What everybody may write to, and only the owner of a file remove it from.
const TMP_MODE: u32 = 0o1777;
const SANDBOX_MODE: u32 = 0o755;

/// Creates the task's directories.
pub(crate) fn prepare(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    let root = outside(config, (0, 0));
    let user = outside(config, (config.user.uid, config.user.gid));
    for (what, path, mode, owner) in [
        ("the sandbox", &config.files.sandbox, SANDBOX_MODE, user),
        ("the directory for /tmp", &config.files.tmp, TMP_MODE, root),
    ] {
        absolute(what, path)?;
        let path = path.clone();
        draft
            .prepare
            .push(PrepareStep::CreateDirectory { path, mode, owner });
    }
    Ok(())
}

/// Makes an image's working directory where it is missing.
pub(crate) fn make_working_directory(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    let is_writable = matches!(&config.root, Root::Image(image) if image.upper.is_some());
    let path = PathBuf::from(working_directory(config)?);
    if is_writable && path.parent().is_some() {
        let (mode, owner) = (0o755, outside(config, (config.user.uid, config.user.gid)));
        draft.root(RootStep::MakeDirectory { path, mode, owner });
    }
    Ok(())
}

/// Changes into the working directory.
pub(crate) fn enter(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    let directory = working_directory(config)?;
    draft.payload.push(PayloadStep::ChangeDirectory(directory.into()));
    Ok(())
}

/// The directory the command starts in: what the spec says, or its image; without either the sandbox.
pub(super) fn working_directory(config: &ContainerConfig) -> Result<&str, PlanError> {
    let said = config
        .spec
        .working_directory
        .as_ref()
        .or(config.working_directory.as_ref());
    match said {
        Some(path) => {
            no_nul("the working directory", path)?;
            absolute("the working directory", path.as_ref())
        }
        None if matches!(config.root, Root::Image(_)) => Ok("/"),
        None => Ok(mounts::SANDBOX),
    }
}
