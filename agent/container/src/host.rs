//! What a host can enforce, as found once at the agent's start.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::IdMap;

/// One cgroup controller a limit or a count may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    Cpu,
    /// cgroup v1 only: the count of cpu time, which v2 keeps in every group.
    Cpuacct,
    Memory,
    Pids,
    /// `blkio` on v1.
    Io,
    Cpuset,
    Hugetlb,
    /// On v2 no controller of the kernel's list but a BPF program.
    Devices,
}

impl Controller {
    /// Every controller there is.
    pub const ALL: [Self; 8] = [
        Self::Cpu,
        Self::Cpuacct,
        Self::Memory,
        Self::Pids,
        Self::Io,
        Self::Cpuset,
        Self::Hugetlb,
        Self::Devices,
    ];

    /// The name the kernel gives it, as of v2.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Io => "io",
            Self::Cpuset => "cpuset",
            Self::Hugetlb => "hugetlb",
            Self::Devices => "devices",
        }
    }

    /// Whether every container needs it; a host without the others runs those that do not ask for them.
    #[must_use]
    pub fn is_required(self, version: Version) -> bool {
        match self {
            Self::Cpu | Self::Memory | Self::Pids => true,
            Self::Cpuacct => version == Version::V1,
            Self::Io | Self::Cpuset | Self::Hugetlb | Self::Devices => false,
        }
    }
}

/// The kernel interface the limits go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// One unified hierarchy.
    V2,
    /// One hierarchy per controller, with or without an (unused) unified one beside them.
    V1,
}

/// What the host has to confine containers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    pub version: Version,
    /// The controllers containers can use, of those in [`Controller::ALL`].
    pub controllers: BTreeSet<Controller>,
    /// Whether swap can be limited: `memory.swap.max`, or `memory.memsw.limit_in_bytes` on v1.
    pub swap_limit: bool,
    /// Whether the host has swap at all; without it the lack of `swap_limit` loses nothing.
    pub has_swap: bool,
    /// Whether memory can be kept for a group when the host is short of it: `memory.low`, or
    /// `memory.soft_limit_in_bytes` on v1.
    pub soft_limit: bool,
    /// Whether a group can be given only the time that nobody else wants: `cpu.idle`.
    pub cpu_idle: bool,
    /// What some hosts can do, and others cannot.
    pub extras: Extras,
    /// Bytes of memory of the whole host.
    pub mem_bytes: u64,
    /// Bytes; memory limits are multiples of it.
    pub page_size: u64,
    /// Where the host's cgroups are mounted.
    pub cgroup_mount: PathBuf,
    /// Whether the kernel has POSIX message queues as a file system.
    pub has_mqueue: bool,
    /// Whether the kernel has time namespaces.
    pub has_time_namespace: bool,
    /// Of an agent that is root of a user namespace only: the ids in there that tasks can have. Absent for the host's
    /// root.
    pub rootless: Option<IdMap>,
}

/// Files and values of controllers that not every kernel has. The default is a host with none of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extras {
    /// `cpu.max.burst`, or `cpu.cfs_burst_us` on v1.
    pub cpu_burst: bool,
    /// `memory.min`; v1 has none.
    pub memory_min: bool,
    /// `memory.high`; v1 has none.
    pub memory_high: bool,
    /// `io.weight`, which the kernel's cost model obeys; v1 has none.
    pub io_weight: bool,
    /// `io.bfq.weight`, or `blkio.bfq.weight` on v1, which the BFQ scheduler obeys.
    pub io_bfq_weight: bool,
    /// The cpus, and the nodes of memory, that the agent may use.
    pub cpus: BTreeSet<u32>,
    pub memory_nodes: BTreeSet<u32>,
    /// Bytes of each size of huge page.
    pub huge_page_sizes: BTreeSet<u64>,
}

impl HostFacts {
    /// The hierarchy as people are told: `cgroup v2` or `cgroup v1 (hybrid)`, and whether the agent is rootless.
    #[must_use]
    pub fn cgroups(&self) -> &'static str {
        match (self.version, self.rootless) {
            (Version::V2, None) => "cgroup v2",
            (Version::V2, Some(_)) => "cgroup v2 (rootless)",
            (Version::V1, None) => "cgroup v1 (hybrid)",
            (Version::V1, Some(_)) => "cgroup v1 (hybrid, rootless)",
        }
    }
}
