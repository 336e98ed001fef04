//! The cgroup that was delegated to the agent's user.
//!
//! A group of cgroup v2 that hands controllers down holds no process (cgroups(7), "no internal processes"), so the agent
//! moves into a leaf. Found in a leaf of that name, it takes the group above as the delegated one: so a supervisor can
//! start agents there, and systemd too (`DelegateSubgroup=agent`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::{AccessFlags, Uid, access};
use thiserror::Error;

/// Where Linux mounts cgroups.
const MOUNT: &str = "/sys/fs/cgroup";

/// The leaf that the agent is in; no container has that name at this place.
const LEAF: &str = "agent";

/// What of a group must be the user's (Documentation/admin-guide/cgroup-v2.rst, "Model of Delegation").
const DELEGATED: [&str; 3] = ["", "cgroup.procs", "cgroup.subtree_control"];

/// There is no cgroup that a user could work in.
#[derive(Debug, Error)]
pub enum TreeError {
    #[error("cannot find out this process's cgroup")]
    Find { source: io::Error },
    #[error(
        "an agent without root needs cgroup v2 alone, and this host has v1 (hybrid): boot it with `systemd.unified_cgroup_hierarchy=1`, or start the agent with sudo"
    )]
    NotUnified,
    #[error(
        "the cgroup `{}` is not delegated to user {uid}: start the agent with `systemd-run --user --pty -p Delegate=yes proffer ..`, or in a group that root has made for it and given to the user, with its cgroup.procs and cgroup.subtree_control", group.display()
    )]
    NotDelegated { group: PathBuf, uid: Uid },
    #[error(
        "the delegated cgroup `{}` holds other processes ({pids}), so it cannot hand down its controllers: start the agent in a group without them, or move them to a group below", group.display()
    )]
    Crowded { group: PathBuf, pids: String },
    #[error("cannot move into `{}`", leaf.display())]
    Move { leaf: PathBuf, source: io::Error },
}

/// Finds the delegated group that this process is in, and moves the process out of its way. To be called by a user.
pub fn delegated() -> Result<PathBuf, TreeError> {
    let own = fs::read_to_string("/proc/self/cgroup").map_err(|source| TreeError::Find { source })?;
    let mount = Path::new(MOUNT);
    let is_unified = statfs(mount).is_ok_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC);
    let path = group(&own).filter(|_| is_unified).ok_or(TreeError::NotUnified)?;
    let own: PathBuf = mount.join(path).components().collect();
    let above = own.parent().filter(|_| own.ends_with(LEAF));
    if let Some(above) = above.filter(|above| is_delegated(above)) {
        return Ok(above.to_owned());
    }
    if !is_delegated(&own) {
        let uid = Uid::effective();
        return Err(TreeError::NotDelegated { group: own, uid });
    }
    move_into(&own.join(LEAF))?;
    let others = fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default();
    if others.trim().is_empty() {
        return Ok(own);
    }
    let pids = others.split_whitespace().collect::<Vec<_>>().join(", ");
    Err(TreeError::Crowded { group: own, pids })
}

/// A process's group below the mount, by `/proc/PID/cgroup` (cgroups(7)); `None` where a controller has a hierarchy of its
/// own, or the group is out of sight.
fn group(text: &str) -> Option<&str> {
    let mut own = None;
    for line in text.lines() {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        match controllers {
            "" => own = path.strip_prefix('/'),
            // A hierarchy without controllers, as systemd's own in the hybrid layout.
            named if named.starts_with("name=") => {}
            _ => return None,
        }
    }
    own.filter(|path| !path.split('/').any(|part| part == ".."))
}

fn is_delegated(group: &Path) -> bool {
    DELEGATED
        .iter()
        .all(|file| access(&group.join(file), AccessFlags::W_OK).is_ok())
}

fn move_into(leaf: &Path) -> Result<(), TreeError> {
    let made = match fs::create_dir(leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    };
    made.and_then(|()| fs::write(leaf.join("cgroup.procs"), "0"))
        .map_err(|source| TreeError::Move {
            leaf: leaf.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_known_where_no_controller_has_a_hierarchy_of_its_own() {
        let user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-u1.service\n";
        assert_eq!(
            group(user),
            Some("user.slice/user-1000.slice/user@1000.service/app.slice/run-u1.service")
        );
        assert_eq!(group("1:name=systemd:/\n0::/\n"), Some(""));
        for other in ["4:memory:/x\n0::/x\n", "", "0::/../x\n", "x"] {
            assert_eq!(group(other), None, "{other}");
        }
    }
}
