//! What the kernel counts for a running container, all of its processes together.
//!
//! Names and units are those of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst); what a host does not count is absent.

use crate::Timestamp;

/// One reading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statistics {
    pub timestamp: Timestamp,
    pub cpu: CpuStatistics,
    pub memory: MemoryStatistics,
    pub pids: PidsStatistics,
    /// One a block device.
    pub io: Vec<IoStatistics>,
    /// One an interface but loopback; empty for a task in its host's network.
    pub network: Vec<NetworkStatistics>,
    pub pressure: PressureStatistics,
    /// Bytes in the sandbox, when last measured.
    pub disk_bytes: Option<u64>,
}

/// Microseconds and counts since the container's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuStatistics {
    pub usage_us: u64,
    pub user_us: u64,
    pub system_us: u64,
    pub n_periods: u64,
    pub n_throttled: u64,
    pub throttled_us: u64,
}

/// Bytes, and counts since the container's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryStatistics {
    pub current_bytes: u64,
    pub peak_bytes: Option<u64>,
    /// Absent where there is no limit.
    pub limit_bytes: Option<u64>,
    pub anon_bytes: u64,
    pub file_bytes: u64,
    pub kernel_bytes: Option<u64>,
    pub shmem_bytes: u64,
    pub swap_bytes: Option<u64>,
    pub major_faults: u64,
    pub oom_kills: u64,
}

/// Counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PidsStatistics {
    pub current: u64,
    pub limit: Option<u64>,
    /// Forks that were refused since the container's start.
    pub refused: u64,
}

/// Since the container's start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IoStatistics {
    /// `major:minor`.
    pub device: String,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

/// As the container sees it, since its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkStatistics {
    pub interface: String,
    pub received_bytes: u64,
    pub received_packets: u64,
    pub received_dropped: u64,
    pub sent_bytes: u64,
    pub sent_packets: u64,
    pub sent_dropped: u64,
}

/// Pressure stall information (Documentation/accounting/psi.rst); absent where the kernel has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PressureStatistics {
    pub cpu: Option<Pressure>,
    pub memory: Option<Pressure>,
    pub io: Option<Pressure>,
}

/// For how long some, and all, of the container's tasks had to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressure {
    /// Hundredths of a percent of the last 10 s.
    pub some_avg10: u32,
    pub some_total_us: u64,
    pub full_avg10: u32,
    pub full_total_us: u64,
}
