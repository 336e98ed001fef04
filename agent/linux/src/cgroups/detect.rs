//! Which hierarchies are in force, found once.
//!
//! A host whose mount point is itself cgroup v2 is a v2 host. One with a directory per controller is a v1 host, even if a
//! unified hierarchy is mounted beside them (hybrid); what no container needs but some ask for may then be in that one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, statfs};
use proffer_container::{Controller, Version};

use crate::SetupError;

/// Where systemd and its like mount the unified hierarchy beside those of v1.
const UNIFIED: &str = "unified";

/// What is mounted.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) version: Version,
    pub(super) controllers: BTreeMap<Controller, Top>,
}

/// The top of the hierarchy a controller is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Top {
    pub(super) version: Version,
    pub(super) path: PathBuf,
}

/// Finds the hierarchies at a mount point. Fails when a controller is missing that every launch needs.
pub(super) fn hierarchy(mount: &Path) -> Result<Found, SetupError> {
    let found = if is(mount, CGROUP2_SUPER_MAGIC) {
        Found {
            version: Version::V2,
            controllers: unified(mount),
        }
    } else {
        per_controller(mount)
    };
    if found.controllers.is_empty() {
        let mount = mount.to_owned();
        return Err(SetupError::NoHierarchy { mount });
    }
    let missing = Controller::ALL
        .into_iter()
        .filter(|controller| controller.is_required(found.version))
        .filter(|controller| !found.controllers.contains_key(controller))
        .map(Controller::as_str)
        .collect::<Vec<_>>();
    if missing.is_empty() {
        Ok(found)
    } else {
        let mount = mount.to_owned();
        let missing = missing.join(", ");
        Err(SetupError::ControllersMissing { mount, missing })
    }
}

fn unified(mount: &Path) -> BTreeMap<Controller, Top> {
    let listed = fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
    let top = Top {
        version: Version::V2,
        path: mount.to_owned(),
    };
    Controller::ALL
        .into_iter()
        .filter(|controller| listed.split_whitespace().any(|name| name == controller.as_str()))
        .map(|controller| (controller, top.clone()))
        .collect()
}

fn per_controller(mount: &Path) -> Found {
    let version = Version::V1;
    let mut controllers = unified(&mount.join(UNIFIED));
    controllers.retain(|controller, _| !controller.is_required(version));
    controllers.extend(Controller::ALL.into_iter().filter_map(|controller| {
        // `cpu` is often a link to `cpu,cpuacct`; its target is the hierarchy's one name.
        let path = fs::canonicalize(mount.join(v1_name(controller))).ok()?;
        is(&path, CGROUP_SUPER_MAGIC).then_some((controller, Top { version, path }))
    }));
    Found { version, controllers }
}

/// The top of a v1 hierarchy that only this controller is in.
pub(super) fn v1_hierarchy(mount: &Path, name: &str) -> Option<PathBuf> {
    let path = fs::canonicalize(mount.join(name)).ok()?;
    let is_alone = path.file_name().is_some_and(|file| file == name);
    (is_alone && is(&path, CGROUP_SUPER_MAGIC)).then_some(path)
}

fn v1_name(controller: Controller) -> &'static str {
    if controller == Controller::Io {
        "blkio"
    } else {
        controller.as_str()
    }
}

fn is(path: &Path, magic: FsType) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == magic)
}
