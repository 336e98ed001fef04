//! What a framework of the simulation schedules with: the workload's own scheduler, or one of the two that
//! are shipped.
//!
//! Whatever it is, each update it is told is kept for the rules to look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proffer_batch_core::RecurringView;
use proffer_session::{Context, RecoverError, Scheduler};
use proffer_types::{
    AgentId, FrameworkId, InverseOffer, KnownAgent, Offer, OfferId, OfferPreferences, OperationStatus,
    Resources, Role, TaskStatus, Timestamp,
};

use crate::batch_load::BatchLoad;
use crate::facts::Promises;
use crate::scenario::FrameworkPlan;
use crate::service_load::ServiceLoad;
use crate::workload::Workload;

#[derive(Debug)]
enum Kind {
    Workload(Workload),
    Batch(BatchLoad),
    Service(ServiceLoad),
}

/// What a scheduler was told.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Task(TaskStatus),
    Operation(OperationStatus),
}

#[derive(Debug)]
pub(crate) struct Load {
    kind: Kind,
    /// Every update told, for the simulator to read.
    pub(crate) told: Vec<Told>,
}

impl Load {
    pub(crate) fn new(plan: &Arc<FrameworkPlan>) -> Self {
        let plan = Arc::clone(plan);
        let kind = if !plan.services.is_empty() {
            Kind::Service(ServiceLoad::new(plan))
        } else if !plan.batches.is_empty() {
            Kind::Batch(BatchLoad::new(plan))
        } else {
            Kind::Workload(Workload::new(plan))
        };
        Self {
            kind,
            told: Vec::new(),
        }
    }

    /// Whether everything it was to run has come to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.left().is_empty()
    }

    /// What has not, for people.
    pub(crate) fn left(&self) -> Vec<String> {
        match &self.kind {
            Kind::Workload(load) => load.left(),
            Kind::Batch(load) => load.left(),
            Kind::Service(load) => load.left(),
        }
    }

    /// What its users were told.
    pub(crate) fn promises(&self) -> Promises {
        match &self.kind {
            Kind::Workload(load) => load.promises(),
            Kind::Batch(load) => load.promises(),
            Kind::Service(load) => load.promises(),
        }
    }

    /// The recurring jobs it has, with all their windows.
    pub(crate) fn recurring(&self) -> Vec<RecurringView> {
        match &self.kind {
            Kind::Batch(load) => load.recurring(),
            Kind::Workload(_) | Kind::Service(_) => Vec::new(),
        }
    }

    fn inner(&mut self) -> &mut dyn Scheduler {
        match &mut self.kind {
            Kind::Workload(load) => load,
            Kind::Batch(load) => load,
            Kind::Service(load) => load,
        }
    }

    fn as_inner(&self) -> &dyn Scheduler {
        match &self.kind {
            Kind::Workload(load) => load,
            Kind::Batch(load) => load,
            Kind::Service(load) => load,
        }
    }
}

impl Scheduler for Load {
    fn recover(&mut self, records: &[(String, Vec<u8>)]) -> Result<(), RecoverError> {
        self.inner().recover(records)
    }

    fn subscribed(&mut self, cx: &mut Context<'_>, framework_id: &FrameworkId) {
        self.inner().subscribed(cx, framework_id);
    }

    fn disconnected(&mut self, cx: &mut Context<'_>) {
        self.inner().disconnected(cx);
    }

    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        self.inner().offers(cx, offers);
    }

    fn rescinded(&mut self, cx: &mut Context<'_>, offer: &OfferId) {
        self.inner().rescinded(cx, offer);
    }

    fn inverse_offer(&mut self, cx: &mut Context<'_>, offer: &InverseOffer) {
        self.inner().inverse_offer(cx, offer);
    }

    fn inverse_rescinded(&mut self, cx: &mut Context<'_>, offer: &OfferId) {
        self.inner().inverse_rescinded(cx, offer);
    }

    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus) {
        self.told.push(Told::Task(status.clone()));
        self.inner().update(cx, status);
    }

    fn operation_update(&mut self, cx: &mut Context<'_>, status: &OperationStatus) {
        self.told.push(Told::Operation(status.clone()));
        self.inner().operation_update(cx, status);
    }

    fn agent_lost(&mut self, cx: &mut Context<'_>, agent: &AgentId) {
        self.inner().agent_lost(cx, agent);
    }

    fn agent_away(&mut self, cx: &mut Context<'_>, agent: &AgentId, away_for: Duration) {
        self.inner().agent_away(cx, agent, away_for);
    }

    fn agent_back(&mut self, cx: &mut Context<'_>, agent: &AgentId) {
        self.inner().agent_back(cx, agent);
    }

    fn shapes(&mut self, cx: &mut Context<'_>, n_agents: u32, largest: &[Resources]) {
        self.inner().shapes(cx, n_agents, largest);
    }

    fn wants_agents(&self) -> bool {
        self.as_inner().wants_agents()
    }

    fn agents(&mut self, cx: &mut Context<'_>, agents: &[KnownAgent], gone: &[AgentId]) {
        self.inner().agents(cx, agents, gone);
    }

    fn roles(&self) -> Option<&BTreeSet<Role>> {
        self.as_inner().roles()
    }

    fn preferences(&self) -> Option<&BTreeMap<Role, OfferPreferences>> {
        self.as_inner().preferences()
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        self.inner().tick(cx);
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.as_inner().next_deadline()
    }
}
