//! Persistent volumes: each bound over its container path, in the container's own mount namespace.

use std::path::Path;

use super::{Draft, absolute};
use crate::{BindMount, ContainerConfig, HostFacts, InitStep, MountSource, PlanError};

/// What a task must find as the kernel made it.
const KERNELS_OWN: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Binds the volumes, outer ones first, so that one may be within another.
pub(crate) fn mount(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    let mut volumes = config.mounts.iter().collect::<Vec<_>>();
    volumes.sort_by_key(|volume| normal(&volume.container_path));
    let mut taken = None;
    for volume in volumes {
        let MountSource::Bind { path, .. } = &volume.source else {
            return refuse(&volume.container_path, "is not one of a directory of the host");
        };
        absolute("the directory of a volume", path)?;
        check(config, host, &volume.container_path)?;
        let target = normal(&volume.container_path);
        if taken.as_ref() == Some(&target) {
            return refuse(&target, "is the one of another volume");
        }
        taken = Some(target.clone());
        draft.init.push(InitStep::BindMount(BindMount {
            source: path.clone(),
            target,
        }));
    }
    Ok(())
}

/// The path without doubled or trailing slashes, which say nothing.
fn normal(path: &Path) -> std::path::PathBuf {
    path.components().collect()
}

fn check(config: &ContainerConfig, host: &HostFacts, path: &Path) -> Result<(), PlanError> {
    let text = absolute("the container path of a volume", path)?;
    if text.split('/').any(|part| matches!(part, "." | "..")) {
        return refuse(path, "has a part that is `.` or `..`");
    }
    if path.parent().is_none() {
        return refuse(path, "would hide every file there is");
    }
    let kernels_own = KERNELS_OWN
        .iter()
        .map(Path::new)
        .chain([host.cgroup_mount.as_path()]);
    for own in kernels_own {
        if path.starts_with(own) || own.starts_with(path) {
            return refuse(path, "would hide what the kernel shows");
        }
    }
    match config.files.sandbox.starts_with(path) {
        true => refuse(path, "would hide the task's sandbox"),
        false => Ok(()),
    }
}

fn refuse(path: &Path, why: &'static str) -> Result<(), PlanError> {
    let path = format!("`{}`", path.display().to_string().escape_debug());
    Err(PlanError::ContainerPath { path, why })
}
