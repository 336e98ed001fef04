//! The agent's metrics: every name is here, and those of its tasks in a file of their own.

mod tasks;

use std::time::Duration;

use proffer_agent_core::{Agent, Event, TaskKey};
use proffer_types::Statistics;
use proffer_types::{ResourceName, TaskState};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    state: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    state: &'static str,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    tasks: Family<StateLabel, Gauge>,
    ended: Family<EndLabel, Counter>,
    refused: Counter,
    launches: Counter,
    launch_failures: Counter,
    launch_seconds: Histogram,
    updates_pending: Gauge,
    updates_retried: Counter,
    checkpoint_failures: Counter,
    checkpoints_damaged: Gauge,
    operations: Family<OperationLabel, Counter>,
    frames_dropped: Counter,
    sandboxes_collected: Counter,
    executors: Gauge,
    executors_refused: Counter,
    registered: Gauge,
    registrations: Counter,
    cpu_millis_used: Gauge,
    mem_bytes_used: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("proffer_agent"),
            tasks: Family::default(),
            ended: Family::default(),
            refused: Counter::default(),
            launches: Counter::default(),
            launch_failures: Counter::default(),
            // 1 ms to about 4 s.
            launch_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 13)),
            updates_pending: Gauge::default(),
            updates_retried: Counter::default(),
            checkpoint_failures: Counter::default(),
            checkpoints_damaged: Gauge::default(),
            operations: Family::default(),
            frames_dropped: Counter::default(),
            sandboxes_collected: Counter::default(),
            executors: Gauge::default(),
            executors_refused: Counter::default(),
            registered: Gauge::default(),
            registrations: Counter::default(),
            cpu_millis_used: Gauge::default(),
            mem_bytes_used: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("tasks", "Tasks by their newest state", self.tasks.clone());
        r.register(
            "tasks_ended",
            "Tasks that ended, by state and reason",
            self.ended.clone(),
        );
        r.register("tasks_refused", "Launches refused", self.refused.clone());
        r.register("launches", "Containers launched", self.launches.clone());
        r.register(
            "launch_failures",
            "Containers not launched",
            self.launch_failures.clone(),
        );
        r.register_with_unit(
            "launch",
            "From the order to the running command",
            Unit::Seconds,
            self.launch_seconds.clone(),
        );
        r.register(
            "updates_pending",
            "Updates not acknowledged",
            self.updates_pending.clone(),
        );
        r.register(
            "updates_retried",
            "Updates sent again",
            self.updates_retried.clone(),
        );
        r.register(
            "checkpoint_failures",
            "Checkpoints not written",
            self.checkpoint_failures.clone(),
        );
        r.register(
            "checkpoints_damaged",
            "Checkpoints put aside in `damaged` of the data directory, when this agent started",
            self.checkpoints_damaged.clone(),
        );
        r.register(
            "operations",
            "Operations on the agent's resources, by how they ended",
            self.operations.clone(),
        );
        r.register(
            "sandboxes_collected",
            "Sandboxes of ended tasks removed",
            self.sandboxes_collected.clone(),
        );
        r.register(
            "frames_dropped",
            "Frames of another session",
            self.frames_dropped.clone(),
        );
        r.register("executors", "Executors that run", self.executors.clone());
        r.register(
            "executors_refused",
            "Connections of executors ended for what they said",
            self.executors_refused.clone(),
        );
        r.register("registered", "Whether a session is open", self.registered.clone());
        r.register("registrations", "Sessions opened", self.registrations.clone());
        r.register(
            "cpus_used_millis",
            "Thousandths of cores held by tasks",
            self.cpu_millis_used.clone(),
        );
        r.register(
            "mem_used_bytes",
            "Memory held by tasks",
            self.mem_bytes_used.clone(),
        );
    }

    pub(crate) fn launched(&self, took: Duration) {
        self.launches.inc();
        self.launch_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn sandbox_collected(&self) {
        self.sandboxes_collected.inc();
    }

    /// Says how many checkpoints were put aside so far.
    pub(crate) fn found_damaged(&self, n: usize) {
        self.checkpoints_damaged.set(i64::try_from(n).unwrap_or(i64::MAX));
    }

    pub(crate) fn launch_failed(&self) {
        self.launch_failures.inc();
    }

    pub(crate) fn apply(&self, event: &Event) {
        match event {
            Event::Registered { .. } => {
                self.registrations.inc();
            }
            Event::FrameDropped { .. } => {
                self.frames_dropped.inc();
            }
            Event::TaskRefused { .. } => {
                self.refused.inc();
            }
            Event::ExecutorRefused { .. } => {
                self.executors_refused.inc();
            }
            Event::TaskState { state, reason, .. } if state.is_terminal() => {
                let label = EndLabel {
                    state: state.as_str(),
                    reason: reason.map_or("", |reason| reason.as_str()),
                };
                self.ended.get_or_create(&label).inc();
            }
            Event::CheckpointFailed { .. } | Event::ResourcesFailed { .. } => {
                self.checkpoint_failures.inc();
            }
            Event::UpdateRetried { .. } => {
                self.updates_retried.inc();
            }
            Event::OperationEnded { state, .. } => {
                let state = state.as_str();
                self.operations.get_or_create(&OperationLabel { state }).inc();
            }
            Event::SessionLost { .. }
            | Event::ResourcesChanged { .. }
            | Event::OperationIgnored { .. }
            | Event::TaskAccepted { .. }
            | Event::ContainerReplaced { .. }
            | Event::ExecutorStarted { .. }
            | Event::ExecutorSubscribed { .. }
            | Event::ExecutorEnded { .. }
            | Event::DuplicateIgnored { .. }
            | Event::UnknownIgnored { .. }
            | Event::TaskState { .. }
            | Event::TaskForgotten { .. } => {}
        }
    }

    /// Takes over what the agent holds now.
    pub(crate) fn observe(&self, agent: &Agent) {
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let mut n_by_state = [0_usize; TaskState::ALL.len()];
        let mut n_pending = 0;
        for task in agent.tasks() {
            n_by_state[task.latest.state as usize] += 1;
            n_pending += task.n_updates_pending;
        }
        for state in TaskState::ALL {
            let label = StateLabel {
                state: state.as_str(),
            };
            self.tasks
                .get_or_create(&label)
                .set(gauge(n_by_state[state as usize]));
        }
        self.updates_pending.set(gauge(n_pending));
        self.executors.set(gauge(agent.executors().count()));
        self.registered.set(i64::from(agent.is_registered()));
        let used = agent.used();
        let units = |name| i64::try_from(used.scalar(&name)).unwrap_or(i64::MAX);
        self.cpu_millis_used.set(units(ResourceName::Cpus));
        self.mem_bytes_used.set(units(ResourceName::Mem));
    }

    /// All metrics, and those of running tasks, in the OpenMetrics text format.
    pub(crate) fn encode(&self, running: &[(TaskKey, Statistics)]) -> String {
        let mut out = String::new();
        let encoded = text::encode_registry(&mut out, &self.registry)
            .and_then(|()| text::encode_registry(&mut out, &tasks::registry(running)))
            .and_then(|()| text::encode_eof(&mut out));
        match encoded {
            Ok(()) => out,
            // Writing to a String cannot fail.
            Err(std::fmt::Error) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_is_counted_under_the_promised_names() {
        let metrics = Metrics::new();
        metrics.launched(Duration::from_millis(3));
        let text = metrics.encode(&[]);
        assert!(text.contains("proffer_agent_launches_total 1"), "{text}");
        assert!(text.contains("proffer_agent_launch_seconds_count 1"), "{text}");
    }
}
