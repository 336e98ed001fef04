//! The scheduler: all jobs, and the only place where an instance changes its phase.
//!
//! Invariant: `running` holds exactly the instances that are running, under the id of their latest attempt, and
//! `queue` exactly those that wait. At most one attempt of an instance is not known to have ended, but for those that
//! were given up as unreachable.

mod account;
mod cancel;
mod check;
mod demand;
mod dispatch;
mod estimate;
mod expire;
mod explain;
mod forget;
mod give_up;
mod hold;
mod offers;
mod peers;
mod queues;
mod recover;
mod recur;
mod report;
mod requeue;
mod retry;
mod slices;
mod submit;
#[cfg(test)]
mod tests;
mod update;
mod wait;

use std::collections::{BTreeMap, BTreeSet};

use proffer_session::{Context, RecoverError, Scheduler};
use proffer_types::{FrameworkId, InverseOffer, Offer, Resources, Role, TaskId, TaskStatus, Timestamp};
use thiserror::Error;

use crate::accounts::Accounts;
use crate::avoided::Avoided;
use crate::closing::Closing;
use crate::job::{Job, Phase, Place};
use crate::queue::Queues;
use crate::report::Agents;
use crate::slices::Slices;
use crate::timers::Timers;
use crate::{JobSummary, JobView, Pick, RecurringView, TemplateView, records};

pub use cancel::CancelError;
pub use check::Checked;
pub use dispatch::{DispatchError, Dispatched};
pub use queues::{QueueView, UserView, WaitingView};
pub use recur::SteerError;
pub use report::{MAX_REPORT_ROWS, ReportBy, ReportQuery, ReportRow};
pub use requeue::{Requeue, RequeueError, Requeued};

use self::dispatch::Templates;
use self::forget::Forgotten;
use self::recur::Recurrings;
use self::wait::Waits;

/// Ended jobs that are kept for people to look at.
const MAX_ENDED_JOBS: usize = 1000;
/// Launched instances of ended jobs that are kept: at some 240 bytes each, with its report, 96 MB.
const MAX_ENDED_INSTANCES: u64 = 400_000;

/// No job of that name, or it ended so long ago that it was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no job is named `{0}`")]
pub struct NoSuchJob(pub String);

/// The batch scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    jobs: BTreeMap<u64, Job>,
    /// The latest job of each name; runs of recurring jobs and of templates are jobs too.
    names: BTreeMap<String, u64>,
    recurrings: Recurrings,
    templates: Templates,
    /// How many jobs were ever submitted; the number of the latest.
    submissions: u64,
    queue: Queues,
    running: BTreeMap<TaskId, Place>,
    /// Jobs that have ended, by when.
    ended: BTreeSet<(Timestamp, u64)>,
    /// Those of the jobs, and the default one.
    roles: BTreeSet<Role>,
    /// Roles whose demand may have changed since it was stated.
    changed: BTreeSet<Role>,
    connected: bool,
    n_agents: u32,
    largest: Vec<Resources>,
    avoided: Avoided,
    closing: Closing,
    agents: Agents,
    accounts: Accounts,
    /// Instances whose latest attempt is on an unreachable agent, by when each is given up.
    cut_off: Timers,
    /// Instances that wait before they are started again, by when they are.
    delays: Timers,
    slices: Slices,
    /// Of the jobs that have not ended.
    deadlines: BTreeSet<(Timestamp, u64)>,
    forgotten: Forgotten,
    waits: Waits,
}

impl Batch {
    /// A scheduler without jobs.
    #[must_use]
    pub fn new() -> Self {
        Self {
            jobs: BTreeMap::new(),
            names: BTreeMap::new(),
            recurrings: Recurrings::default(),
            templates: Templates::default(),
            submissions: 0,
            queue: Queues::default(),
            running: BTreeMap::new(),
            ended: BTreeSet::new(),
            roles: [Role::default()].into(),
            changed: [Role::default()].into(),
            connected: false,
            n_agents: 0,
            largest: Vec::new(),
            avoided: Avoided::default(),
            closing: Closing::default(),
            agents: Agents::default(),
            accounts: Accounts::default(),
            cut_off: Timers::default(),
            delays: Timers::default(),
            slices: Slices::default(),
            deadlines: BTreeSet::new(),
            forgotten: Forgotten::default(),
            waits: Waits::default(),
        }
    }

    /// All jobs, in the order of submission.
    #[must_use]
    pub fn list(&self) -> Vec<JobSummary> {
        self.jobs.values().map(JobSummary::of).collect()
    }

    /// One job with those of its instances that are picked.
    pub fn get(&self, name: &str, pick: &Pick) -> Result<JobView, NoSuchJob> {
        self.named(name)
            .map(|job| JobView::of(job, self.waits_of(job), pick))
    }

    /// All recurring jobs, in the order of submission, without their windows.
    #[must_use]
    pub fn list_recurring(&self) -> Vec<RecurringView> {
        let jobs = self.recurrings.jobs.values();
        jobs.map(RecurringView::summary).collect()
    }

    /// One recurring job with what is kept of its windows.
    #[must_use]
    pub fn get_recurring(&self, name: &str) -> Option<RecurringView> {
        let number = self.recurrings.names.get(name)?;
        let job = self.recurrings.jobs.get(number)?;
        Some(RecurringView::of(job, |run| self.jobs.get(&run)))
    }

    /// All templates, in the order of submission, without their runs.
    #[must_use]
    pub fn list_templates(&self) -> Vec<TemplateView> {
        let jobs = self.templates.jobs.values();
        jobs.map(TemplateView::summary).collect()
    }

    /// One template with what is kept of its runs.
    #[must_use]
    pub fn get_template(&self, name: &str) -> Option<TemplateView> {
        let job = self.templates.jobs.get(&self.templates.number(name)?)?;
        Some(TemplateView::of(job, |run| self.jobs.get(&run)))
    }

    fn named(&self, name: &str) -> Result<&Job, NoSuchJob> {
        let number = self.names.get(name);
        number
            .and_then(|number| self.jobs.get(number))
            .ok_or_else(|| NoSuchJob(name.chars().take(80).collect()))
    }

    fn move_to(&mut self, place: Place, phase: Phase) {
        let Some(job) = self.jobs.get_mut(&place.job) else {
            return;
        };
        let before = job.set_phase(place, phase);
        let is = |which| (before == which) != (phase == which);
        if is(Phase::Running)
            && let Some(id) = job.task_id(place.task, place.index)
        {
            match phase {
                Phase::Running => self.running.insert(id, place),
                Phase::Blocked
                | Phase::Waiting
                | Phase::Finished
                | Phase::Failed
                | Phase::Cancelled
                | Phase::Delayed => self.running.remove(&id),
            };
            self.queue.charge(job, place.task, phase == Phase::Running);
        }
        if before == Phase::Running && phase != Phase::Running {
            let was_asked = self.slices.forget(place);
            if self.queue.get_up(place).is_some() || was_asked {
                self.changed.insert(job.spec.role.clone());
            }
        }
        if before == Phase::Delayed {
            self.delays.remove(place);
        }
        // An end lets another one start: the rest of its gang, or the next of those of which only some may run.
        let lets_start = match before {
            Phase::Running | Phase::Delayed => match job.gang(place.task) {
                Some(_) => job.may_start(place.task),
                None => job.task_spec(place.task).max_running.is_some(),
            },
            Phase::Blocked | Phase::Waiting | Phase::Finished | Phase::Failed | Phase::Cancelled => false,
        };
        if is(Phase::Waiting) || lets_start {
            self.changed.insert(job.spec.role.clone());
            self.queue.update(job, place.task);
        }
    }

    /// Moves what follows from a change in the job, and ends it when nothing is left to do.
    fn settle(&mut self, number: u64, settle: impl FnOnce(&mut Job) -> Vec<usize>, now: Timestamp) {
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        let n_delayed = job.count(Phase::Delayed);
        for task in settle(job) {
            job.tasks[task].opened.get_or_insert(now);
            self.queue.update(job, task);
            self.changed.insert(job.spec.role.clone());
        }
        // One of a gang that failed, or of a job that was cancelled, waits no more.
        if job.count(Phase::Delayed) < n_delayed {
            let is_delayed = |place: Place| job.tasks[place.task].phase(place.index) == Phase::Delayed;
            self.delays.retain(number, is_delayed);
        }
        if job.is_over() {
            let ended = *job.ended.get_or_insert(now);
            self.ended.insert((ended, number));
        }
    }

    /// What a change of a whole job ends with: it settles, and its end is recorded. What is wanted has yet to be stated.
    fn conclude(&mut self, number: u64, cx: &mut Context<'_>) {
        self.conclude_by(number, Job::settle, cx);
    }

    /// As [`Batch::conclude`], when only one instance changed.
    fn conclude_after(&mut self, place: Place, cx: &mut Context<'_>) {
        self.conclude_by(place.job, |job| job.settle_after(place.task, place.index), cx);
    }

    fn conclude_by(
        &mut self,
        number: u64,
        settle: impl FnOnce(&mut Job) -> Vec<usize>,
        cx: &mut Context<'_>,
    ) {
        let had_ended = self.has_ended(number);
        self.settle(number, settle, cx.now());
        if self.has_ended(number) && !had_ended {
            self.forget_deadline(number);
            if let Some(job) = self.jobs.get(&number) {
                put(cx, records::end(job));
            }
            self.tell_later(number, cx);
            self.run_ended(number, cx);
            self.dispatched_ended(number, cx);
            self.drop_oldest(cx);
        }
    }

    fn has_ended(&self, number: u64) -> bool {
        self.jobs.get(&number).is_some_and(|job| job.ended.is_some())
    }

    /// Keeps what has ended bounded; the latest stays in any case.
    fn drop_oldest(&mut self, cx: &mut Context<'_>) {
        let size = |number: &u64| self.jobs.get(number).map_or(0, Job::n_launched);
        let mut n_launched: u64 = self.ended.iter().map(|(_, number)| size(number)).sum();
        while self.ended.len() > 1
            && (self.ended.len() > MAX_ENDED_JOBS || n_launched > MAX_ENDED_INSTANCES)
            && let Some((_, number)) = self.ended.first().copied()
        {
            n_launched -= self.jobs.get(&number).map_or(0, Job::n_launched);
            self.drop_job(number, cx);
        }
    }

    fn drop_job(&mut self, number: u64, cx: &mut Context<'_>) {
        self.forget_deadline(number);
        self.tell_later(number, cx);
        let Some(job) = self.jobs.remove(&number) else {
            return;
        };
        self.forget_records(&job, cx);
        self.ended.retain(|(_, other)| *other != number);
        if self.names.get(&job.name) == Some(&number) {
            self.names.remove(&job.name);
        }
        self.run_dropped(&job);
        self.dispatched_dropped(&job);
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scheduler for Batch {
    fn recover(&mut self, records: &[(String, Vec<u8>)]) -> Result<(), RecoverError> {
        let recovered = recover::recover(records)?;
        // After a failed write the host's clock is still what it was.
        let clock = self.recurrings.clock.after_a_start(recovered.recurrings.clock);
        *self = recovered;
        self.recurrings.clock = clock;
        Ok(())
    }

    fn subscribed(&mut self, cx: &mut Context<'_>, _: &FrameworkId) {
        self.connected = true;
        let wall = self.wall(cx);
        self.recurrings.clock.connected(wall);
        self.delay_recovered(cx);
        self.fire(None, cx);
        self.state_demand(cx);
    }

    fn disconnected(&mut self, cx: &mut Context<'_>) {
        self.connected = false;
        let wall = self.wall(cx);
        self.recurrings.clock.disconnected(wall);
        self.cut_off.clear();
    }

    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        self.fire(None, cx);
        self.take_all(offers, cx);
    }

    /// What runs goes on: it may end before. What does not is killed by the drain's deadline, or at the window's start, and
    /// starts again elsewhere: that costs it no retry.
    fn inverse_offer(&mut self, cx: &mut Context<'_>, offer: &InverseOffer) {
        cx.accept_inverse(&offer.id);
    }

    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus) {
        // Hearing of a launch that was dropped may come too late for its window: what is late by itself is seen before.
        self.fire(None, cx);
        self.hear(status, cx);
        self.state_demand(cx);
    }

    fn shapes(&mut self, _: &mut Context<'_>, n_agents: u32, largest: &[Resources]) {
        self.n_agents = n_agents;
        self.largest = largest.to_vec();
    }

    fn roles(&self) -> Option<&BTreeSet<Role>> {
        Some(&self.roles)
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        self.give_up_overdue(cx);
        self.retry_due(cx);
        self.end_slices(cx);
        self.expire_due(cx);
        self.forget_more(cx);
        self.fire(None, cx);
        self.state_demand(cx);
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let deadlines = [
            self.cut_off.next(),
            self.deadlines.first().map(|(deadline, _)| *deadline),
            self.delays.next(),
            self.slices.next(),
            self.next_window(),
            // At once.
            (!self.forgotten.is_empty()).then_some(Timestamp::default()),
        ];
        deadlines.into_iter().flatten().min()
    }
}

fn put(cx: &mut Context<'_>, (key, value): (String, Vec<u8>)) {
    cx.put(key, value);
}
