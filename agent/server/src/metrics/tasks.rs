//! Metrics of tasks that run, made anew for each reader: a task that has ended leaves no series behind.

use std::sync::atomic::AtomicU64;

use proffer_agent_core::TaskKey;
use proffer_types::Statistics;
use proffer_types::statistics::Pressure;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// At most as many sets of them as tasks run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabel {
    framework: String,
    task: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PressureLabel {
    framework: String,
    task: String,
    resource: &'static str,
}

type Seconds<L> = Family<L, Counter<f64, AtomicU64>>;
type Count = Family<TaskLabel, Counter>;
type Level = Family<TaskLabel, Gauge>;

#[derive(Debug, Default)]
struct Tasks {
    cpu: Seconds<TaskLabel>,
    throttled: Seconds<TaskLabel>,
    stalled: Seconds<PressureLabel>,
    memory: Level,
    memory_limit: Level,
    anon: Level,
    file: Level,
    oom_kills: Count,
    pids: Level,
    pids_refused: Count,
    disk: Level,
    io_read: Count,
    io_written: Count,
    received: Count,
    sent: Count,
}

/// All metrics of these tasks.
pub(super) fn registry(running: &[(TaskKey, Statistics)]) -> Registry {
    let tasks = Tasks::default();
    for (key, statistics) in running {
        tasks.set(key, statistics);
    }
    tasks.register()
}

fn level(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a float is what the format has")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

impl Tasks {
    fn set(&self, key: &TaskKey, statistics: &Statistics) {
        let label = TaskLabel {
            framework: key.framework_id.to_string(),
            task: key.task_id.to_string(),
        };
        let add = |to: &Count, n: u64| {
            to.get_or_create(&label).inc_by(n);
        };
        let set = |to: &Level, n: u64| {
            to.get_or_create(&label).set(level(n));
        };
        let Statistics {
            cpu, memory, pids, ..
        } = statistics;
        self.cpu.get_or_create(&label).inc_by(seconds(cpu.usage_us));
        let throttled = seconds(cpu.throttled_us);
        self.throttled.get_or_create(&label).inc_by(throttled);
        set(&self.memory, memory.current_bytes);
        if let Some(limit) = memory.limit_bytes {
            set(&self.memory_limit, limit);
        }
        set(&self.anon, memory.anon_bytes);
        set(&self.file, memory.file_bytes);
        add(&self.oom_kills, memory.oom_kills);
        set(&self.pids, pids.current);
        add(&self.pids_refused, pids.refused);
        if let Some(bytes) = statistics.disk_bytes {
            set(&self.disk, bytes);
        }
        add(&self.io_read, statistics.io.iter().map(|io| io.read_bytes).sum());
        add(
            &self.io_written,
            statistics.io.iter().map(|io| io.write_bytes).sum(),
        );
        let network = &statistics.network;
        if !network.is_empty() {
            add(&self.received, network.iter().map(|it| it.received_bytes).sum());
            add(&self.sent, network.iter().map(|it| it.sent_bytes).sum());
        }
        let pressure = &statistics.pressure;
        self.stall(&label, "cpu", pressure.cpu);
        self.stall(&label, "memory", pressure.memory);
        self.stall(&label, "io", pressure.io);
    }

    fn stall(&self, label: &TaskLabel, resource: &'static str, pressure: Option<Pressure>) {
        let Some(pressure) = pressure else { return };
        let label = PressureLabel {
            framework: label.framework.clone(),
            task: label.task.clone(),
            resource,
        };
        let stalled = seconds(pressure.some_total_us);
        self.stalled.get_or_create(&label).inc_by(stalled);
    }

    fn register(self) -> Registry {
        let mut r = Registry::with_prefix("proffer_task");
        let seconds = Unit::Seconds;
        r.register_with_unit("cpu", "Time its processes had", seconds.clone(), self.cpu);
        r.register_with_unit(
            "cpu_throttled",
            "Time its cpu limit took",
            seconds.clone(),
            self.throttled,
        );
        r.register_with_unit(
            "stalled",
            "Time some of it waited for a resource",
            seconds,
            self.stalled,
        );
        r.register("memory_bytes", "Memory it has", self.memory);
        r.register("memory_limit_bytes", "Memory it may have", self.memory_limit);
        r.register("memory_anon_bytes", "Memory that is no file's", self.anon);
        r.register("memory_file_bytes", "Memory that is a file's", self.file);
        r.register(
            "oom_kills",
            "Processes killed at its memory limit",
            self.oom_kills,
        );
        r.register("pids", "Processes and threads it has", self.pids);
        r.register("pids_refused", "Forks its pids limit refused", self.pids_refused);
        r.register("disk_bytes", "What is in its sandbox", self.disk);
        r.register("io_read_bytes", "Read from block devices", self.io_read);
        r.register("io_written_bytes", "Written to block devices", self.io_written);
        r.register(
            "network_received_bytes",
            "Received in its own network",
            self.received,
        );
        r.register("network_sent_bytes", "Sent from its own network", self.sent);
        r
    }
}

#[cfg(test)]
mod tests {
    use proffer_types::{FrameworkId, TaskId};

    use super::super::Metrics;
    use super::*;

    #[test]
    fn a_running_task_has_series_of_its_own_and_none_of_what_its_host_does_not_count() {
        let key = TaskKey {
            framework_id: FrameworkId::new("f").unwrap(),
            task_id: TaskId::new("t").unwrap(),
        };
        let mut statistics = Statistics::default();
        statistics.cpu.usage_us = 1_500_000;
        statistics.memory.current_bytes = 4096;
        let text = Metrics::new().encode(&[(key, statistics)]);
        let label = r#"{framework="f",task="t"}"#;
        for line in [
            format!("proffer_task_cpu_seconds_total{label} 1.5"),
            format!("proffer_task_memory_bytes{label} 4096"),
            format!("proffer_task_io_read_bytes_total{label} 0"),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(!text.contains("proffer_task_stalled_seconds_total{"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
