//! Freezing a container's payload: none of its processes runs until it is thawed. Init is not frozen.
//!
//! On v2 the payload's group has a switch (Documentation/admin-guide/cgroup-v2.rst, `cgroup.freeze`). On v1 there is a
//! hierarchy for it (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst), which a container is put into when it is
//! first frozen: launches do not pay for it. What is forked there is born there. Its frozen processes do not even die of
//! SIGKILL.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::libc;
use proffer_container::{ContainerId, Controller, Leaf, Version};

use super::detect::v1_hierarchy;
use super::{Cgroups, Home, create_group, list};

/// The switch of v2, and where it tells what has become of it.
const V2_SWITCH: &str = "cgroup.freeze";
const V2_EVENTS: &str = "cgroup.events";
/// Both, of v1.
const V1_STATE: &str = "freezer.state";

/// How often the processes of a container are looked at that fork while they are put into a group of v1: those that are in
/// it already fork into it, so each look finds fewer.
const MAX_PASSES: u32 = 100;

/// What freezes containers.
#[derive(Debug)]
pub(super) enum Freezer {
    V2,
    V1 {
        top: PathBuf,
        /// The agent's group there.
        root: PathBuf,
    },
}

impl Freezer {
    /// Finds it, and makes the agent's group. None where the kernel has none, or it may not be used.
    pub(super) fn detect(mount: &Path, root: &str, version: Version, memory: &Home) -> Option<Self> {
        match version {
            Version::V2 => memory.root.join(V2_SWITCH).exists().then_some(Self::V2),
            Version::V1 => {
                let top = v1_hierarchy(mount, "freezer")?;
                let root = top.join(root);
                create_group(&root).ok()?;
                Some(Self::V1 { top, root })
            }
        }
    }

    /// The agent's group in a hierarchy of its own.
    pub(super) fn root(&self) -> Option<&Path> {
        match self {
            Self::V2 => None,
            Self::V1 { root, .. } => Some(root),
        }
    }
}

impl Cgroups {
    /// Whether containers can be frozen.
    pub(crate) fn can_freeze(&self) -> bool {
        self.freezer.is_some()
    }

    /// Begins to freeze a container's payload. Once more does no harm.
    pub(crate) fn freeze(&self, id: &ContainerId) -> io::Result<()> {
        match &self.freezer {
            None => Err(io::ErrorKind::Unsupported.into()),
            Some(Freezer::V2) => fs::write(self.v2_group(id)?.join(V2_SWITCH), "1"),
            Some(Freezer::V1 { top, root }) => {
                let group = root.join(id.as_str());
                match fs::create_dir(&group) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    Ok(()) | Err(_) => {}
                }
                self.gather(id, &group, top)?;
                fs::write(group.join(V1_STATE), "FROZEN")
            }
        }
    }

    /// Whether all processes of a container's payload are frozen.
    pub(crate) fn is_frozen(&self, id: &ContainerId) -> io::Result<bool> {
        match &self.freezer {
            None => Ok(false),
            Some(Freezer::V2) => {
                let events = fs::read_to_string(self.v2_group(id)?.join(V2_EVENTS))?;
                Ok(events.lines().any(|line| line == "frozen 1"))
            }
            Some(Freezer::V1 { top, root }) => {
                let group = root.join(id.as_str());
                match fs::read_to_string(group.join(V1_STATE)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                    Err(error) => Err(error),
                    // A command may have been executed in it meanwhile.
                    Ok(state) => Ok(state.trim_end() == "FROZEN" && self.gather(id, &group, top)? == 0),
                }
            }
        }
    }

    /// Lets a container's payload run; one that is not frozen, or gone, is left as it is.
    pub(crate) fn thaw(&self, id: &ContainerId) -> io::Result<()> {
        let (file, thawed) = match &self.freezer {
            None => return Ok(()),
            Some(Freezer::V2) => (self.v2_group(id)?.join(V2_SWITCH), "0"),
            Some(Freezer::V1 { root, .. }) => (root.join(id.as_str()).join(V1_STATE), "THAWED"),
        };
        let outcome = match fs::read_to_string(&file) {
            Ok(state) if state.trim_end() == thawed => Ok(()),
            Ok(_) => fs::write(&file, thawed),
            Err(error) => Err(error),
        };
        match outcome {
            Err(error) if is_gone(&error) => Ok(()),
            outcome => outcome,
        }
    }

    fn v2_group(&self, id: &ContainerId) -> io::Result<PathBuf> {
        let group = self.task_group(id, Controller::Memory);
        let (group, _) = group.ok_or(io::ErrorKind::Unsupported)?;
        Ok(group)
    }

    /// Puts the processes of a payload into its group of v1. Answers how many were not in it.
    fn gather(&self, id: &ContainerId, group: &Path, top: &Path) -> io::Result<usize> {
        let procs = group.join("cgroup.procs");
        let mut n_moved = 0;
        for _ in 0..MAX_PASSES {
            let inside: BTreeSet<u32> = list(group)?.into_iter().collect();
            let members = self.try_processes_in(id, &[Leaf::Task])?;
            // What is in it and was no member afterwards is another's: its pid changed hands before it was moved.
            for stranger in inside.difference(&members) {
                put(&top.join("cgroup.procs"), *stranger)?;
            }
            let outside: Vec<u32> = members.difference(&inside).copied().collect();
            if outside.is_empty() {
                return Ok(n_moved);
            }
            n_moved += outside.len();
            for pid in outside {
                put(&procs, pid)?;
            }
        }
        Err(io::Error::other(
            "its processes fork faster than they can be frozen",
        ))
    }
}

/// Moves a process; one that has ended meanwhile needs nothing.
fn put(procs: &Path, pid: u32) -> io::Result<()> {
    match fs::write(procs, pid.to_string()) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        outcome => outcome,
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}
