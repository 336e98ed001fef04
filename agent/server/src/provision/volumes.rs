//! The volumes of a task: what of the host, of its sandbox, of its group, of memory it sees, and where.
//!
//! Every path that is mounted was found without a link in it, and must be opened without following any: a task that
//! shares a directory could put one there at any time.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use proffer_container::{MountSource, VolumeMount};
use proffer_fetch::Owner;
use proffer_fetch::within::{self, Within};
use proffer_image::ImageStore;
use proffer_types::container::{Propagation, VolumeSource, VolumeSpec};
use proffer_types::{Kind, Limit, Resources, Volume};

use super::{Prepared, Progress, Request, Stage, image, owner};
use crate::data_dir::DataDir;
use crate::secrets::Secrets;
use crate::volumes;

/// The directories of a group are shared by the users of all of its containers, and by nobody else: what they are in is
/// the agent's alone.
const SHARED_MODE: u32 = 0o777;

/// Adds what the task wants mounted.
pub(super) async fn prepare(
    stage: &Stage,
    allowed: &[PathBuf],
    secrets: &Secrets,
    images: &ImageStore,
    request: &Request,
    prepared: &mut Prepared,
    progress: &Progress,
) -> Result<(), String> {
    let config = &mut prepared.config;
    let owner = owner::of(config)?;
    config
        .mounts
        .extend(persistent(&stage.data_dir, &request.info.resources, owner)?);
    for volume in &request.info.container.volumes {
        let source = match &volume.source {
            VolumeSource::HostPath { path, propagation } => {
                let (path, allowed) = (path.clone(), allowed.to_vec());
                let found = stage.blocking(move |data_dir| host_path(data_dir, &path, &allowed));
                bind(found.await?, *propagation)
            }
            VolumeSource::Sandbox { path } => {
                let (sandbox, path) = (config.files.sandbox.clone(), path.clone());
                let made = stage.blocking(move |_| in_sandbox(&sandbox, &path, owner));
                bind(made.await?, Propagation::Private)
            }
            VolumeSource::Group { name } => {
                let shared = match &request.group {
                    Some(group) => stage.data_dir.group(group),
                    None => stage.data_dir.container(request.container_id),
                };
                let name = name.clone();
                let made = stage.blocking(move |_| of_group(&shared.join("volumes"), &name));
                bind(made.await?, Propagation::Private)
            }
            VolumeSource::Tmpfs { size } => MountSource::Tmpfs {
                size: memory(*size, request)?,
            },
            VolumeSource::Secret { name } => MountSource::File {
                content: secrets.get(name).await?,
            },
            VolumeSource::Image(wanted) => {
                image::volume(images, request.container_id, wanted, progress).await?
            }
            // A stage of its own.
            VolumeSource::Config(_) => continue,
        };
        config.mounts.push(mount(volume, source));
    }
    Ok(())
}

fn mount(volume: &VolumeSpec, source: MountSource) -> VolumeMount {
    VolumeMount {
        source,
        container_path: volume.container_path.clone().into(),
        read_only: volume.read_only,
    }
}

fn bind(path: PathBuf, propagation: Propagation) -> MountSource {
    MountSource::Bind { path, propagation }
}

/// The task's persistent volumes. One whose directory is lost is not made again: it would look like an empty one.
fn persistent(
    data_dir: &DataDir,
    resources: &Resources,
    owner: Option<Owner>,
) -> Result<Vec<VolumeMount>, String> {
    let mount = |(kind, volume, _): (&Kind, &Volume, u64)| {
        let source = volumes::path(data_dir, kind).filter(|path| path.is_dir());
        let source = source.ok_or_else(|| format!("the directory of volume `{}` is lost", volume.id))?;
        give_new(&source, owner)
            .map_err(|error| format!("cannot give volume `{}` to the task's user: {error}", volume.id))?;
        Ok(VolumeMount {
            source: bind(source, Propagation::Private),
            container_path: volume.container_path.clone().into(),
            read_only: false,
        })
    };
    resources.volumes().map(mount).collect()
}

/// Gives a volume that no task had before, and is the agent's own so far, to the task's user.
fn give_new(volume: &Path, owner: Option<Owner>) -> io::Result<()> {
    let is_new = fs::symlink_metadata(volume)?.uid() == rustix::process::geteuid().as_raw();
    match owner {
        Some(Owner { uid, gid }) if is_new => std::os::unix::fs::lchown(volume, Some(uid), Some(gid)),
        Some(_) | None => Ok(()),
    }
}

/// Where a path of the host leads to, if the operator allows that. What is the agent's own is never allowed: it has what
/// other tasks keep.
fn host_path(data_dir: &DataDir, path: &str, allowed: &[PathBuf]) -> Result<PathBuf, String> {
    let refuse = |why: &str| format!("the host path `{}` {why}", path.escape_debug());
    let found = within::allowed(Path::new(path), allowed);
    let not_allowed = || refuse("is not below one that the agent's operator allows (--allow-host-path)");
    // Whether it is there is nobody's business where it is not allowed.
    let is_there = match &found {
        Err(error) => {
            let parent = Path::new(path).ancestors().skip(1).find(|parent| parent.exists());
            let may_know = parent.and_then(|parent| within::allowed(parent, allowed).ok().flatten());
            match may_know {
                Some(_) => return Err(refuse(&format!("cannot be mounted: {error}"))),
                None => None,
            }
        }
        Ok(found) => found.clone(),
    };
    let real = is_there.ok_or_else(not_allowed)?;
    if real.starts_with(data_dir.root()) || data_dir.root().starts_with(&real) {
        return Err(refuse("holds the agent's own data, or is part of it"));
    }
    Ok(real)
}

fn in_sandbox(sandbox: &Path, path: &str, owner: Option<Owner>) -> Result<PathBuf, String> {
    let refuse = |error: io::Error| format!("no volume at `{}` of the sandbox: {error}", path.escape_debug());
    let relative = within::relative(Path::new(path)).map_err(refuse)?;
    let made = Within::open(sandbox).and_then(|within| within.make_dir(&relative, owner));
    made.map_err(refuse)?;
    Ok(sandbox.join(relative))
}

fn of_group(volumes: &Path, name: &str) -> Result<PathBuf, String> {
    let refuse = |error: io::Error| format!("no volume `{}` of the group: {error}", name.escape_debug());
    let is_plain = Path::new(name).file_name().is_some_and(|last| last == name);
    if !is_plain {
        return Err(refuse(io::Error::other("it is no plain name")));
    }
    let path = volumes.join(name);
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&path)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(SHARED_MODE)))
        .map_err(refuse)?;
    Ok(path)
}

/// The bytes of a volume in memory: without a size half of the task's.
fn memory(size: Option<u64>, request: &Request) -> Result<u64, String> {
    let half = || match request.info.limits.mem {
        Some(Limit::At(bytes)) => bytes / 2,
        Some(Limit::Infinite) | None => request.info.resources.mem_bytes() / 2,
    };
    match size.unwrap_or_else(half) {
        0 => Err("a tmpfs volume of a task without memory needs a size".to_owned()),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_host_paths_are_mounted_and_never_the_agents_own() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let data_dir = DataDir::open(&root.join("data")).unwrap();
        fs::create_dir_all(root.join("open/inner")).unwrap();
        fs::write(root.join("open/file"), "").unwrap();
        std::os::unix::fs::symlink("/etc", root.join("open/etc")).unwrap();
        let check = |allowed: &str, path: &str| {
            let path = root.join(path).display().to_string();
            host_path(&data_dir, &path, &[root.join(allowed)])
        };
        assert_eq!(check("open", "open/inner"), Ok(root.join("open/inner")));
        assert_eq!(check("open", "open/file"), Ok(root.join("open/file")));
        for path in ["open/etc", "open/../data", "open/etc/none", "none", "data"] {
            let error = check("open", path).unwrap_err();
            assert!(error.contains("--allow-host-path"), "{error}");
        }
        let missing = check("open", "open/none").unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
        for path in ["data/sandboxes", "", "data"] {
            let error = check("", path).unwrap_err();
            assert!(error.contains("the agent's own"), "{path}: {error}");
        }
    }

    #[test]
    fn a_volume_of_the_sandbox_stays_in_it() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
        let made = in_sandbox(dir.path(), "a/b", None).unwrap();
        assert!(made.is_dir());
        for path in ["../x", "/etc", "link", "link/x"] {
            assert!(in_sandbox(dir.path(), path, None).is_err(), "{path}");
        }
        for name in ["..", ".", "", "a/b", "/a"] {
            assert!(of_group(dir.path(), name).is_err(), "{name}");
        }
    }
}
