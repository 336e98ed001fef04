//! What there is now: counted from a snapshot when the metrics are read.

mod roles;

use std::collections::BTreeMap;

use proffer_master_core::{AgentState, AgentView, DrainPhase, FrameworkState, Snapshot, Upkeep};
use proffer_types::{TaskState, Timestamp};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::metrics::{State, state_label};

const AGENT_STATES: [AgentState; 4] = [
    AgentState::Active,
    AgentState::Disconnected,
    AgentState::Recovered,
    AgentState::Unreachable,
];
const UPKEEP: [&str; 4] = ["deactivated", "waiting_to_drain", "draining", "drained"];
const FRAMEWORK_STATES: [FrameworkState; 4] = [
    FrameworkState::Active,
    FrameworkState::Disconnected,
    FrameworkState::Recovered,
    FrameworkState::Orphaned,
];

#[derive(Debug, Clone, Default)]
pub(super) struct Gauges {
    agents: Family<State, Gauge>,
    lost: Gauge,
    upkeep: Family<State, Gauge>,
    gone: Gauge,
    delayed: Gauge,
    frameworks: Family<State, Gauge>,
    tasks: Family<State, Gauge>,
    orphan_tasks: Gauge,
    offers: Gauge,
    filters: Gauge,
    roles: roles::Roles,
    queue_depth: Gauge,
}

impl Gauges {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        gauges.roles.register(registry);
        registry.register("agents", "Agents, by state", gauges.agents.clone());
        registry.register(
            "agents_lost",
            "Agents that are not connected though no operator took them out of use",
            gauges.lost.clone(),
        );
        registry.register(
            "agents_out_of_use",
            "Agents that operators took out of use, or are about to, by how",
            gauges.upkeep.clone(),
        );
        registry.register(
            "agents_gone",
            "Agents that operators declared gone and whose ids are remembered",
            gauges.gone.clone(),
        );
        registry.register(
            "agents_removal_delayed",
            "Agents that are away for too long and not given up yet, because too many are",
            gauges.delayed.clone(),
        );
        registry.register("frameworks", "Frameworks, by state", gauges.frameworks.clone());
        registry.register("tasks", "Tasks not yet completed, by state", gauges.tasks.clone());
        registry.register(
            "orphan_tasks",
            "Tasks that hold resources and whose framework the master has no record of",
            gauges.orphan_tasks.clone(),
        );
        registry.register(
            "offers_outstanding",
            "Offers not yet answered",
            gauges.offers.clone(),
        );
        registry.register(
            "offer_filters_active",
            "Refusals that keep agents from frameworks for a while",
            gauges.filters.clone(),
        );
        registry.register(
            "queue_depth",
            "Commands waiting for the core",
            gauges.queue_depth.clone(),
        );
        gauges
    }

    pub(super) fn set(&self, snapshot: Option<&Snapshot>, queue_depth: usize, now: Timestamp) {
        self.queue_depth.set(gauge(queue_depth));
        let Some(snapshot) = snapshot else {
            return;
        };
        self.offers.set(gauge(snapshot.offers.len()));
        self.filters.set(gauge(snapshot.ledger.n_filters()));
        self.roles.set(snapshot, now);
        let agents = snapshot.agents.iter().map(|agent| agent_label(agent.state));
        set_all(&self.agents, AGENT_STATES.map(agent_label), agents);
        let is_lost = |agent: &&AgentView| agent.state != AgentState::Active && agent.upkeep.is_offered();
        self.lost
            .set(gauge(snapshot.agents.iter().filter(is_lost).count()));
        let upkeep = snapshot
            .agents
            .iter()
            .flat_map(|agent| upkeep_labels(&agent.upkeep));
        set_all(&self.upkeep, UPKEEP, upkeep);
        let delayed = snapshot
            .agents
            .iter()
            .filter(|agent| agent.removal_delay.is_some());
        self.delayed.set(gauge(delayed.count()));
        self.gone.set(gauge(snapshot.gone_agents.len()));
        let frameworks = snapshot
            .frameworks
            .iter()
            .map(|framework| framework_label(framework.state));
        set_all(
            &self.frameworks,
            FRAMEWORK_STATES.map(framework_label),
            frameworks,
        );
        let orphaned = snapshot
            .frameworks
            .iter()
            .filter(|framework| framework.state == FrameworkState::Orphaned);
        let n_orphans: i64 = orphaned.map(|framework| i64::from(framework.n_tasks)).sum();
        self.orphan_tasks.set(n_orphans);
        let tasks = snapshot.tasks.iter().map(|task| state_label(task.state));
        set_all(&self.tasks, TaskState::ALL.map(state_label), tasks);
    }
}

/// Sets a gauge for each label there can be, so that none keeps an old value.
fn set_all<const N: usize>(
    family: &Family<State, Gauge>,
    labels: [&'static str; N],
    found: impl Iterator<Item = &'static str>,
) {
    let mut counts: BTreeMap<&'static str, usize> = labels.into_iter().map(|label| (label, 0)).collect();
    for label in found {
        *counts.entry(label).or_default() += 1;
    }
    for (state, n) in counts {
        family.get_or_create(&State { state }).set(gauge(n));
    }
}

fn gauge(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn agent_label(state: AgentState) -> &'static str {
    match state {
        AgentState::Active => "active",
        AgentState::Disconnected => "disconnected",
        AgentState::Recovered => "recovered",
        AgentState::Unreachable => "unreachable",
    }
}

fn upkeep_labels(upkeep: &Upkeep) -> impl Iterator<Item = &'static str> {
    let deactivated = upkeep.deactivated.map(|_| "deactivated");
    let drain = upkeep.drain.as_ref().map(|drain| match drain.phase {
        DrainPhase::Waiting => "waiting_to_drain",
        DrainPhase::Draining => "draining",
        DrainPhase::Drained => "drained",
    });
    deactivated.into_iter().chain(drain)
}

fn framework_label(state: FrameworkState) -> &'static str {
    match state {
        FrameworkState::Active => "active",
        FrameworkState::Disconnected => "disconnected",
        FrameworkState::Recovered => "recovered",
        FrameworkState::Orphaned => "orphaned",
    }
}
