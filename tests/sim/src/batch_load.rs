//! The shipped batch scheduler with a user: jobs are submitted when their time comes.
//!
//! A submission is repeated until the job is there: what a crash took from the scheduler, its user asks for again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proffer_batch_core::{Batch, JobSpec, MissedPolicy, Pick, RecurringView, SubmitError};
use proffer_session::{Context, RecoverError, Scheduler};
use proffer_types::{
    AgentId, FrameworkId, Offer, OfferId, OfferPreferences, OperationStatus, Resources, Role, TaskStatus,
    Timestamp,
};

use crate::facts::Promises;
use crate::scenario::{BatchPlan, FrameworkPlan};

#[derive(Debug)]
pub(crate) struct BatchLoad {
    plan: Arc<FrameworkPlan>,
    batch: Batch,
    /// In this life.
    cancel_asked: BTreeSet<String>,
}

impl BatchLoad {
    pub(crate) fn new(plan: Arc<FrameworkPlan>) -> Self {
        Self {
            plan,
            batch: Batch::new(),
            cancel_asked: BTreeSet::new(),
        }
    }

    /// The jobs that have not ended.
    pub(crate) fn left(&self) -> Vec<String> {
        let open = self.wanted().map(|plan| &plan.spec.name).filter(|name| {
            let end = self.end(name);
            end.is_none_or(|end| end.is_none())
        });
        open.map(|name| match self.batch.get_recurring(name) {
            Some(job) => format!("{name} {job:?}"),
            None => format!(
                "{name} {:?}",
                self.batch.get(name, &Pick::all()).map(|job| job.instances)
            ),
        })
        .collect()
    }

    fn wanted(&self) -> impl Iterator<Item = &BatchPlan> {
        self.plan.batches.iter().filter(|plan| !plan.is_left_out)
    }

    /// How a job ended, once it has; none where there is no such job.
    fn end(&self, name: &str) -> Option<Option<String>> {
        if let Some(job) = self.batch.get_recurring(name) {
            return Some(job.ended.map(|_| format!("{:?}", job.state)));
        }
        let job = self.batch.get(name, &Pick::NONE).ok()?;
        Some(job.ended.map(|_| format!("{:?}", job.state)))
    }

    fn unsubmitted(&self) -> impl Iterator<Item = &BatchPlan> {
        self.wanted().filter(|plan| self.end(&plan.spec.name).is_none())
    }

    /// Those of which the user has had enough, if they have not ended; when that is asked for next.
    fn unwanted(&self) -> impl Iterator<Item = (&BatchPlan, Timestamp)> {
        let open = |plan: &&BatchPlan| self.end(&plan.spec.name).is_some_and(|end| end.is_none());
        let asked = |name: &String| self.cancel_asked.contains(name);
        self.wanted()
            .filter(open)
            .filter(move |plan| !asked(&plan.spec.name))
            .filter_map(|plan| Some((plan, plan.cancelled?)))
    }

    /// What its user was told of each job: how it ended, once it has.
    pub(crate) fn promises(&self) -> Promises {
        let ended = |plan: &BatchPlan| Some((plan.spec.name.clone(), self.end(&plan.spec.name)?));
        self.wanted().filter_map(ended).collect()
    }

    /// The recurring jobs, with all their windows.
    pub(crate) fn recurring(&self) -> Vec<RecurringView> {
        let names = self.wanted().map(|plan| &plan.spec.name);
        names.filter_map(|name| self.batch.get_recurring(name)).collect()
    }
}

/// Whether each of its windows has to run: then its user lets what is open go on.
fn runs_each_window(spec: &JobSpec) -> bool {
    let schedule = spec.schedule.as_ref();
    schedule.is_some_and(|schedule| schedule.missed == MissedPolicy::AtLeastOnce)
}

impl Scheduler for BatchLoad {
    fn recover(&mut self, records: &[(String, Vec<u8>)]) -> Result<(), RecoverError> {
        // What was asked of a session that is gone is asked again.
        self.cancel_asked.clear();
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
        let due = self.unsubmitted().filter(|plan| plan.arrives <= cx.now());
        for spec in due.map(|plan| plan.spec.clone()).collect::<Vec<_>>() {
            let submitted: Result<u64, SubmitError> = self.batch.submit(spec, cx);
            // The plan's jobs are valid, and each fits on every agent that stays.
            assert!(submitted.is_ok(), "{submitted:?}");
        }
        let due = self.unwanted().filter(|(_, at)| *at <= cx.now());
        let due = due.map(|(plan, _)| (plan.spec.name.clone(), runs_each_window(&plan.spec)));
        for (name, runs_on) in due.collect::<Vec<_>>() {
            let cancelled = match runs_on {
                true => self.batch.cancel_schedule(&name, cx),
                false => self.batch.cancel(&name, cx),
            };
            assert!(cancelled.is_ok(), "{cancelled:?}");
            self.cancel_asked.insert(name);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let submission = self.unsubmitted().map(|plan| plan.arrives).min();
        let cancellation = self.unwanted().map(|(_, at)| at).min();
        [submission, cancellation, self.batch.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }
}
