//! Readings of what the kernel counts. They only leave agents, so there is one direction.

use proffer_types::statistics::{
    CpuStatistics, IoStatistics, MemoryStatistics, NetworkStatistics, PidsStatistics, Pressure, Statistics,
};

use crate::v1;

impl From<Statistics> for v1::Statistics {
    fn from(statistics: Statistics) -> Self {
        Self {
            timestamp_ms: statistics.timestamp.0,
            cpu: Some(statistics.cpu.into()),
            memory: Some(statistics.memory.into()),
            pids: Some(statistics.pids.into()),
            io: statistics.io.into_iter().map(Into::into).collect(),
            network: statistics.network.into_iter().map(Into::into).collect(),
            cpu_pressure: statistics.pressure.cpu.map(Into::into),
            memory_pressure: statistics.pressure.memory.map(Into::into),
            io_pressure: statistics.pressure.io.map(Into::into),
            disk_bytes: statistics.disk_bytes,
        }
    }
}

impl From<CpuStatistics> for v1::CpuStatistics {
    fn from(cpu: CpuStatistics) -> Self {
        let CpuStatistics {
            usage_us,
            user_us,
            system_us,
            n_periods,
            n_throttled,
            throttled_us,
        } = cpu;
        Self {
            usage_us,
            user_us,
            system_us,
            n_periods,
            n_throttled,
            throttled_us,
        }
    }
}

impl From<MemoryStatistics> for v1::MemoryStatistics {
    fn from(memory: MemoryStatistics) -> Self {
        let MemoryStatistics {
            current_bytes,
            peak_bytes,
            limit_bytes,
            anon_bytes,
            file_bytes,
            kernel_bytes,
            shmem_bytes,
            swap_bytes,
            major_faults,
            oom_kills,
        } = memory;
        Self {
            current_bytes,
            peak_bytes,
            limit_bytes,
            anon_bytes,
            file_bytes,
            kernel_bytes,
            shmem_bytes,
            swap_bytes,
            major_faults,
            oom_kills,
        }
    }
}

impl From<PidsStatistics> for v1::PidsStatistics {
    fn from(pids: PidsStatistics) -> Self {
        Self {
            current: pids.current,
            limit: pids.limit,
            refused: pids.refused,
        }
    }
}

impl From<IoStatistics> for v1::IoStatistics {
    fn from(io: IoStatistics) -> Self {
        Self {
            device: io.device,
            read_bytes: io.read_bytes,
            write_bytes: io.write_bytes,
            reads: io.reads,
            writes: io.writes,
        }
    }
}

impl From<NetworkStatistics> for v1::NetworkStatistics {
    fn from(network: NetworkStatistics) -> Self {
        let NetworkStatistics {
            interface,
            received_bytes,
            received_packets,
            received_dropped,
            sent_bytes,
            sent_packets,
            sent_dropped,
        } = network;
        Self {
            interface,
            received_bytes,
            received_packets,
            received_dropped,
            sent_bytes,
            sent_packets,
            sent_dropped,
        }
    }
}

impl From<Pressure> for v1::Pressure {
    fn from(pressure: Pressure) -> Self {
        Self {
            some_avg10: pressure.some_avg10,
            some_total_us: pressure.some_total_us,
            full_avg10: pressure.full_avg10,
            full_total_us: pressure.full_total_us,
        }
    }
}
