//! Recurring jobs: what is done when a window is due, and what becomes of those that cannot run.
//!
//! A window is decided about once: the record of its run, or of why there is none, is in the same step's writes as the
//! ledger that has moved on behind it. No task of a run is launched in an earlier step than that.
//!
//! Under `at_most_once` a run that did not start within the epsilon is taken back, and recorded as missed; one of which
//! something may have run stays, however it ends. Under `at_least_once` a window waits for as long as it takes.

mod clock;
mod steer;

use std::collections::{BTreeMap, BTreeSet};

use proffer_session::Context;
use proffer_types::Timestamp;

pub use self::steer::SteerError;

use self::clock::Clock;
use super::{Batch, put};
use crate::job::{Job, Phase, Place, Run};
use crate::records;
use crate::recurring::{Missed, MissedCause, Reason, Recurring};
use crate::schedule::{Overlap, rfc3339};

/// Runs of one recurring job that have not ended. More than that means that runs take longer than the time between
/// windows, and would never be caught up with.
const MAX_OPEN_RUNS: usize = 100;
/// Runs that begin in one step: each is a record or two of a commit, which holds 16 MiB. The rest begins in the next
/// step, which comes at once.
const MAX_RUNS_PER_STEP: usize = 1000;

/// The recurring jobs of a scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Recurrings {
    pub(super) jobs: BTreeMap<u64, Recurring>,
    /// The latest of each name.
    pub(super) names: BTreeMap<String, u64>,
    /// Those that are to be acted upon, by their next window.
    due: BTreeSet<(Timestamp, u64)>,
    /// Runs of which nothing has started and that are missed if nothing does, by when.
    pending: BTreeSet<(Timestamp, u64)>,
    pub(super) clock: Clock,
}

impl Batch {
    /// Acts upon all windows whose time has come, and takes back what can start no more. What is wanted has yet to be
    /// stated.
    pub(super) fn fire(&mut self, jump: Option<(Timestamp, Timestamp)>, cx: &mut Context<'_>) {
        let wall = self.wall(cx);
        self.take_back_overdue(wall, jump, cx);
        let mut n_left = MAX_RUNS_PER_STEP;
        while n_left > 0
            && let Some((at, number)) = self.recurrings.due.first().copied()
            && at <= wall
        {
            self.fire_one(number, wall, jump, &mut n_left, cx);
        }
        self.recurrings.clock.looked(wall);
        if !self.connected {
            self.recurrings.clock.disconnected(wall);
        }
    }

    /// When [`Batch::fire`] has something to do, by the session's clock.
    pub(super) fn next_window(&self) -> Option<Timestamp> {
        let due = self.recurrings.due.first().map(|(at, _)| *at);
        let pending = self.recurrings.pending.first();
        let overdue = pending.map(|(deadline, _)| Timestamp(deadline.0.saturating_add(1)));
        let wall = [due, overdue].into_iter().flatten().min()?;
        Some(self.recurrings.clock.session_time(wall))
    }

    pub(super) fn wall(&self, cx: &Context<'_>) -> Timestamp {
        self.wall_at(cx.now())
    }

    /// A time of the session's clock by that of the host.
    pub(super) fn wall_at(&self, now: Timestamp) -> Timestamp {
        self.recurrings.clock.wall(now)
    }

    /// Decides about the windows of one job up to now.
    fn fire_one(
        &mut self,
        number: u64,
        wall: Timestamp,
        jump: Option<(Timestamp, Timestamp)>,
        n_left: &mut usize,
        cx: &mut Context<'_>,
    ) {
        let later = Timestamp(wall.0.saturating_add(1));
        while let Some(job) = self.recurrings.jobs.get_mut(&number)
            && let Some(at) = job.due().filter(|at| *at <= wall)
        {
            let epsilon = job.schedule.epsilon();
            let overlaps = !job.open.is_empty();
            if job.at_most_once() && at.after(epsilon) < wall {
                let alive = Timestamp(wall.0.saturating_sub(Timestamp(0).after(epsilon).0));
                let reason = self.recurrings.clock.absence(at, wall, jump);
                job.miss_until(alive, reason);
            } else if job.open.len() >= MAX_OPEN_RUNS && !job.at_most_once() {
                // Armed again when one of them ends.
                break;
            } else if job.open.len() >= MAX_OPEN_RUNS {
                job.miss_until(later, too_many(at, wall));
            } else if overlaps && job.schedule.overlap == Overlap::Skip {
                let earlier = job.open.last().and_then(|number| self.jobs.get(number));
                let reason = still_running(earlier.map(|run| run.name.as_str()), at, wall);
                job.miss_until(later, reason);
            } else if *n_left == 0 {
                self.arm(number);
                return;
            } else {
                if overlaps && job.schedule.overlap == Overlap::Replace {
                    self.replace_open(number, at, wall, cx);
                }
                self.start_window(number, at, cx);
                *n_left -= 1;
                continue;
            }
            self.record(number, cx);
        }
        self.arm(number);
    }

    /// Enters the run of a window in the ledger; it waits for offers from now on.
    fn start_window(&mut self, number: u64, at: Timestamp, cx: &mut Context<'_>) {
        let Some(job) = self.recurrings.jobs.get_mut(&number) else {
            return;
        };
        let n_instances = job.spec.n_instances();
        if self.check_room(n_instances).is_err() {
            let wall = self.wall(cx);
            if let Some(job) = self.recurrings.jobs.get_mut(&number) {
                job.miss_until(Timestamp(wall.0.saturating_add(1)), too_many(at, wall));
            }
            return self.record(number, cx);
        }
        let Some(job) = self.recurrings.jobs.get_mut(&number) else {
            return;
        };
        job.ledger.next = job.plan.after(at);
        let deadline = job.at_most_once().then(|| at.after(job.schedule.epsilon()));
        let run = self.begin(number, at, false, cx);
        self.recurrings.pending.extend(deadline.zip(run));
        self.record(number, cx);
    }

    /// Makes a run; returns its number.
    fn begin(&mut self, number: u64, at: Timestamp, triggered: bool, cx: &mut Context<'_>) -> Option<u64> {
        let recurring = self.recurrings.jobs.get_mut(&number)?;
        self.submissions += 1;
        let (spec, order) = (recurring.spec.clone(), recurring.order.clone());
        let run = Job::new(self.submissions, spec, order, cx.now()).into_run(Run {
            recurring: number,
            at,
            triggered,
            started: None,
            dropped: None,
            ended_for: None,
        });
        recurring.runs.insert(run.number);
        recurring.open.insert(run.number);
        put(cx, records::submissions(self.submissions));
        put(cx, records::job(&run));
        let run_number = run.number;
        self.names.insert(run.name.clone(), run_number);
        self.jobs.insert(run_number, run);
        self.watch_deadline(run_number);
        self.conclude(run_number, cx);
        Some(run_number)
    }

    /// Takes back the runs of which nothing started in time.
    fn take_back_overdue(
        &mut self,
        wall: Timestamp,
        jump: Option<(Timestamp, Timestamp)>,
        cx: &mut Context<'_>,
    ) {
        while let Some((deadline, run)) = self.recurrings.pending.first().copied()
            && deadline < wall
        {
            self.recurrings.pending.pop_first();
            let Some(of) = self.jobs.get(&run).and_then(|job| job.run.as_ref()) else {
                continue;
            };
            let at = of.at;
            let clock = &self.recurrings.clock;
            let reason = clock
                .absence_of(of, deadline, wall, jump)
                .unwrap_or_else(|| Reason {
                    cause: MissedCause::NoRoom,
                    from: at,
                    to: deadline,
                    why: self.why_waiting(run, cx.now()),
                });
            self.take_back(run, reason, cx);
        }
    }

    /// A run that was never launched becomes a window that was missed.
    fn take_back(&mut self, number: u64, reason: Reason, cx: &mut Context<'_>) {
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        let Some(run) = job.run.clone() else {
            return;
        };
        // Empties the queue of it.
        job.cancelled = true;
        self.settle(number, Job::settle, cx.now());
        self.drop_job(number, cx);
        if let Some(job) = self.recurrings.jobs.get_mut(&run.recurring) {
            job.miss(Missed {
                first: run.at,
                last: run.at,
                n: 1,
                reason,
            });
        }
        self.record(run.recurring, cx);
        self.arm(run.recurring);
    }

    /// Cancels a run: one of a window that was never launched is a window that was missed.
    fn end_early(&mut self, number: u64, cause: MissedCause, why: &str, cx: &mut Context<'_>) {
        let wall = self.wall(cx);
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        let may_have_run = job.may_have_run();
        let Some(run) = job.run.as_mut().filter(|run| !run.triggered) else {
            return self.cancel_job(number, cx);
        };
        if may_have_run {
            if run.ended_for.is_none() {
                run.ended_for = Some(cause);
                put(cx, records::job(job));
            }
            return self.cancel_job(number, cx);
        }
        let reason = Reason {
            cause,
            from: wall,
            to: wall,
            why: why.to_owned(),
        };
        self.take_back(number, reason, cx);
    }

    fn replace_open(&mut self, number: u64, at: Timestamp, wall: Timestamp, cx: &mut Context<'_>) {
        debug_assert!(at <= wall, "a window is due");
        let open = self.recurrings.jobs.get(&number).map(|job| job.open.clone());
        let why = format!("the window of {} took its place before it started.", rfc3339(at));
        for run in open.into_iter().flatten() {
            self.end_early(run, MissedCause::Replaced, &why, cx);
        }
    }

    /// The first task of a run is launched, or one that may have run before is launched again.
    pub(super) fn run_launched(&mut self, place: Place, cx: &mut Context<'_>) {
        let wall = self.wall(cx);
        let Some(job) = self.jobs.get_mut(&place.job) else {
            return;
        };
        let Some(instance) = job.tasks[place.task].launched(place.index) else {
            return;
        };
        let lost = instance
            .never_launched
            .saturating_add(instance.failures)
            .saturating_add(instance.forgiven);
        let is_extra = instance.attempts.saturating_sub(1) > lost;
        let Some(run) = &mut job.run else {
            return;
        };
        let (number, at) = (run.recurring, run.at);
        if run.started.is_none() {
            run.started = Some(wall);
            put(cx, records::job(job));
        }
        let Some(recurring) = self.recurrings.jobs.get_mut(&number) else {
            return;
        };
        let deadline = at.after(recurring.schedule.epsilon());
        self.recurrings.pending.remove(&(deadline, place.job));
        if is_extra {
            recurring.ledger.counts.extra = recurring.ledger.counts.extra.saturating_add(1);
            self.record(number, cx);
        }
    }

    /// A launch of a run certainly never came to pass: it may still miss its window.
    pub(super) fn run_not_launched(&mut self, number: u64, cx: &mut Context<'_>) {
        let wall = self.wall(cx);
        let Some(job) = self.jobs.get_mut(&number).filter(|job| !job.may_have_run()) else {
            return;
        };
        let Some(run) = &mut job.run else {
            return;
        };
        (run.started, run.dropped) = (None, Some(wall));
        let (triggered, at, of) = (run.triggered, run.at, run.recurring);
        put(cx, records::job(job));
        let recurring = self.recurrings.jobs.get(&of);
        if let Some(recurring) = recurring.filter(|job| job.at_most_once() && !triggered) {
            let deadline = at.after(recurring.schedule.epsilon());
            self.recurrings.pending.insert((deadline, number));
        }
    }

    /// A run has ended: it counts, and what is older than the history goes.
    pub(super) fn run_ended(&mut self, number: u64, cx: &mut Context<'_>) {
        let Some((run, may_have_run)) = self
            .jobs
            .get(&number)
            .and_then(|job| Some((job.run.clone()?, job.may_have_run())))
        else {
            return;
        };
        let wall = self.wall(cx);
        let Some(recurring) = self.recurrings.jobs.get_mut(&run.recurring) else {
            return;
        };
        let deadline = run.at.after(recurring.schedule.epsilon());
        self.recurrings.pending.remove(&(deadline, number));
        recurring.open.remove(&number);
        if !run.triggered && !may_have_run {
            let reason = never_ran(&run, wall);
            return self.take_back(number, reason, cx);
        }
        if !run.triggered {
            let counts = &mut recurring.ledger.counts;
            counts.ran = counts.ran.saturating_add(1);
            if run.started.is_some_and(|started| started > deadline) {
                counts.late = counts.late.saturating_add(1);
            }
        }
        let n_kept = recurring.schedule.history();
        let ended: Vec<_> = recurring.runs.difference(&recurring.open).copied().collect();
        for old in &ended[..ended.len().saturating_sub(n_kept)] {
            self.drop_job(*old, cx);
        }
        self.record(run.recurring, cx);
        self.arm(run.recurring);
    }

    /// A run that had ended goes on: it counts when it ends again.
    pub(super) fn run_reopened(&mut self, number: u64, cx: &mut Context<'_>) {
        let Some(run) = self.jobs.get(&number).and_then(|job| job.run.clone()) else {
            return;
        };
        let Some(recurring) = self.recurrings.jobs.get_mut(&run.recurring) else {
            return;
        };
        recurring.open.insert(number);
        if !run.triggered {
            let deadline = run.at.after(recurring.schedule.epsilon());
            let counts = &mut recurring.ledger.counts;
            counts.ran = counts.ran.saturating_sub(1);
            if run.started.is_some_and(|started| started > deadline) {
                counts.late = counts.late.saturating_sub(1);
            }
        }
        self.record(run.recurring, cx);
        self.arm(run.recurring);
    }

    /// A job is forgotten.
    pub(super) fn run_dropped(&mut self, job: &Job) {
        let Some(run) = &job.run else {
            return;
        };
        if let Some(recurring) = self.recurrings.jobs.get_mut(&run.recurring) {
            recurring.runs.remove(&job.number);
            recurring.open.remove(&job.number);
            let deadline = run.at.after(recurring.schedule.epsilon());
            self.recurrings.pending.remove(&(deadline, job.number));
        }
    }

    /// Writes the ledger of a job.
    fn record(&mut self, number: u64, cx: &mut Context<'_>) {
        let wall = self.wall(cx);
        if let Some(job) = self.recurrings.jobs.get_mut(&number) {
            job.ledger.recorded = wall;
            put(cx, records::ledger(job));
        }
    }

    /// Sees to it that the next window of a job is noticed.
    fn arm(&mut self, number: u64) {
        self.recurrings.due.retain(|(_, other)| *other != number);
        let Some(job) = self.recurrings.jobs.get(&number) else {
            return;
        };
        let is_full = !job.at_most_once() && job.open.len() >= MAX_OPEN_RUNS;
        if let Some(at) = job.due().filter(|_| !is_full) {
            self.recurrings.due.insert((at, number));
        }
    }

    /// What follows from the records of recurring jobs and their runs.
    pub(super) fn recover_windows(&mut self) {
        for job in self.jobs.values() {
            let Some(run) = &job.run else {
                continue;
            };
            let Some(recurring) = self.recurrings.jobs.get_mut(&run.recurring) else {
                continue;
            };
            recurring.runs.insert(job.number);
            if job.ended.is_some() {
                continue;
            }
            recurring.open.insert(job.number);
            if recurring.at_most_once() && !run.triggered && !job.may_have_run() {
                let deadline = run.at.after(recurring.schedule.epsilon());
                self.recurrings.pending.insert((deadline, job.number));
            }
        }
        let recorded = self.recurrings.jobs.values().map(|job| job.ledger.recorded);
        self.recurrings.clock.recorded = recorded.max().unwrap_or_default();
        for number in self.recurrings.jobs.keys().copied().collect::<Vec<_>>() {
            self.arm(number);
        }
    }

    /// What the first task that waits of a run waits for.
    fn why_waiting(&self, number: u64, now: Timestamp) -> String {
        let Some(job) = self.jobs.get(&number) else {
            return String::new();
        };
        let mut tasks = 0..job.tasks.len();
        let waiting = tasks.find(|task| job.tasks[*task].count(Phase::Waiting) > 0);
        let Some(task) = waiting else {
            return String::new();
        };
        let dropped = job.tasks[task].all_launched().find_map(|(_, instance)| {
            let status = instance
                .status
                .as_deref()
                .filter(|_| instance.never_launched > 0)?;
            let reason = status
                .reason
                .map_or("no reason is given", |reason| reason.as_str());
            Some(format!(
                " The last launch was dropped: {} {reason}.",
                status.message()
            ))
        });
        let why = self.explain_waiting(job, task, now);
        format!(
            "`{}` had to wait: {why}{}",
            job.task_spec(task).name,
            dropped.unwrap_or_default()
        )
    }
}

/// Why a run has ended of which every launch was dropped: it would have waited for the next offer, had it not been ended.
fn never_ran(run: &Run, wall: Timestamp) -> Reason {
    let cause = run.ended_for.unwrap_or(MissedCause::Cancelled);
    let why = if cause == MissedCause::Replaced {
        "a later window took its place"
    } else {
        "it was cancelled"
    };
    Reason {
        cause,
        from: run.at,
        to: wall,
        why: format!("{why}, and every launch of it had been dropped."),
    }
}

fn too_many(at: Timestamp, wall: Timestamp) -> Reason {
    Reason {
        cause: MissedCause::TooManyRuns,
        from: at,
        to: wall,
        why: format!("too many runs had not ended; one job may have {MAX_OPEN_RUNS}."),
    }
}

fn still_running(earlier: Option<&str>, at: Timestamp, wall: Timestamp) -> Reason {
    Reason {
        cause: MissedCause::StillRunning,
        from: at,
        to: wall,
        why: format!("`{}` had not ended.", earlier.unwrap_or_default()),
    }
}
