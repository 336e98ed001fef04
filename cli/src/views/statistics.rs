//! What the kernel counts for running tasks.

use proffer_types::resources::format::format_size;
use proffer_wire::v1;
use serde::Serialize;

use super::text::span_us;
use crate::output::{Column, Row, left, right};

/// One reading of one task, and what came of it since the one before.
#[derive(Debug, Serialize)]
pub(crate) struct StatisticsView {
    pub(crate) task_id: String,
    pub(crate) framework_id: String,
    pub(crate) agent_hostname: String,
    timestamp_ms: u64,
    /// Of one cpu; absent at the first reading.
    cpu_percent: Option<f64>,
    cpu: CpuView,
    memory: MemoryView,
    pids: PidsView,
    io: Vec<IoView>,
    network: Vec<NetworkView>,
    pressure: PressuresView,
    disk_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct CpuView {
    usage_us: u64,
    user_us: u64,
    system_us: u64,
    n_periods: u64,
    n_throttled: u64,
    throttled_us: u64,
}

#[derive(Debug, Serialize)]
struct MemoryView {
    current_bytes: u64,
    peak_bytes: Option<u64>,
    limit_bytes: Option<u64>,
    anon_bytes: u64,
    file_bytes: u64,
    kernel_bytes: Option<u64>,
    shmem_bytes: u64,
    swap_bytes: Option<u64>,
    major_faults: u64,
    oom_kills: u64,
}

#[derive(Debug, Serialize)]
struct PidsView {
    current: u64,
    limit: Option<u64>,
    refused: u64,
}

#[derive(Debug, Serialize)]
struct IoView {
    device: String,
    read_bytes: u64,
    write_bytes: u64,
    reads: u64,
    writes: u64,
}

#[derive(Debug, Serialize)]
struct NetworkView {
    interface: String,
    received_bytes: u64,
    received_packets: u64,
    received_dropped: u64,
    sent_bytes: u64,
    sent_packets: u64,
    sent_dropped: u64,
}

/// Absent where the kernel has none.
#[derive(Debug, Serialize)]
struct PressuresView {
    cpu: Option<PressureView>,
    memory: Option<PressureView>,
    io: Option<PressureView>,
}

#[derive(Debug, Serialize)]
struct PressureView {
    some_avg10_percent: f64,
    some_total_us: u64,
    full_avg10_percent: f64,
    full_total_us: u64,
}

impl StatisticsView {
    /// `before` is the reading before of the same task, if there was one.
    pub(crate) fn new(task: v1::TaskStatistics, hostname: &str, before: Option<&v1::Statistics>) -> Self {
        let statistics = task.statistics.unwrap_or_default();
        let cpu_percent = before.and_then(|before| cpu_percent(before, &statistics));
        let (cpu, memory, pids) = (
            statistics.cpu.unwrap_or_default(),
            statistics.memory.unwrap_or_default(),
            statistics.pids.unwrap_or_default(),
        );
        Self {
            task_id: task.task_id,
            framework_id: task.framework_id,
            agent_hostname: hostname.to_owned(),
            timestamp_ms: statistics.timestamp_ms,
            cpu_percent,
            cpu: cpu.into(),
            memory: memory.into(),
            pids: PidsView {
                current: pids.current,
                limit: pids.limit,
                refused: pids.refused,
            },
            io: statistics.io.into_iter().map(IoView::from).collect(),
            network: statistics.network.into_iter().map(NetworkView::from).collect(),
            pressure: PressuresView {
                cpu: statistics.cpu_pressure.map(PressureView::from),
                memory: statistics.memory_pressure.map(PressureView::from),
                io: statistics.io_pressure.map(PressureView::from),
            },
            disk_bytes: statistics.disk_bytes,
        }
    }
}

/// Of one cpu, between two readings; none when they are of one moment, or of two containers of a task.
#[expect(clippy::cast_precision_loss, reason = "a percentage with one decimal")]
fn cpu_percent(before: &v1::Statistics, now: &v1::Statistics) -> Option<f64> {
    let usage = |reading: &v1::Statistics| reading.cpu.map_or(0, |cpu| cpu.usage_us);
    let used = usage(now).checked_sub(usage(before))?;
    let passed_ms = now
        .timestamp_ms
        .checked_sub(before.timestamp_ms)
        .filter(|ms| *ms > 0)?;
    let percent = used as f64 / (passed_ms as f64 * 10.0);
    Some((percent * 10.0).round() / 10.0)
}

impl From<v1::CpuStatistics> for CpuView {
    fn from(cpu: v1::CpuStatistics) -> Self {
        Self {
            usage_us: cpu.usage_us,
            user_us: cpu.user_us,
            system_us: cpu.system_us,
            n_periods: cpu.n_periods,
            n_throttled: cpu.n_throttled,
            throttled_us: cpu.throttled_us,
        }
    }
}

impl From<v1::MemoryStatistics> for MemoryView {
    fn from(memory: v1::MemoryStatistics) -> Self {
        Self {
            current_bytes: memory.current_bytes,
            peak_bytes: memory.peak_bytes,
            limit_bytes: memory.limit_bytes,
            anon_bytes: memory.anon_bytes,
            file_bytes: memory.file_bytes,
            kernel_bytes: memory.kernel_bytes,
            shmem_bytes: memory.shmem_bytes,
            swap_bytes: memory.swap_bytes,
            major_faults: memory.major_faults,
            oom_kills: memory.oom_kills,
        }
    }
}

impl From<v1::IoStatistics> for IoView {
    fn from(io: v1::IoStatistics) -> Self {
        Self {
            device: io.device,
            read_bytes: io.read_bytes,
            write_bytes: io.write_bytes,
            reads: io.reads,
            writes: io.writes,
        }
    }
}

impl From<v1::NetworkStatistics> for NetworkView {
    fn from(network: v1::NetworkStatistics) -> Self {
        Self {
            interface: network.interface,
            received_bytes: network.received_bytes,
            received_packets: network.received_packets,
            received_dropped: network.received_dropped,
            sent_bytes: network.sent_bytes,
            sent_packets: network.sent_packets,
            sent_dropped: network.sent_dropped,
        }
    }
}

impl From<v1::Pressure> for PressureView {
    fn from(pressure: v1::Pressure) -> Self {
        Self {
            some_avg10_percent: f64::from(pressure.some_avg10) / 100.0,
            some_total_us: pressure.some_total_us,
            full_avg10_percent: f64::from(pressure.full_avg10) / 100.0,
            full_total_us: pressure.full_total_us,
        }
    }
}

impl PressuresView {
    /// Of the last ten seconds, how much some of the task waited for cpu, memory and io: `12% 0% 3%`.
    fn text(&self) -> String {
        let all = [&self.cpu, &self.memory, &self.io];
        if all.iter().all(|one| one.is_none()) {
            return String::new();
        }
        let texts = all.map(|one| match one {
            Some(pressure) => format!("{:.0}%", pressure.some_avg10_percent),
            None => "-".to_owned(),
        });
        texts.join(" ")
    }
}

impl Row for StatisticsView {
    const COLUMNS: &'static [Column] = &[
        left("TASK"),
        left("HOST"),
        right("CPU %"),
        right("THROTTLED").if_any(),
        right("MEM"),
        right("LIMIT").if_any(),
        right("PIDS"),
        right("READ"),
        right("WRITTEN"),
        right("RECEIVED").if_any(),
        right("SENT").if_any(),
        right("DISK").if_any(),
        left("WAITS CPU MEM IO").if_any(),
    ];

    fn cells(&self) -> Vec<String> {
        let sum = |numbers: Vec<u64>| numbers.into_iter().fold(0, u64::saturating_add);
        let networks = |of: fn(&NetworkView) -> u64| match self.network.is_empty() {
            true => String::new(),
            false => format_size(sum(self.network.iter().map(of).collect())),
        };
        let optional = |bytes: Option<u64>| bytes.map(format_size).unwrap_or_default();
        vec![
            self.task_id.clone(),
            self.agent_hostname.clone(),
            self.cpu_percent
                .map_or("-".to_owned(), |percent| format!("{percent:.1}")),
            match self.cpu.throttled_us {
                0 => String::new(),
                us => span_us(us),
            },
            format_size(self.memory.current_bytes),
            optional(self.memory.limit_bytes),
            self.pids.current.to_string(),
            format_size(sum(self.io.iter().map(|io| io.read_bytes).collect())),
            format_size(sum(self.io.iter().map(|io| io.write_bytes).collect())),
            networks(|network| network.received_bytes),
            networks(|network| network.sent_bytes),
            optional(self.disk_bytes),
            self.pressure.text(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_cpu_is_that_of_the_time_between_two_readings() {
        let reading = |timestamp_ms, usage_us| v1::Statistics {
            timestamp_ms,
            cpu: Some(v1::CpuStatistics {
                usage_us,
                ..Default::default()
            }),
            ..Default::default()
        };
        let first = reading(1000, 5_000_000);
        assert_eq!(cpu_percent(&first, &reading(1500, 5_750_000)), Some(150.0));
        assert_eq!(cpu_percent(&first, &first), None);
        // The task was restarted in between.
        assert_eq!(cpu_percent(&first, &reading(1500, 10)), None);
    }
}
