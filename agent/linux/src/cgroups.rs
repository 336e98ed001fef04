//! The cgroups of one agent: `<root>/<container>/{init,task}` in every hierarchy in use.
//!
//! On v2 that is one hierarchy, and no inner node ever holds a process. On v1 it is one per controller (co-mounted
//! ones once). Limits and counts go through [`Control`], one implementation per controller.
//!
//! What ranks containers among each other is set where they are siblings, at `<root>/<container>`.

mod control;
mod cpu;
mod cpuacct;
mod detect;
mod memory;
mod pids;
mod protection;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proffer_container::{ContainerId, Controller, Leaf, Limit, Version};
use proffer_init::program::Join;
use proffer_types::Usage;

use crate::{DestroyError, DestroyErrors, SetupError, UsageError};
use control::{Control, ControlError};
use protection::Protection;

/// The agent's part of the host's cgroups.
#[derive(Debug)]
pub(crate) struct Cgroups {
    pub(crate) version: Version,
    mount: PathBuf,
    /// The agent's root in each hierarchy, each once.
    roots: BTreeSet<PathBuf>,
    /// The agent's root where a controller is found.
    controllers: BTreeMap<Controller, PathBuf>,
    protection: Protection,
}

impl Cgroups {
    /// Finds the host's hierarchies, and creates the agent's root in each.
    pub(crate) fn new(mount: &Path, root: &str) -> Result<Self, SetupError> {
        check_root(root)?;
        let found = detect::hierarchy(mount)?;
        let controllers = found
            .controllers
            .into_iter()
            .map(|(controller, top)| (controller, top.join(root)))
            .collect::<BTreeMap<_, _>>();
        let cgroups = Self {
            version: found.version,
            mount: mount.to_owned(),
            roots: controllers.values().cloned().collect(),
            controllers,
            protection: Protection::default(),
        };
        cgroups.create_roots(root)?;
        if let Some((root, mount)) = cgroups.protected_root() {
            cgroups.protection.recover(root, mount);
        }
        Ok(cgroups)
    }

    fn create_roots(&self, root: &str) -> Result<(), SetupError> {
        for path in &self.roots {
            fs::create_dir_all(path).map_err(|source| setup_error("create", path, source))?;
        }
        if self.version == Version::V2 {
            let mut level = self.mount.clone();
            for name in [""].into_iter().chain(root.split('/')) {
                level.push(name);
                self.delegate(&level)
                    .map_err(|source| setup_error("hand controllers down from", &level, source))?;
            }
        }
        Ok(())
    }

    /// Lets the groups below a v2 group have the controllers.
    fn delegate(&self, group: &Path) -> io::Result<()> {
        let controllers = self
            .controllers
            .keys()
            .map(|controller| format!("+{}", controller.as_str()))
            .collect::<Vec<_>>();
        fs::write(group.join("cgroup.subtree_control"), controllers.join(" "))
    }

    /// The controllers containers can use.
    pub(crate) fn controllers(&self) -> BTreeSet<Controller> {
        self.controllers.keys().copied().collect()
    }

    /// Whether swap can be limited in the groups below the root.
    pub(crate) fn has_swap_limit(&self) -> bool {
        let file = match self.version {
            Version::V2 => "memory.swap.max",
            Version::V1 => "memory.memsw.limit_in_bytes",
        };
        self.has(Controller::Memory, file)
    }

    /// Creates a container's inner groups, all or none. Fails with `AlreadyExists` when the container has some.
    pub(crate) fn create(&self, id: &ContainerId) -> io::Result<()> {
        let mut created = Vec::new();
        let outcome = self.groups(id).try_for_each(|group| {
            fs::create_dir(&group)?;
            created.push(group.clone());
            match self.version {
                Version::V2 => self.delegate(&group),
                Version::V1 => Ok(()),
            }
        });
        if outcome.is_err() {
            for group in created {
                // Created just now and still empty; the first error is the one to tell.
                let _ = fs::remove_dir(group);
            }
        }
        outcome
    }

    /// Creates one of a container's leaves.
    pub(crate) fn create_leaf(&self, id: &ContainerId, leaf: Leaf) -> io::Result<()> {
        self.groups(id)
            .try_for_each(|group| fs::create_dir(group.join(leaf.as_str())))
    }

    /// Sets a limit of the payload's leaf, and reads it back.
    pub(crate) fn limit(&self, id: &ContainerId, limit: Limit) -> Result<(), ControlError> {
        let controller = limit.controller();
        let group = self
            .task_group(id, controller)
            .ok_or(ControlError::Missing(controller))?;
        if matches!(limit, Limit::CpuWeight(_) | Limit::CpuShares(_) | Limit::CpuIdle) {
            return self.control(controller).limit(container_group(&group), limit);
        }
        self.control(controller).limit(&group, limit)?;
        if let (Limit::MemoryLow(bytes), Some((root, mount))) = (limit, self.protected_root()) {
            // The kernel keeps for a group no more than is kept for the groups above it.
            self.control(controller).limit(container_group(&group), limit)?;
            self.protection.keep(root, mount, id, bytes)?;
        }
        Ok(())
    }

    /// Where [`Limit::MemoryLow`] works from, and the mount above it.
    fn protected_root(&self) -> Option<(&Path, &Path)> {
        let root = self.controllers.get(&Controller::Memory)?;
        (self.version == Version::V2).then_some((root, &self.mount))
    }

    /// Whether memory that a container asked for can be told from what it uses beyond it.
    pub(crate) fn has_soft_limit(&self) -> bool {
        let file = match self.version {
            Version::V2 => "memory.low",
            Version::V1 => "memory.soft_limit_in_bytes",
        };
        self.has(Controller::Memory, file)
    }

    /// Whether a container can be given only the cpu time that nobody else wants.
    pub(crate) fn has_cpu_idle(&self) -> bool {
        self.has(Controller::Cpu, "cpu.idle")
    }

    /// Whether the groups below the root have a file.
    fn has(&self, controller: Controller, file: &str) -> bool {
        let root = self.controllers.get(&controller);
        root.is_some_and(|root| root.join(file).exists())
    }

    /// What the kernel counted for the payload.
    pub(crate) fn usage(&self, id: &ContainerId) -> Result<Usage, UsageError> {
        let mut usage = Usage::default();
        for controller in self.controllers.keys().copied() {
            if let Some(group) = self.task_group(id, controller) {
                self.control(controller).count(&group, &mut usage)?;
            }
        }
        Ok(usage)
    }

    /// How a process gets into a leaf: the way, and the files or directories.
    pub(crate) fn join(&self, id: &ContainerId, leaf: Leaf) -> (Join, Vec<PathBuf>) {
        let groups = self.groups(id).map(|group| group.join(leaf.as_str()));
        match self.version {
            Version::V2 => (Join::Born, groups.collect()),
            Version::V1 => (Join::Write, groups.map(|group| group.join("tasks")).collect()),
        }
    }

    /// The processes in a container's groups.
    pub(crate) fn processes(&self, id: &ContainerId) -> BTreeSet<u32> {
        self.processes_in(id, &[Leaf::Init, Leaf::Task])
    }

    /// The processes in some of a container's leaves.
    pub(crate) fn processes_in(&self, id: &ContainerId, leaves: &[Leaf]) -> BTreeSet<u32> {
        let mut pids = BTreeSet::new();
        for group in self.groups(id) {
            for leaf in leaves {
                // A group that cannot be read is gone, and so are its processes.
                let listed = fs::read_to_string(group.join(leaf.as_str()).join("cgroup.procs"));
                pids.extend(
                    listed
                        .unwrap_or_default()
                        .lines()
                        .filter_map(|pid| pid.parse::<u32>().ok()),
                );
            }
        }
        pids
    }

    /// Removes a container's groups, all that can be; those that are not there are no error.
    pub(crate) fn remove(&self, id: &ContainerId) -> Result<(), DestroyErrors> {
        let mut errors = DestroyErrors::default();
        if let Some((root, mount)) = self.protected_root() {
            self.protection.release(root, mount, id);
        }
        for group in self.groups(id) {
            for path in [
                group.join(Leaf::Task.as_str()),
                group.join(Leaf::Init.as_str()),
                group,
            ] {
                errors.note(remove_group(&path));
            }
        }
        errors.into_result()
    }

    /// The containers that have groups.
    pub(crate) fn list(&self) -> io::Result<BTreeSet<ContainerId>> {
        let mut ids = BTreeSet::new();
        for root in &self.roots {
            for entry in fs::read_dir(root)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    // Containers are all that the agent puts there; another's group is not ours to touch.
                    ids.extend(
                        entry
                            .file_name()
                            .to_str()
                            .and_then(|name| ContainerId::new(name).ok()),
                    );
                }
            }
        }
        Ok(ids)
    }

    /// Removes the roots, and of the groups above them those that are empty.
    pub(crate) fn remove_roots(&self) -> Result<(), DestroyErrors> {
        let mut errors = DestroyErrors::default();
        for root in &self.roots {
            errors.note(remove_group(root));
            let above = root.ancestors().skip(1);
            for parent in above.take_while(|parent| is_below(parent, &self.mount, self.version)) {
                // Another agent's groups may be in there.
                let _ = fs::remove_dir(parent);
            }
        }
        errors.into_result()
    }

    fn groups<'a>(&'a self, id: &'a ContainerId) -> impl Iterator<Item = PathBuf> + 'a {
        self.roots.iter().map(move |root| root.join(id.as_str()))
    }

    fn task_group(&self, id: &ContainerId, controller: Controller) -> Option<PathBuf> {
        let root = self.controllers.get(&controller)?;
        Some(root.join(id.as_str()).join(Leaf::Task.as_str()))
    }

    fn control(&self, controller: Controller) -> Box<dyn Control> {
        let version = self.version;
        match controller {
            Controller::Cpu => Box::new(cpu::Cpu(version)),
            Controller::Cpuacct => Box::new(cpuacct::Cpuacct),
            Controller::Memory => Box::new(memory::Memory(version)),
            Controller::Pids => Box::new(pids::Pids(version)),
        }
    }
}

/// The group of a whole container, from that of its payload.
fn container_group(task: &Path) -> &Path {
    task.parent().unwrap_or(task)
}

/// Whether a group lies below the top of its hierarchy, where the kernel's and other people's groups begin.
fn is_below(group: &Path, mount: &Path, version: Version) -> bool {
    let depth = group
        .strip_prefix(mount)
        .map_or(0, |below| below.components().count());
    depth > usize::from(version == Version::V1)
}

fn check_root(root: &str) -> Result<(), SetupError> {
    // The rules of a container id are those of any group that must not collide with the kernel's files.
    if root.split('/').all(|name| ContainerId::new(name).is_ok()) {
        Ok(())
    } else {
        Err(SetupError::RootName(root.escape_debug().to_string()))
    }
}

fn remove_group(path: &Path) -> Result<(), DestroyError> {
    match fs::remove_dir(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(DestroyError::Remove {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

fn setup_error(what: &'static str, path: &Path, source: io::Error) -> SetupError {
    let path = path.to_owned();
    SetupError::Cgroup { what, path, source }
}
