//! Volumes: directories and files of the host, memory, secrets and images, each at its container path.

use std::path::{Path, PathBuf};

use proffer_types::container::Propagation;

use super::{Draft, absolute, mounts, outside, root};
use crate::root::{Access, Attach, Mount, MountLayers, NewFile, RootStep};
use crate::{ContainerConfig, HostFacts, MountSource, PlanError, VolumeMount};

/// What a task must find as the kernel made it, or the agent.
const TAKEN: [&str; 4] = ["/proc", "/sys", "/dev", "/run/proffer"];

/// Where the files are that secrets are in: memory that is never swapped.
const SECRETS: &str = "/run/proffer/secrets";

/// A volume, and the tree that was opened for it.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    volume: &'a VolumeMount,
    target: PathBuf,
    tree: Option<usize>,
}

/// Checks the volumes, and opens those of the host before the container's own mounts hide them. Outer ones come first, so
/// that one may be within another.
pub(crate) fn open<'a>(
    config: &'a ContainerConfig,
    host: &HostFacts,
    draft: &mut Draft,
) -> Result<Vec<Opened<'a>>, PlanError> {
    let mut volumes = config.mounts.iter().collect::<Vec<_>>();
    volumes.sort_by_key(|volume| normal(&volume.container_path));
    let mut opened = Vec::<Opened<'a>>::new();
    for volume in volumes {
        let target = check(&volume.container_path)?;
        if opened.last().is_some_and(|last| last.target == target) {
            return refuse(&target, "is the one of another volume");
        }
        let tree = match &volume.source {
            MountSource::Bind { path, propagation } => {
                absolute("the directory of a volume", path)?;
                if *propagation == Propagation::Bidirectional && host.rootless.is_some() {
                    return Err(PlanError::Rootless("show the host what a task mounts"));
                }
                Some(draft.open_tree(path))
            }
            MountSource::Tmpfs { .. } | MountSource::File { .. } | MountSource::Overlay { .. } => None,
        };
        opened.push(Opened { volume, target, tree });
    }
    Ok(opened)
}

/// Mounts the volumes.
pub(crate) fn mount(
    config: &ContainerConfig,
    host: &HostFacts,
    opened: Vec<Opened<'_>>,
    draft: &mut Draft,
) -> Result<(), PlanError> {
    let has_secrets = opened
        .iter()
        .any(|one| matches!(one.volume.source, MountSource::File { .. }));
    if has_secrets {
        draft.root(RootStep::Mount(Mount {
            filesystem: "ramfs",
            target: SECRETS.into(),
            access: Access::default(),
            options: vec![("mode", "0711".to_owned())],
        }));
    }
    for (place, one) in opened.into_iter().enumerate() {
        mount_one(config, host, place, one, draft)?;
    }
    if has_secrets {
        draft.root(RootStep::ReadOnly(SECRETS));
    }
    Ok(())
}

fn mount_one(
    config: &ContainerConfig,
    host: &HostFacts,
    place: usize,
    one: Opened<'_>,
    draft: &mut Draft,
) -> Result<(), PlanError> {
    let Opened { volume, target, tree } = one;
    let read_only = volume.read_only;
    let step = match (&volume.source, tree) {
        (MountSource::Bind { propagation, .. }, Some(tree)) => RootStep::Attach(Attach {
            tree,
            target,
            read_only,
            is_device: false,
            propagation: *propagation,
        }),
        (MountSource::Tmpfs { size }, _) => RootStep::Mount(memory(config, *size, target, read_only)),
        (MountSource::File { content }, _) => {
            let path = Path::new(SECRETS).join(place.to_string());
            draft.root(RootStep::MakeFile(NewFile {
                path: path.clone(),
                mode: 0o400,
                owner: outside(config, (config.user.uid, config.user.gid)),
                content: content.clone(),
            }));
            let (source, read_only) = (path, true);
            RootStep::Show {
                source,
                target,
                read_only,
            }
        }
        (MountSource::Overlay { lower }, _) => {
            let layers = root::layers(config, host, lower)?;
            RootStep::MountLayers(MountLayers { layers, target })
        }
        (MountSource::Bind { .. }, None) => return refuse(&target, "was not opened"),
    };
    draft.root(step);
    Ok(())
}

fn memory(config: &ContainerConfig, size: u64, target: PathBuf, read_only: bool) -> Mount {
    let (uid, gid) = outside(config, (config.user.uid, config.user.gid));
    Mount {
        filesystem: "tmpfs",
        target,
        access: Access {
            read_only,
            execute: true,
            devices: false,
        },
        options: vec![
            ("mode", "0755".to_owned()),
            ("uid", uid.to_string()),
            ("gid", gid.to_string()),
            ("size", size.to_string()),
        ],
    }
}

/// The path without doubled or trailing slashes, which say nothing.
fn normal(path: &Path) -> PathBuf {
    path.components().collect()
}

fn check(path: &Path) -> Result<PathBuf, PlanError> {
    let text = absolute("the container path of a volume", path)?;
    if text.split('/').any(|part| matches!(part, "." | "..")) {
        return refuse(path, "has a part that is `.` or `..`");
    }
    if path.parent().is_none() {
        return refuse(path, "would hide every file there is");
    }
    if TAKEN
        .iter()
        .any(|own| path.starts_with(own) || Path::new(own).starts_with(path))
    {
        return refuse(path, "would hide what the kernel or the agent shows");
    }
    match Path::new(mounts::SANDBOX).starts_with(path) {
        true => refuse(path, "would hide the task's sandbox"),
        false => Ok(normal(path)),
    }
}

fn refuse<T>(path: &Path, why: &'static str) -> Result<T, PlanError> {
    let path = format!("`{}`", path.display().to_string().escape_debug());
    Err(PlanError::ContainerPath { path, why })
}
