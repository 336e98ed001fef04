//! Every metric of the master, by name.
//!
//! Counters fold the core's committed events; gauges are set from a snapshot when somebody asks.

mod gauges;
mod timed;

use std::sync::Arc;
use std::time::Duration;

use proffer_master_core::{Command, Effect, Event, OfferEnd, Snapshot};
use proffer_types::{TaskState, Timestamp};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

pub(crate) use timed::Timed;

use crate::metrics::gauges::Gauges;

/// Goes before every name.
const PREFIX: &str = "proffer_master";

/// All metrics; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    gauges: Gauges,
    offers_made: Counter,
    offers_ended: Family<Ended, Counter>,
    tasks_launched: Counter,
    status_updates: Family<State, Counter>,
    allocations: Counter,
    allocation_seconds: Histogram,
    allocation_pairs: Counter,
    allocations_cut_short: Counter,
    link_messages: Family<Messages, Counter>,
    registry_commits: Family<CommitResult, Counter>,
    registry_commit_seconds: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    how: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// Messages of one kind of link, in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Messages {
    link: &'static str,
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommitResult {
    result: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let gauges = Gauges::register(&mut registry);
        // From 10 us to some 10 s in steps of four.
        let seconds = || Histogram::new(exponential_buckets(1e-5, 4.0, 11));
        let offers_made = Counter::default();
        registry.register("offers_made", "Offers made", offers_made.clone());
        let offers_ended = Family::default();
        registry.register("offers_ended", "Offers ended, by how", offers_ended.clone());
        let tasks_launched = Counter::default();
        registry.register(
            "tasks_launched",
            "Tasks accepted and sent to agents",
            tasks_launched.clone(),
        );
        let status_updates = Family::default();
        registry.register(
            "status_updates",
            "Status updates, by state",
            status_updates.clone(),
        );
        let allocations = Counter::default();
        registry.register("allocation_runs", "Runs of the allocator", allocations.clone());
        let allocation_seconds = seconds();
        registry.register(
            "allocation_duration_seconds",
            "How long a run of the allocator takes",
            allocation_seconds.clone(),
        );
        let allocation_pairs = Counter::default();
        registry.register(
            "allocation_pairs",
            "Pairs of framework and agent the allocator examined",
            allocation_pairs.clone(),
        );
        let allocations_cut_short = Counter::default();
        registry.register(
            "allocation_runs_cut_short",
            "Runs of the allocator that ended with their budget",
            allocations_cut_short.clone(),
        );
        let link_messages = Family::default();
        registry.register(
            "link_messages",
            "Messages of agents' and schedulers' links, by direction",
            link_messages.clone(),
        );
        let registry_commits = Family::default();
        registry.register(
            "registry_commits",
            "Commits of the registry, by result",
            registry_commits.clone(),
        );
        let registry_commit_seconds = seconds();
        registry.register(
            "registry_commit_duration_seconds",
            "How long a commit of the registry takes",
            registry_commit_seconds.clone(),
        );
        Self {
            registry: Arc::new(registry),
            gauges,
            offers_made,
            offers_ended,
            tasks_launched,
            status_updates,
            allocations,
            allocation_seconds,
            allocation_pairs,
            allocations_cut_short,
            link_messages,
            registry_commits,
            registry_commit_seconds,
        }
    }

    /// Counts a committed event.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other events are not counted")]
    pub(crate) fn count(&self, event: &Event) {
        match event {
            Event::OfferMade { .. } => {
                self.offers_made.inc();
            }
            Event::OfferEnded { end, .. } => {
                let how = match end {
                    OfferEnd::Accepted => "accepted",
                    OfferEnd::Declined => "declined",
                    OfferEnd::Rescinded => "rescinded",
                };
                self.offers_ended.get_or_create(&Ended { how }).inc();
            }
            Event::TaskLaunched { .. } => {
                self.tasks_launched.inc();
            }
            Event::TaskUpdated { status, .. } => {
                let state = state_label(status.state);
                self.status_updates.get_or_create(&State { state }).inc();
            }
            _ => {}
        }
    }

    /// Counts the messages that a command brought.
    pub(crate) fn received(&self, command: &Command) {
        let (link, n) = match command {
            Command::AgentRegister { .. } => ("agent", 1),
            Command::AgentFrame { messages, .. } => ("agent", messages.len()),
            Command::SchedulerCalls { calls, .. } => ("scheduler", calls.len()),
            Command::AgentLinkLost { .. }
            | Command::SchedulerLinkLost { .. }
            | Command::Operator { .. }
            | Command::Tick => return,
        };
        self.messages(link, "in").inc_by(n as u64);
    }

    /// Counts a message that an effect sends.
    pub(crate) fn sent(&self, effect: &Effect) {
        match effect {
            Effect::ToAgent { .. } => self.messages("agent", "out").inc(),
            Effect::ToFramework { .. } => self.messages("scheduler", "out").inc(),
            Effect::CloseLink { .. } | Effect::Reply { .. } => 0,
        };
    }

    fn messages(&self, link: &'static str, direction: &'static str) -> Counter {
        self.link_messages
            .get_or_create_owned(&Messages { link, direction })
    }

    pub(crate) fn registry_commit(&self, took: Duration, ok: bool) {
        let result = if ok { "ok" } else { "failed" };
        self.registry_commits
            .get_or_create(&CommitResult { result })
            .inc();
        self.registry_commit_seconds.observe(took.as_secs_f64());
    }

    fn allocation(&self, took: Duration, n_pairs: u64, is_cut_short: bool) {
        self.allocations.inc();
        self.allocation_pairs.inc_by(n_pairs);
        self.allocations_cut_short.inc_by(u64::from(is_cut_short));
        self.allocation_seconds.observe(took.as_secs_f64());
    }

    /// Everything as OpenMetrics text. Without a snapshot, while the core recovers, states stay as they were.
    pub(crate) fn text(
        &self,
        snapshot: Option<&Snapshot>,
        queue_depth: usize,
        now: Timestamp,
    ) -> Result<String, std::fmt::Error> {
        self.gauges.set(snapshot, queue_depth, now);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// A task state as a label: the word of tables and logs.
fn state_label(state: TaskState) -> &'static str {
    state.as_str()
}
