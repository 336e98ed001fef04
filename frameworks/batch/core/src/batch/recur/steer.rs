//! What people ask of recurring jobs: submit, pause, resume, trigger, cancel; and what the shell says of the clock.

use std::sync::Arc;

use proffer_session::Context;
use proffer_types::Timestamp;
use thiserror::Error;

use super::{MAX_OPEN_RUNS, rfc3339};
use crate::batch::demand::can_be_stated;
use crate::batch::{Batch, put};
use crate::job::{Job, Run};
use crate::recurring::{MissedCause, Reason, Recurring};
use crate::schedule::{Overlap, Schedule};
use crate::template::TemplateJob;
use crate::validate::{check_once, validate};
use crate::{JobSpec, SubmitError, records};

/// Recurring jobs, those that were cancelled included while there is room; each may have an open run.
const MAX_RECURRING: usize = 1000;
/// A clock that was set by less than this was merely corrected: windows have no finer times.
const JUMP_MS: u64 = 1000;

/// Why a recurring job was not paused, resumed or triggered. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SteerError {
    #[error("no recurring job is named `{0}`")]
    NotRecurring(String),
    #[error("job `{0}` was cancelled")]
    Cancelled(String),
    #[error("`{0}` has not ended, and the schedule skips overlaps")]
    StillRunning(String),
    #[error("{MAX_OPEN_RUNS} runs of job `{0}` have not ended")]
    TooManyRuns(String),
    #[error("job `{0}` was triggered in this second already")]
    Twice(String),
    #[error("no job is named `{0}`")]
    NoSuchJob(String),
    #[error("job `{0}` recurs; pause it, or hold one of its runs")]
    Recurring(String),
    #[error("job `{0}` runs when it is dispatched; hold one of its runs")]
    Template(String),
    #[error("job `{0}` has ended")]
    Ended(String),
    #[error(transparent)]
    NoRoom(SubmitError),
}

impl Batch {
    /// Takes a recurring job in; returns how many instances each of its runs has.
    pub(in crate::batch) fn submit_recurring(
        &mut self,
        spec: JobSpec,
        schedule: Schedule,
        cx: &mut Context<'_>,
    ) -> Result<u64, SubmitError> {
        let order = validate(&spec, &self.largest)?;
        schedule.validate()?;
        check_once(&spec, &schedule)?;
        let earlier = self.free_name(&spec.name)?;
        let spec = Arc::new(spec);
        let wall = self.wall(cx);
        let run = Job::new(self.submissions + 1, spec.clone(), order.clone(), wall);
        let (n_instances, can_be_stated) = (run.n_instances(), can_be_stated(&run));
        let job = Recurring::new(run.number, spec, schedule, order, wall)?;
        if !can_be_stated {
            return Err(SubmitError::LargeStatement(job.spec.name.clone()));
        }
        self.check_room(n_instances)?;
        let recurrings = &self.recurrings.jobs;
        let oldest = recurrings
            .values()
            .find(|job| job.has_ended())
            .map(|job| job.number);
        let makes_room = earlier
            .filter(|number| recurrings.contains_key(number))
            .or(oldest);
        if recurrings.len() >= MAX_RECURRING && makes_room.is_none() {
            return Err(SubmitError::Full);
        }
        self.enter(&job.spec.role)?;
        if let Some(number) = earlier {
            self.forget(number, cx);
        }
        if let Some(number) = makes_room.filter(|_| self.recurrings.jobs.len() >= MAX_RECURRING) {
            self.forget(number, cx);
        }
        self.submissions = job.number;
        put(cx, records::submissions(job.number));
        put(cx, records::recurring(&job));
        let number = job.number;
        self.recurrings.names.insert(job.spec.name.clone(), number);
        self.recurrings.jobs.insert(number, job);
        self.record(number, cx);
        self.arm(number);
        self.fire(None, cx);
        self.state_demand(cx);
        Ok(n_instances)
    }

    /// The job, recurring job or template that has a name already, and has ended.
    pub(in crate::batch) fn free_name(&self, name: &str) -> Result<Option<u64>, SubmitError> {
        let job = self.names.get(name).copied();
        let recurring = self.recurrings.names.get(name).copied();
        let of_recurring = |number| self.recurrings.jobs.get(&number);
        let template = self.templates.number(name);
        let of_template = |number| self.templates.jobs.get(&number);
        let has_ended = job.is_none_or(|number| self.has_ended(number))
            && recurring.and_then(of_recurring).is_none_or(Recurring::has_ended)
            && template.and_then(of_template).is_none_or(TemplateJob::has_ended);
        match has_ended {
            true => Ok(job.or(recurring).or(template)),
            false => Err(SubmitError::NameInUse(name.to_owned())),
        }
    }

    /// Forgets a job that has ended; of a recurring one or a template, its runs too.
    pub(in crate::batch) fn forget(&mut self, number: u64, cx: &mut Context<'_>) {
        if self.templates.jobs.contains_key(&number) {
            return self.forget_template(number, cx);
        }
        let Some(job) = self.recurrings.jobs.get(&number) else {
            return self.drop_job(number, cx);
        };
        let name = job.spec.name.clone();
        for run in job.runs.clone() {
            self.drop_job(run, cx);
        }
        self.recurrings.jobs.remove(&number);
        self.arm(number);
        if self.recurrings.names.get(&name) == Some(&number) {
            self.recurrings.names.remove(&name);
        }
        records::recurring_keys(number)
            .into_iter()
            .for_each(|key| cx.delete(key));
    }

    /// Lets the windows of a job pass until it is resumed. Pausing it again changes nothing.
    pub fn pause(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), SteerError> {
        let number = self.steered(name)?;
        self.fire(None, cx);
        let wall = self.wall(cx);
        if let Some(job) = self.recurrings.jobs.get_mut(&number) {
            job.ledger.paused.get_or_insert(wall);
        }
        self.record(number, cx);
        self.arm(number);
        self.state_demand(cx);
        Ok(())
    }

    /// Runs the windows of a job again, from now on; those that passed are recorded as missed.
    pub fn resume(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), SteerError> {
        let number = self.steered(name)?;
        let wall = self.wall(cx);
        if let Some(job) = self.recurrings.jobs.get_mut(&number)
            && let Some(since) = job.ledger.paused.take()
        {
            let why = format!("it was paused from {} to {}.", rfc3339(since), rfc3339(wall));
            let reason = reason(MissedCause::Paused, since, wall, why);
            job.miss_until(wall, reason);
            self.record(number, cx);
            self.arm(number);
        }
        self.fire(None, cx);
        self.state_demand(cx);
        Ok(())
    }

    /// Runs a job now, beside its windows; returns the name of the run.
    pub fn trigger(&mut self, name: &str, cx: &mut Context<'_>) -> Result<String, SteerError> {
        let number = self.steered(name)?;
        self.fire(None, cx);
        let wall = self.wall(cx);
        let at = Timestamp(wall.0 - wall.0 % 1000);
        let Some(job) = self.recurrings.jobs.get(&number) else {
            return Err(SteerError::NotRecurring(name.to_owned()));
        };
        let run = Run {
            recurring: number,
            at,
            triggered: true,
            started: None,
            dropped: None,
            ended_for: None,
        };
        let run = run.name(name);
        if self.names.contains_key(&run) {
            return Err(SteerError::Twice(name.to_owned()));
        }
        if job.open.len() >= MAX_OPEN_RUNS {
            return Err(SteerError::TooManyRuns(name.to_owned()));
        }
        let n_instances = job.spec.n_instances();
        self.check_room(n_instances).map_err(SteerError::NoRoom)?;
        let earlier = job.open.last().and_then(|number| self.jobs.get(number));
        match (job.schedule.overlap, earlier) {
            (Overlap::Skip, Some(earlier)) => return Err(SteerError::StillRunning(earlier.name.clone())),
            (Overlap::Replace, Some(_)) => self.replace_open(number, at, wall, cx),
            (Overlap::Allow | Overlap::Skip | Overlap::Replace, _) => {}
        }
        self.begin(number, at, true, cx);
        self.state_demand(cx);
        Ok(run)
    }

    /// Ends a recurring job: no window runs any more, and of its runs none goes on unless they are to be kept.
    pub(in crate::batch) fn cancel_recurring(&mut self, number: u64, keep_runs: bool, cx: &mut Context<'_>) {
        self.fire(None, cx);
        let wall = self.wall(cx);
        let Some(job) = self.recurrings.jobs.get_mut(&number) else {
            return;
        };
        if job.ledger.cancelled.is_none() {
            job.ledger.cancelled = Some(wall);
            let paused = job.ledger.paused.take();
            let why = "the job was cancelled before they ran.".to_owned();
            let reason = reason(MissedCause::Cancelled, paused.unwrap_or(wall), wall, why);
            job.miss_until(Timestamp(wall.0.saturating_add(1)), reason);
            job.ledger.next = None;
        }
        let open = match keep_runs {
            true => Default::default(),
            false => job.open.clone(),
        };
        self.record(number, cx);
        self.arm(number);
        for run in open {
            self.end_early(
                run,
                MissedCause::Cancelled,
                "the job was cancelled before it started.",
                cx,
            );
        }
        self.state_demand(cx);
    }

    /// Cancels a run by itself.
    pub(in crate::batch) fn cancel_run(&mut self, number: u64, cx: &mut Context<'_>) {
        let why = "it was cancelled before it started.";
        self.end_early(number, MissedCause::Cancelled, why, cx);
        self.state_demand(cx);
    }

    /// Says what the clock of the host shows now. What it went forward over is missed; when it went back, windows that
    /// were decided about do not come again.
    pub fn set_clock(&mut self, wall: Timestamp, cx: &mut Context<'_>) {
        self.fire(None, cx);
        let before = self.wall(cx);
        self.recurrings.clock.set(cx.now(), wall);
        let jumped = wall.0.saturating_sub(before.0) >= JUMP_MS;
        self.fire(jumped.then_some((before, wall)), cx);
        self.state_demand(cx);
    }

    fn steered(&self, name: &str) -> Result<u64, SteerError> {
        let number = self.recurrings.names.get(name).copied();
        let job = number.and_then(|number| self.recurrings.jobs.get(&number));
        let short = || name.chars().take(80).collect();
        let job = job.ok_or_else(|| SteerError::NotRecurring(short()))?;
        match job.ledger.cancelled {
            None => Ok(job.number),
            Some(_) => Err(SteerError::Cancelled(short())),
        }
    }
}

fn reason(cause: MissedCause, from: Timestamp, to: Timestamp, why: String) -> Reason {
    Reason { cause, from, to, why }
}
