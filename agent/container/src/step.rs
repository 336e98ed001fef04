//! The steps of a launch: plain data, in the words of the kernel's interfaces.
//!
//! Three actors, in this order: the agent prepares ([`PrepareStep`], each of which is undone when a later
//! one fails), pid 1 of the container sets it up ([`InitStep`]), and the payload's own process confines
//! itself and executes the command ([`PayloadStep`]).

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;

use proffer_types::container::{Capability, Rlimit};

use crate::root::{Mount, RootStep};
use crate::{Controller, DeviceNumber, DeviceRule, Logs, User};

/// Done by the agent, and undone by it in reverse when the launch fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrepareStep {
    /// Creates a directory and its parents; one that is there already is kept, and not removed on undo. It gets the mode,
    /// and `owner`, user and group of the host.
    CreateDirectory {
        path: PathBuf,
        mode: u32,
        owner: (u32, u32),
    },
    /// Opens a file that the container inherits, creating it when missing.
    OpenFile { role: FileRole, path: PathBuf },
    /// Opens the directory that both files of output are in, where pid 1 renames them when they are full.
    OpenOutputDirectory(PathBuf),
    /// Listens on a new unix socket, for those who attach.
    Listen(PathBuf),
    /// Creates the container's leaf in the hierarchies it uses.
    CreateCgroup(Leaf),
    /// Writes a limit and reads it back.
    SetLimit(Limit),
    /// Denies the payload every device but those of the rules.
    AllowDevices(Vec<DeviceRule>),
}

impl PrepareStep {
    /// The controller it goes through.
    pub(crate) fn controller(&self) -> Option<Controller> {
        if let Self::SetLimit(limit) = self {
            return Some(limit.controller());
        }
        matches!(self, Self::AllowDevices(_)).then_some(Controller::Devices)
    }
}

/// What an opened file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileRole {
    /// Written by init; what is there already stays before it.
    Stdout,
    /// Written by init; what is there already stays before it.
    Stderr,
    /// Emptied, then written once by init.
    ExitRecord,
}

/// What a payload has as stdin, stdout and stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StdioKind {
    /// Two pipes; stdin is empty.
    Output,
    /// Three pipes.
    InputAndOutput,
    /// One terminal, whose output is that of stdout.
    Terminal,
}

/// The two cgroups of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leaf {
    /// Where pid 1 lives, without limits, so that nothing that befalls the payload takes it along.
    Init,
    /// Where the payload lives, within its limits.
    Task,
}

impl Leaf {
    /// The directory's name below the container's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Task => "task",
        }
    }
}

/// One limit of a container. Bounds are set at the payload's leaf; what ranks containers among each other, at the
/// group of the whole container, which is where they are siblings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Cpu time per period, both in microseconds: `cpu.max`, or `cpu.cfs_quota_us` and `cpu.cfs_period_us`.
    CpuQuota { quota_us: u64, period_us: u64 },
    /// Microseconds of unused quota that may be saved: `cpu.max.burst` or `cpu.cfs_burst_us`.
    CpuBurst(u64),
    /// `cpu.weight`, 1 to 10,000, among the containers of the agent.
    CpuWeight(u64),
    /// cgroup v1's `cpu.shares`, 2 to 262,144, among the containers of the agent.
    CpuShares(u64),
    /// `cpu.idle`: only the time that no other container of the agent wants.
    CpuIdle,
    /// Bytes: `memory.max` or `memory.limit_in_bytes`.
    Memory(u64),
    /// Bytes that are taken back last when the host is short of memory: `memory.low`.
    MemoryLow(u64),
    /// Bytes that are never taken back: `memory.min`.
    MemoryMin(u64),
    /// Bytes above which the payload is slowed down: `memory.high`.
    MemoryHigh(u64),
    /// Bytes above which memory is taken back first: cgroup v1's `memory.soft_limit_in_bytes`.
    MemorySoft(u64),
    /// Bytes of swap: `memory.swap.max`.
    Swap(u64),
    /// Bytes of memory and swap together: cgroup v1's `memory.memsw.limit_in_bytes`.
    MemoryAndSwap(u64),
    /// `memory.oom.group`: an OOM kill takes the whole payload.
    OomGroup,
    /// Processes and threads: `pids.max`.
    Pids(u64),
    /// `io.weight`, 1 to 10,000, among the containers of the agent.
    IoWeight(u16),
    /// `io.bfq.weight` or `blkio.bfq.weight`, 1 to 1,000, among the containers of the agent.
    IoBfqWeight(u16),
    /// `io.max` of one device, or the four files of cgroup v1's blkio.
    Io(IoRates),
    /// `cpuset.cpus`.
    Cpus(Set),
    /// `cpuset.mems`.
    MemoryNodes(Set),
    /// Bytes in huge pages of one size: `hugetlb.SIZE.max` or `hugetlb.SIZE.limit_in_bytes`.
    HugePages { page_size: u64, bytes: u64 },
}

impl Limit {
    /// The controller that enforces it.
    #[must_use]
    pub fn controller(&self) -> Controller {
        match self {
            Self::CpuQuota { .. }
            | Self::CpuBurst(_)
            | Self::CpuWeight(_)
            | Self::CpuShares(_)
            | Self::CpuIdle => Controller::Cpu,
            Self::Memory(_)
            | Self::MemoryLow(_)
            | Self::MemoryMin(_)
            | Self::MemoryHigh(_)
            | Self::MemorySoft(_)
            | Self::Swap(_)
            | Self::MemoryAndSwap(_)
            | Self::OomGroup => Controller::Memory,
            Self::Pids(_) => Controller::Pids,
            Self::IoWeight(_) | Self::IoBfqWeight(_) | Self::Io(_) => Controller::Io,
            Self::Cpus(_) | Self::MemoryNodes(_) => Controller::Cpuset,
            Self::HugePages { .. } => Controller::Hugetlb,
        }
    }
}

impl Limit {
    /// Whether it ranks containers among each other, where they are siblings.
    #[must_use]
    pub fn is_rank(&self) -> bool {
        matches!(
            self,
            Self::CpuWeight(_)
                | Self::CpuShares(_)
                | Self::CpuIdle
                | Self::IoWeight(_)
                | Self::IoBfqWeight(_)
        )
    }
}

/// The most a second that is read from and written to one block device; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IoRates {
    pub device: DeviceNumber,
    pub read_bps: Option<NonZeroU64>,
    pub write_bps: Option<NonZeroU64>,
    pub read_iops: Option<NonZeroU64>,
    pub write_iops: Option<NonZeroU64>,
}

/// A set of numbers of cpus or memory nodes, as the kernel writes it: `0-3,7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set(pub BTreeSet<u32>);

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = self.0.iter().copied().peekable();
        let mut separator = "";
        while let Some(first) = numbers.next() {
            let mut last = first;
            while let Some(next) = numbers.next_if(|next| last.checked_add(1) == Some(*next)) {
                last = next;
            }
            match first {
                first if first == last => write!(f, "{separator}{first}")?,
                first => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

/// A kernel namespace a container has to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    Pid,
    Mount,
    Uts,
    Ipc,
    Cgroup,
    Net,
    /// Of the processes started from then on.
    Time,
}

/// Done in the container by proffer-init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitStep {
    /// Starts pid 1 in the given leaf, in namespaces of its own.
    Enter {
        leaf: Leaf,
        namespaces: Vec<Namespace>,
    },
    SetHostname(String),
    /// Joins the namespace that a path is bound to.
    Join {
        namespace: Namespace,
        path: PathBuf,
    },
    /// Starts the loopback interface.
    LoopbackUp,
    /// Stops mounts from travelling to the host.
    MakeMountsPrivate,
    /// Puts the root together.
    Root(RootStep),
    /// Lets processes that are started from then on have a namespace of their own.
    Unshare(Namespace),
    /// Opens the payload's leaf, outside of the mount namespace: a file open for writing would keep a mount in there from being
    /// made read-only.
    OpenCgroup(Leaf),
    /// Keeps the payload away from init's descriptors and memory.
    ForbidDumping,
    /// Makes what the payload reads from and writes to. Pipes and terminal belong to `owner`, user and group of the
    /// host, so that the payload can open `/dev/stdout`.
    Stdio {
        kind: StdioKind,
        owner: (u32, u32),
        logs: Logs,
    },
}

/// Done in the payload's process, before the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadStep {
    /// Starts the payload's process in the leaf that was opened, in a session of its own.
    Enter,
    /// Enters namespaces that depend on the leaf.
    Unshare(Vec<Namespace>),
    Mount(Mount),
    ChangeDirectory(PathBuf),
    /// Makes the payload one of the first to go when the host runs out of memory: `/proc/self/oom_score_adj`, 1 to
    /// 1000.
    OomScoreAdj(u16),
    LimitResource(Rlimit),
    /// Enters the container's user namespace, which it has everything to say in and nothing outside.
    EnterUserNamespace,
    /// Gives up every capability that is not listed, for good.
    BoundCapabilities(Vec<Capability>),
    /// Becomes a user of the user namespace, with these groups only.
    BecomeUser(User),
    /// Has no capabilities but these. The ambient ones stay with programs a user other than root executes.
    KeepCapabilities {
        permitted: Vec<Capability>,
        ambient: Vec<Capability>,
    },
    /// Installs a seccomp filter.
    FilterCalls(Vec<u8>),
    NoNewPrivileges,
    /// Executes the command; a program without a slash is looked up on the `PATH` of `env`.
    Execute {
        argv: Vec<String>,
        env: Vec<String>,
    },
}
