//! Limits beside cpus, memory and disk: what cgroup v2 knows of, and the old ones of processes.
//!
//! Names and units are those of the kernel's Documentation/admin-guide/cgroup-v2.rst and setrlimit(2).

/// Settings of the container's cgroup that no resource stands for. What the host cannot do fails the task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CgroupSettings {
    /// `cpu.max.burst`, in microseconds: unused quota a task may save for later, at most its quota.
    pub cpu_burst_us: Option<u64>,
    /// `memory.min`, in bytes: never taken back. At most the memory the task asks for.
    pub memory_min: Option<u64>,
    /// `memory.high`, in bytes: above it the task is slowed down and its memory taken back.
    pub memory_high: Option<u64>,
    /// `memory.swap.max`, in bytes, beside the memory; absent means no swap.
    pub swap: Option<u64>,
    /// `io.weight`, 1 to 10000; 100 is the kernel's own.
    pub io_weight: Option<u16>,
    pub io: Vec<IoLimit>,
    /// `cpuset.cpus`, as `0-3,7`: the task runs on these only.
    pub cpuset_cpus: Option<String>,
    /// `cpuset.mems`, in the same form.
    pub cpuset_mems: Option<String>,
    pub hugepages: Vec<HugepageLimit>,
}

/// `io.max` of one device; 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IoLimit {
    /// A block device of the agent's host, or any path on it: then the device it is on.
    pub path: String,
    /// Bytes a second.
    pub read_bps: u64,
    pub write_bps: u64,
    /// Operations a second.
    pub read_iops: u64,
    pub write_iops: u64,
}

/// `hugetlb.SIZE.max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HugepageLimit {
    /// Bytes of one page: one of the sizes the host has.
    pub page_size: u64,
    /// Bytes in all.
    pub limit: u64,
}

/// A limit of each process; see setrlimit(2). `None` is infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    pub kind: RlimitKind,
    pub soft: Option<u64>,
    /// Not below `soft`, and not above what the agent itself has.
    pub hard: Option<u64>,
}

/// What an [`Rlimit`] bounds, with the kernel's numbers (of every architecture but Alpha, MIPS and SPARC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RlimitKind {
    Cpu = 0,
    Fsize = 1,
    Data = 2,
    Stack = 3,
    Core = 4,
    Rss = 5,
    Nproc = 6,
    Nofile = 7,
    Memlock = 8,
    As = 9,
    Locks = 10,
    Sigpending = 11,
    Msgqueue = 12,
    Nice = 13,
    Rtprio = 14,
    Rttime = 15,
}

impl RlimitKind {
    /// Every kind, by number.
    pub const ALL: [Self; 16] = [
        Self::Cpu,
        Self::Fsize,
        Self::Data,
        Self::Stack,
        Self::Core,
        Self::Rss,
        Self::Nproc,
        Self::Nofile,
        Self::Memlock,
        Self::As,
        Self::Locks,
        Self::Sigpending,
        Self::Msgqueue,
        Self::Nice,
        Self::Rtprio,
        Self::Rttime,
    ];

    /// The name without its `RLIMIT_`, in lower case: `nofile`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Fsize => "fsize",
            Self::Data => "data",
            Self::Stack => "stack",
            Self::Core => "core",
            Self::Rss => "rss",
            Self::Nproc => "nproc",
            Self::Nofile => "nofile",
            Self::Memlock => "memlock",
            Self::As => "as",
            Self::Locks => "locks",
            Self::Sigpending => "sigpending",
            Self::Msgqueue => "msgqueue",
            Self::Nice => "nice",
            Self::Rtprio => "rtprio",
            Self::Rttime => "rttime",
        }
    }
}
