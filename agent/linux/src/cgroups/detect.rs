//! Which hierarchy is in force, found once.
//!
//! A host whose mount point is itself cgroup v2 is a v2 host. One with a directory per controller is a v1 host, even
//! if an unused unified hierarchy is mounted beside them (hybrid).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, statfs};
use proffer_container::{Controller, Version};

use crate::SetupError;

/// What is mounted.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) version: Version,
    /// The top of the hierarchy each controller is in.
    pub(super) controllers: BTreeMap<Controller, PathBuf>,
}

/// Finds the hierarchy at a mount point. Fails when a controller is missing: without it every launch would.
pub(super) fn hierarchy(mount: &Path) -> Result<Found, SetupError> {
    let found = if is(mount, CGROUP2_SUPER_MAGIC) {
        unified(mount)
    } else {
        per_controller(mount)
    };
    if found.controllers.is_empty() {
        let mount = mount.to_owned();
        return Err(SetupError::NoHierarchy { mount });
    }
    let missing = Controller::ALL
        .into_iter()
        .filter(|controller| !found.controllers.contains_key(controller))
        .filter(|controller| (found.version, *controller) != (Version::V2, Controller::Cpuacct))
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

fn unified(mount: &Path) -> Found {
    let listed = fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
    let controllers = Controller::ALL
        .into_iter()
        .filter(|controller| listed.split_whitespace().any(|name| name == controller.as_str()))
        .map(|controller| (controller, mount.to_owned()))
        .collect();
    Found {
        version: Version::V2,
        controllers,
    }
}

fn per_controller(mount: &Path) -> Found {
    let controllers = Controller::ALL
        .into_iter()
        .filter_map(|controller| {
            // `cpu` is often a link to `cpu,cpuacct`; its target is the hierarchy's one name.
            let top = fs::canonicalize(mount.join(controller.as_str())).ok()?;
            is(&top, CGROUP_SUPER_MAGIC).then_some((controller, top))
        })
        .collect();
    Found {
        version: Version::V1,
        controllers,
    }
}

fn is(path: &Path, magic: FsType) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == magic)
}
