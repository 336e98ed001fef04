//! The cgroups of one agent: `<root>/<container>/{init,task}` in the hierarchies a container needs.
//!
//! On v2 that is one hierarchy, and no inner node ever holds a process. On v1 it is one per controller (co-mounted
//! ones once), and init, which nothing limits, is in one of them only: entering each costs a wait for every processor. In
//! the others `<root>/<container>` is the payload's leaf itself: there is nobody to be told apart from, and making a group
//! is a good part of a launch. Limits and counts go through [`Control`], one implementation per controller.
//!
//! What ranks containers among each other is set where they are siblings, at `<root>/<container>`.

mod bpf;
mod control;
mod count;
mod counts;
mod cpu;
mod cpuacct;
mod cpuset;
mod detect;
mod devices;
mod freezer;
mod hugetlb;
mod io;
mod limits;
mod memory;
mod pids;
mod pressure;
mod protection;
mod resize;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::libc;
use proffer_container::{ContainerId, Controller, LaunchPlan, Leaf, Version};
use proffer_init::program::Join;

use crate::embedded::out_of_the_way;
use crate::spawn::OpenCgroup;
use crate::{DestroyError, DestroyErrors, SetupError};
use control::Control;
use detect::Top;
use devices::Devices;
use freezer::Freezer;
use protection::Protection;

/// Where a v2 group lists what the groups below it have.
const SUBTREE_CONTROL: &str = "cgroup.subtree_control";
/// How often a group is created again whose parent went away meanwhile: each time somebody else must have stopped.
const CREATE_ATTEMPTS: u32 = 10;

/// The agent's part of the host's cgroups.
#[derive(Debug)]
pub(crate) struct Cgroups {
    pub(crate) version: Version,
    mount: PathBuf,
    /// The agent's root in each hierarchy, each once.
    roots: BTreeSet<PathBuf>,
    /// Where a controller is found.
    controllers: BTreeMap<Controller, Home>,
    /// What the tops of hierarchies did not hand down before.
    switched_on: Vec<(PathBuf, Controller)>,
    devices: Devices,
    freezer: Option<Freezer>,
    protection: Protection,
}

/// The agent's part of the hierarchy a controller is in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Home {
    top: Top,
    /// The agent's root.
    root: PathBuf,
}

impl Cgroups {
    /// Finds the host's hierarchies, and creates the agent's root in each.
    pub(crate) fn new(mount: &Path, root: &str) -> Result<Self, SetupError> {
        check_root(root)?;
        let mut found = detect::hierarchy(mount)?;
        let devices = devices::detect(&mut found);
        let home = |top: Top| Home {
            root: top.path.join(root),
            top,
        };
        let controllers = found.controllers.into_iter();
        let mut cgroups = Self {
            version: found.version,
            mount: mount.to_owned(),
            roots: BTreeSet::new(),
            controllers: controllers
                .map(|(controller, top)| (controller, home(top)))
                .collect(),
            switched_on: Vec::new(),
            devices,
            freezer: None,
            protection: Protection::default(),
        };
        cgroups.create_roots(root)?;
        let memory = cgroups.controllers.get(&Controller::Memory);
        cgroups.freezer = memory.and_then(|memory| Freezer::detect(mount, root, cgroups.version, memory));
        let root = cgroups.freezer.as_ref().and_then(Freezer::root);
        cgroups.roots.extend(root.map(Path::to_owned));
        cgroups.recover_protection();
        Ok(cgroups)
    }

    /// Creates the roots. What not every container needs, and cannot be had there, is given up.
    fn create_roots(&mut self, root: &str) -> Result<(), SetupError> {
        for (controller, home) in self.controllers.clone() {
            let was_on = hands_down(&home.top.path, controller);
            let created = self.create_root(controller, &home, root);
            if home.top.version == Version::V2 && !was_on && hands_down(&home.top.path, controller) {
                self.switched_on.push((home.top.path.clone(), controller));
            }
            if home.root.exists() {
                self.roots.insert(home.root);
            }
            match created {
                Err(error) if controller.is_required(self.version) => return Err(error),
                Err(_) => {
                    self.controllers.remove(&controller);
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn create_root(&self, controller: Controller, home: &Home, root: &str) -> Result<(), SetupError> {
        create_group(&home.root).map_err(|source| setup_error("create", &home.root, source))?;
        let mut level = home.top.path.clone();
        for name in [""].into_iter().chain(root.split('/')) {
            level.push(name);
            self.hand_down(controller, home, &level)
                .map_err(|source| setup_error("hand controllers down from", &level, source))?;
        }
        Ok(())
    }

    /// Lets the groups below one have a controller: on v2 it is delegated, on v1 the group is made ready.
    fn hand_down(&self, controller: Controller, home: &Home, group: &Path) -> std::io::Result<()> {
        match home.top.version {
            Version::V1 if group == home.top.path => Ok(()),
            Version::V1 => self
                .control(controller, home.top.version)
                .map_or(Ok(()), |control| control.prepare(group))
                .map_err(std::io::Error::other),
            Version::V2 => delegate(group, &[controller]),
        }
    }

    /// The controllers containers can use.
    pub(crate) fn controllers(&self) -> BTreeSet<Controller> {
        self.controllers.keys().copied().collect()
    }

    /// Creates a container's inner groups where its plan needs them, all or none. Fails with `AlreadyExists` when the
    /// container has some.
    pub(crate) fn create(&self, plan: &LaunchPlan) -> std::io::Result<()> {
        let mut created = BTreeSet::new();
        let outcome = self.create_groups(plan, &mut created);
        if outcome.is_err() {
            for group in created {
                // Created just now and still empty; the first error is the one to tell.
                let _ = fs::remove_dir(group);
            }
        }
        outcome
    }

    fn create_groups(&self, plan: &LaunchPlan, created: &mut BTreeSet<PathBuf>) -> std::io::Result<()> {
        let id = &plan.container_id;
        let mut delegated = BTreeMap::<PathBuf, Vec<Controller>>::new();
        for (&controller, home) in &self.controllers {
            if !plan.uses(controller, self.version) {
                continue;
            }
            let group = home.root.join(id.as_str());
            if !created.contains(&group) {
                fs::create_dir(&group)?;
                created.insert(group.clone());
                self.make_ready(home, &group)?;
            }
            if home.top.version == Version::V2 {
                delegated.entry(group).or_default().push(controller);
            }
        }
        // All of a group in one write: the kernel goes through every group below for each.
        delegated
            .iter()
            .try_for_each(|(group, controllers)| delegate(group, controllers))
    }

    /// Makes a new group of v1 ready for each controller that is mounted there.
    fn make_ready(&self, home: &Home, group: &Path) -> std::io::Result<()> {
        let mounted = self
            .controllers
            .iter()
            .filter(|(_, other)| other.root == home.root);
        match home.top.version {
            Version::V1 => mounted
                .into_iter()
                .try_for_each(|(&controller, home)| self.hand_down(controller, home, group)),
            Version::V2 => Ok(()),
        }
    }

    /// Creates one of a container's leaves, where it is not the container's group itself.
    pub(crate) fn create_leaf(&self, plan: &LaunchPlan, leaf: Leaf) -> std::io::Result<()> {
        let id = &plan.container_id;
        for home in self.homes(leaf, |controller, _| plan.uses(controller, self.version)) {
            let group = self.leaf(home, id, leaf);
            if group != home.root.join(id.as_str()) {
                fs::create_dir(&group)?;
                self.make_ready(home, &group)?;
            }
        }
        Ok(())
    }

    /// Where a leaf is in a hierarchy.
    fn leaf(&self, home: &Home, id: &ContainerId, leaf: Leaf) -> PathBuf {
        let group = home.root.join(id.as_str());
        match self.is_flat(home) {
            true => group,
            false => group.join(leaf.as_str()),
        }
    }

    /// Whether a container has one group in a hierarchy, the payload's.
    fn is_flat(&self, home: &Home) -> bool {
        let of_init = self.controllers.get(&Controller::Pids);
        home.top.version == Version::V1 && of_init.is_none_or(|of_init| of_init.root != home.root)
    }

    /// The hierarchies a leaf is in, of those that have it, each once.
    fn homes(&self, leaf: Leaf, has: impl Fn(Controller, &Home) -> bool) -> Vec<&Home> {
        if leaf == Leaf::Init && self.version == Version::V1 {
            return self.controllers.get(&Controller::Pids).into_iter().collect();
        }
        let homes = self
            .controllers
            .iter()
            .filter(|(controller, home)| has(**controller, home));
        let mut homes = homes.map(|(_, home)| home).collect::<Vec<_>>();
        homes.sort_by_key(|home| &home.root);
        homes.dedup_by_key(|home| &home.root);
        homes
    }

    /// The hierarchies a leaf of a container that is there is in.
    fn homes_of(&self, id: &ContainerId, leaf: Leaf) -> Vec<&Home> {
        self.homes(leaf, |_, home| home.root.join(id.as_str()).exists())
    }

    /// How a process gets into a leaf of a container that is there: the way, and the files or directories.
    pub(crate) fn join(&self, id: &ContainerId, leaf: Leaf) -> (Join, Vec<PathBuf>) {
        self.join_of(id, leaf, &self.homes_of(id, leaf))
    }

    fn join_of(&self, id: &ContainerId, leaf: Leaf, homes: &[&Home]) -> (Join, Vec<PathBuf>) {
        let groups = homes
            .iter()
            .map(|home| (self.leaf(home, id, leaf), home.top.version));
        match self.version {
            Version::V2 => (Join::Born, groups.map(|(group, _)| group).collect()),
            Version::V1 => {
                let file = |(group, version): (PathBuf, _)| match version {
                    Version::V1 => group.join("tasks"),
                    Version::V2 => group.join("cgroup.procs"),
                };
                (Join::Write, groups.map(file).collect())
            }
        }
    }

    /// Opens a leaf of a container that is being launched, for a process that is to be started in it.
    pub(crate) fn open(&self, plan: &LaunchPlan, leaf: Leaf) -> std::io::Result<OpenCgroup> {
        let homes = self.homes(leaf, |controller, _| plan.uses(controller, self.version));
        open(self.join_of(&plan.container_id, leaf, &homes))
    }

    /// Opens a leaf of a container that is there.
    pub(crate) fn open_existing(&self, id: &ContainerId, leaf: Leaf) -> std::io::Result<OpenCgroup> {
        open(self.join(id, leaf))
    }

    /// The processes in a container's groups.
    pub(crate) fn processes(&self, id: &ContainerId) -> BTreeSet<u32> {
        self.processes_in(id, &[Leaf::Init, Leaf::Task])
    }

    /// The processes in some of a container's leaves. A group that cannot be read is taken for one without any: whoever
    /// removes it learns better from the kernel.
    pub(crate) fn processes_in(&self, id: &ContainerId, leaves: &[Leaf]) -> BTreeSet<u32> {
        let listed = self.lists(id, leaves).into_iter().map(Result::unwrap_or_default);
        listed.flatten().collect()
    }

    /// The same, for whoever concludes from no process that there is no container.
    pub(crate) fn try_processes_in(
        &self,
        id: &ContainerId,
        leaves: &[Leaf],
    ) -> std::io::Result<BTreeSet<u32>> {
        let listed = self
            .lists(id, leaves)
            .into_iter()
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok(listed.into_iter().flatten().collect())
    }

    fn lists(&self, id: &ContainerId, leaves: &[Leaf]) -> Vec<std::io::Result<Vec<u32>>> {
        let of_leaf = |leaf: &Leaf| {
            let homes = self.homes(*leaf, |_, _| true).into_iter();
            homes
                .map(|home| list(&self.leaf(home, id, *leaf)))
                .collect::<Vec<_>>()
        };
        leaves.iter().flat_map(of_leaf).collect()
    }

    /// Removes a container's groups, all that can be; those that are not there are no error.
    pub(crate) fn remove(&self, id: &ContainerId) -> Result<(), DestroyErrors> {
        let mut errors = DestroyErrors::default();
        self.release_protection(id);
        for group in self.groups(id) {
            // One without leaves goes at once.
            if remove_group(&group).is_ok() {
                continue;
            }
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
    pub(crate) fn list(&self) -> std::io::Result<BTreeSet<ContainerId>> {
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

    /// Removes the roots, and of the groups above them those that are empty; above these it is as it was found.
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
        for (top, controller) in &self.switched_on {
            // Groups of others that hand it down themselves keep it.
            let _ = fs::write(top.join(SUBTREE_CONTROL), format!("-{}", controller.as_str()));
        }
        errors.into_result()
    }

    fn groups<'a>(&'a self, id: &'a ContainerId) -> impl Iterator<Item = PathBuf> + 'a {
        self.roots.iter().map(move |root| root.join(id.as_str()))
    }

    /// The group of a container's payload that a controller works on, and the version of its files.
    fn task_group(&self, id: &ContainerId, controller: Controller) -> Option<(PathBuf, Version)> {
        let home = self.controllers.get(&controller)?;
        Some((self.leaf(home, id, Leaf::Task), home.top.version))
    }

    /// The group of a whole container, where it is a sibling of others.
    fn container_group(&self, id: &ContainerId, controller: Controller) -> Option<PathBuf> {
        let home = self.controllers.get(&controller)?;
        Some(home.root.join(id.as_str()))
    }

    /// The one that limits and counts; none for devices, which have no numbers.
    fn control(&self, controller: Controller, version: Version) -> Option<Box<dyn Control>> {
        Some(match controller {
            Controller::Cpu => Box::new(cpu::Cpu(version)),
            Controller::Cpuacct => Box::new(cpuacct::Cpuacct),
            Controller::Memory => Box::new(memory::Memory(version)),
            Controller::Pids => Box::new(pids::Pids(version)),
            Controller::Io => Box::new(io::Io(version)),
            Controller::Cpuset => Box::new(cpuset::Cpuset(version)),
            Controller::Hugetlb => Box::new(hugetlb::Hugetlb(version)),
            Controller::Devices => return None,
        })
    }
}

/// Creates an agent's group, with those above it.
fn create_group(group: &Path) -> std::io::Result<()> {
    let is_gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    // Another agent that stops removes the group above its own when it was the last in it.
    (1..CREATE_ATTEMPTS)
        .map(|_| fs::create_dir_all(group))
        .find(|created| !created.as_ref().is_err_and(is_gone))
        .unwrap_or_else(|| fs::create_dir_all(group))
}

/// Whether the groups below a v2 group have a controller.
fn hands_down(group: &Path, controller: Controller) -> bool {
    let listed = fs::read_to_string(group.join(SUBTREE_CONTROL)).unwrap_or_default();
    listed.split_whitespace().any(|name| name == controller.as_str())
}

/// Lets the groups below a v2 group have some controllers.
fn delegate(group: &Path, controllers: &[Controller]) -> std::io::Result<()> {
    let names = controllers
        .iter()
        .filter(|controller| **controller != Controller::Devices)
        .map(|controller| format!("+{}", controller.as_str()))
        .collect::<Vec<_>>();
    if names.is_empty() {
        return Ok(());
    }
    fs::write(group.join(SUBTREE_CONTROL), names.join(" "))
}

fn open((join, paths): (Join, Vec<PathBuf>)) -> std::io::Result<OpenCgroup> {
    let mut options = OpenOptions::new();
    match join {
        Join::Born => options.read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY),
        Join::Write => options.write(true),
    };
    let open = |path| out_of_the_way(options.open(path)?.into());
    let files = paths.iter().map(open).collect::<Result<_, _>>()?;
    Ok(OpenCgroup { join, files })
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

/// The processes of a group; none, where it is gone.
fn list(group: &Path) -> std::io::Result<Vec<u32>> {
    match fs::read_to_string(group.join("cgroup.procs")) {
        Ok(listed) => Ok(listed.lines().filter_map(|pid| pid.parse().ok()).collect()),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn remove_group(path: &Path) -> Result<(), DestroyError> {
    match fs::remove_dir(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(DestroyError::Remove {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

fn setup_error(what: &'static str, path: &Path, source: std::io::Error) -> SetupError {
    let path = path.to_owned();
    SetupError::Cgroup { what, path, source }
}
