//! Setting the limits of a container, and what can be limited at all.

use std::path::{Path, PathBuf};

use proffer_container::{ContainerId, Controller, DeviceRule, Extras, Limit, Version};

use super::control::{Control, ControlError};
use super::protection::Kept;
use super::{Cgroups, cpuset, hugetlb, memory};

impl Cgroups {
    /// Sets a limit of the payload's leaf, and reads it back.
    pub(crate) fn limit(&self, id: &ContainerId, limit: &Limit) -> Result<(), ControlError> {
        let controller = limit.controller();
        let missing = || ControlError::Missing(controller);
        let (group, version) = self.task_group(id, controller).ok_or_else(missing)?;
        let control = self.control(controller, version).ok_or_else(missing)?;
        let container = self.container_group(id, controller).ok_or_else(missing)?;
        if limit.is_rank() {
            return control.limit(&container, limit);
        }
        control.limit(&group, limit)?;
        if let Limit::MemoryLow(bytes) = *limit {
            self.protect(id, &container, limit, &self.protection.low, bytes)?;
        }
        if let Limit::MemoryMin(bytes) = *limit {
            self.protect(id, &container, limit, &self.protection.min, bytes)?;
        }
        Ok(())
    }

    /// The kernel keeps for a group no more than is kept for the groups above it.
    fn protect(
        &self,
        id: &ContainerId,
        container: &Path,
        limit: &Limit,
        kept: &Kept,
        bytes: u64,
    ) -> Result<(), ControlError> {
        let Some((root, mount)) = self.protected_root() else {
            return Ok(());
        };
        memory::Memory(Version::V2).limit(container, limit)?;
        kept.keep(root, mount, id, bytes)
    }

    /// Denies a payload every device but those of the rules.
    pub(crate) fn allow_devices(&self, id: &ContainerId, rules: &[DeviceRule]) -> Result<(), ControlError> {
        let group = self.task_group(id, Controller::Devices);
        let (group, _) = group.ok_or(ControlError::Missing(Controller::Devices))?;
        self.devices.allow(&group, rules)
    }

    /// Takes over what an earlier agent kept for containers.
    pub(super) fn recover_protection(&self) {
        if let Some((root, mount)) = self.protected_root() {
            self.protection.low.recover(root, mount);
            self.protection.min.recover(root, mount);
        }
    }

    /// Keeps nothing for a container any more.
    pub(super) fn release_protection(&self, id: &ContainerId) {
        if let Some((root, mount)) = self.protected_root() {
            self.protection.low.release(root, mount, id);
            self.protection.min.release(root, mount, id);
        }
    }

    /// Where memory is kept from, and the mount above it.
    fn protected_root(&self) -> Option<(&Path, &Path)> {
        let home = self.controllers.get(&Controller::Memory)?;
        (home.top.version == Version::V2).then_some((&home.root, &home.top.path))
    }

    /// Whether swap can be limited in the groups below the root.
    pub(crate) fn has_swap_limit(&self) -> bool {
        self.has(
            Controller::Memory,
            "memory.swap.max",
            "memory.memsw.limit_in_bytes",
        )
    }

    /// Whether memory that a container asked for can be told from what it uses beyond it.
    pub(crate) fn has_soft_limit(&self) -> bool {
        self.has(Controller::Memory, "memory.low", "memory.soft_limit_in_bytes")
    }

    /// Whether a container can be given only the cpu time that nobody else wants.
    pub(crate) fn has_cpu_idle(&self) -> bool {
        self.has(Controller::Cpu, "cpu.idle", "cpu.idle")
    }

    /// What else this host can do.
    pub(crate) fn extras(&self) -> Extras {
        let has = |controller, v2, v1| self.has(controller, v2, v1);
        let sets = self.controllers.get(&Controller::Cpuset);
        let [cpus, memory_nodes] = sets
            .map(|home| cpuset::available(&home.root, home.top.version))
            .unwrap_or_default();
        let has_huge_pages = self.controllers.contains_key(&Controller::Hugetlb);
        Extras {
            cpu_burst: has(Controller::Cpu, "cpu.max.burst", "cpu.cfs_burst_us"),
            memory_min: has(Controller::Memory, "memory.min", ""),
            memory_high: has(Controller::Memory, "memory.high", ""),
            io_weight: has(Controller::Io, "io.weight", ""),
            io_bfq_weight: has(Controller::Io, "io.bfq.weight", "blkio.bfq.weight"),
            cpus,
            memory_nodes,
            huge_page_sizes: has_huge_pages.then(hugetlb::sizes).unwrap_or_default(),
        }
    }

    /// Whether the groups below the root have a file; an empty name is one that the version does not have.
    fn has(&self, controller: Controller, v2: &str, v1: &str) -> bool {
        let Some(home) = self.controllers.get(&controller) else {
            return false;
        };
        let file = match home.top.version {
            Version::V2 => v2,
            Version::V1 => v1,
        };
        let path: PathBuf = home.root.join(file);
        !file.is_empty() && path.exists()
    }
}
