//! The shipped batch scheduler with a user: jobs are submitted when their time comes.
//!
//! A submission is repeated until the job is there: what a crash took from the scheduler, its user asks for again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proffer_batch_core::{Batch, SubmitError};
use proffer_session::{Context, RecoverError, Scheduler};
use proffer_types::{
    AgentId, FrameworkId, Offer, OfferId, OfferPreferences, OperationStatus, Resources, Role, TaskStatus,
    Timestamp,
};

use crate::scenario::FrameworkPlan;

#[derive(Debug)]
pub(crate) struct BatchLoad {
    plan: Arc<FrameworkPlan>,
    batch: Batch,
}

impl BatchLoad {
    pub(crate) fn new(plan: Arc<FrameworkPlan>) -> Self {
        Self {
            plan,
            batch: Batch::new(),
        }
    }

    /// The jobs that have not ended.
    pub(crate) fn left(&self) -> Vec<String> {
        let names = self.plan.batches.iter().map(|(_, spec)| &spec.name);
        let open = names.filter(|name| {
            let job = self.batch.get(name);
            job.map_or(true, |job| job.ended.is_none())
        });
        open.map(|name| format!("{name} {:?}", self.batch.get(name).map(|job| job.instances)))
            .collect()
    }

    fn unsubmitted(&self) -> impl Iterator<Item = usize> {
        let is_new = |n: &usize| self.batch.get(&self.plan.batches[*n].1.name).is_err();
        (0..self.plan.batches.len()).filter(is_new)
    }
}

impl Scheduler for BatchLoad {
    fn recover(&mut self, records: &[(String, Vec<u8>)]) -> Result<(), RecoverError> {
        self.batch.recover(records)
    }

    fn subscribed(&mut self, cx: &mut Context<'_>, framework_id: &FrameworkId) {
        self.batch.subscribed(cx, framework_id);
    }

    fn disconnected(&mut self, cx: &mut Context<'_>) {
        self.batch.disconnected(cx);
    }

    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        self.batch.offers(cx, offers);
    }

    fn rescinded(&mut self, cx: &mut Context<'_>, offer: &OfferId) {
        self.batch.rescinded(cx, offer);
    }

    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus) {
        self.batch.update(cx, status);
    }

    fn operation_update(&mut self, cx: &mut Context<'_>, status: &OperationStatus) {
        self.batch.operation_update(cx, status);
    }

    fn agent_lost(&mut self, cx: &mut Context<'_>, agent: &AgentId) {
        self.batch.agent_lost(cx, agent);
    }

    fn shapes(&mut self, cx: &mut Context<'_>, n_agents: u32, largest: &[Resources]) {
        self.batch.shapes(cx, n_agents, largest);
    }

    fn roles(&self) -> Option<&BTreeSet<Role>> {
        self.batch.roles()
    }

    fn preferences(&self) -> Option<&BTreeMap<Role, OfferPreferences>> {
        self.batch.preferences()
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        self.batch.tick(cx);
        for n in self.unsubmitted().collect::<Vec<_>>() {
            let (at, spec) = &self.plan.batches[n];
            if *at <= cx.now() {
                let submitted: Result<usize, SubmitError> = self.batch.submit(spec.clone(), cx);
                // The plan's jobs are valid, and each fits on every agent.
                assert!(submitted.is_ok(), "{submitted:?}");
            }
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let submission = self.unsubmitted().map(|n| self.plan.batches[n].0).min();
        [submission, self.batch.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }
}
