//! Running again what has ended, or runs: by hand, so it costs no retry, and the count of failures begins anew.
//!
//! What was never launched has no record: its phase follows from the others, and so it is found again from the beginning.

use std::collections::BTreeSet;

use proffer_session::Context;
use roaring::RoaringBitmap;
use thiserror::Error;

use super::{Batch, NoSuchJob, put};
use crate::job::{Job, Phase, Place};
use crate::validate::quoted;
use crate::{SubmitError, records};

/// Instances of one call, which a gang may double: their records are some 500 bytes of a commit each, which holds 16 MiB.
const MAX_PER_CALL: usize = 10_000;

/// Which instances are to run again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requeue {
    /// Only those of this task.
    pub task: Option<String>,
    /// Only this index.
    pub index: Option<u32>,
    /// What has finished as well, and what runs: that is killed first. Otherwise only what failed or was cancelled.
    pub all: bool,
    /// Only those behind this index of a task: what an earlier call left.
    pub after: Option<(String, u32)>,
}

/// What a call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requeued {
    /// Instances that run again, or wait again for what they come after.
    pub n: u64,
    /// The last one that was looked at, where there may be more behind it.
    pub last: Option<(String, u32)>,
}

/// Why nothing was requeued. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequeueError {
    #[error(transparent)]
    NoSuchJob(#[from] NoSuchJob),
    #[error("job `{job}` has no task `{task}`")]
    NoSuchTask { job: String, task: String },
    #[error("job `{0}` recurs; trigger it, or requeue one of its runs")]
    Recurring(String),
    #[error("job `{0}` runs when it is dispatched; dispatch it, or requeue one of its runs")]
    Template(String),
    #[error("`{0}` is a run of a job that runs at most once in each window")]
    AtMostOnce(String),
    #[error("the deadline of job `{0}` has passed")]
    Expired(String),
    #[error("job `{0}` has nothing such to run again")]
    Nothing(String),
    #[error(transparent)]
    NoRoom(SubmitError),
}

impl Requeue {
    /// The launched instances that are picked, in the order of the spec.
    fn places(&self, job: &Job) -> Result<Vec<Place>, RequeueError> {
        let find = |name: &String| {
            let found = job.spec.tasks.iter().position(|task| task.name == *name);
            found.ok_or_else(|| RequeueError::NoSuchTask {
                job: job.name.clone(),
                task: quoted(name),
            })
        };
        let only = self.task.as_ref().map(find).transpose()?;
        let behind = |(name, index): &(String, u32)| find(name).map(|task| (task, *index));
        let after = self.after.as_ref().map(behind).transpose()?;
        let begin = after.map_or(0, |(task, _)| task);
        let tasks = (begin..job.tasks.len()).filter(|task| only.is_none_or(|only| only == *task));
        let places = tasks.flat_map(|task| {
            let mut indexes = self.indexes(job, task);
            if let Some((_, index)) = after.filter(|(after, _)| *after == task) {
                indexes.remove_range(..=index);
            }
            indexes.into_iter().map(move |index| job.place(task, index))
        });
        let is_launched = |place: &Place| job.tasks[place.task].launched(place.index).is_some();
        Ok(places.filter(is_launched).take(MAX_PER_CALL).collect())
    }

    fn indexes(&self, job: &Job, task: usize) -> RoaringBitmap {
        let phases: &[_] = match self.all {
            true => &[Phase::Finished, Phase::Failed, Phase::Cancelled, Phase::Running],
            false => &[Phase::Failed, Phase::Cancelled],
        };
        let mut indexes = RoaringBitmap::new();
        for phase in phases {
            indexes |= job.tasks[task].in_phase(*phase);
        }
        if let Some(index) = self.index {
            indexes &= RoaringBitmap::from_iter([index]);
        }
        indexes
    }
}

impl Batch {
    /// Has instances of a job run again, of a gang all that did not finish, and of a cancelled job all that is being killed. What waits for them waits again too, and so does
    /// what was cancelled because of them.
    pub fn requeue(
        &mut self,
        name: &str,
        which: &Requeue,
        cx: &mut Context<'_>,
    ) -> Result<Requeued, RequeueError> {
        if self.recurrings.names.contains_key(name) {
            return Err(RequeueError::Recurring(name.to_owned()));
        }
        if self.templates.number(name).is_some() {
            return Err(RequeueError::Template(name.to_owned()));
        }
        let job = self.named(name)?;
        let (number, owned) = (job.number, || name.to_owned());
        if job.at_most_once() {
            return Err(RequeueError::AtMostOnce(owned()));
        }
        if job.deadline().is_some_and(|deadline| deadline <= cx.now()) {
            return Err(RequeueError::Expired(owned()));
        }
        let places = which.places(job)?;
        let n_blocked = match job.cancelled {
            true => job.count(Phase::Cancelled) - n_launched_in(job, Phase::Cancelled),
            false => 0,
        };
        let killed = match job.cancelled {
            true => all_running(job),
            false => Vec::new(),
        };
        if places.is_empty() && killed.is_empty() && n_blocked == 0 {
            return match which.after {
                Some(_) => Ok(Requeued { n: 0, last: None }),
                None => Err(RequeueError::Nothing(owned())),
            };
        }
        if job.ended.is_some() {
            self.check_room(job.n_instances()).map_err(RequeueError::NoRoom)?;
            let role = job.spec.role.clone();
            self.enter(&role).map_err(RequeueError::NoRoom)?;
        }
        let last = places.last().filter(|_| places.len() == MAX_PER_CALL).copied();
        self.reopen(number, cx);
        let places = self.with_gangs(places.into_iter().chain(killed).collect(), cx);
        for place in &places {
            self.start_again(*place, cx);
        }
        self.conclude(number, cx);
        self.delay_all(number..=number, cx);
        self.queue_again(number);
        self.state_demand(cx);
        let name_of = |place: Place| {
            Some((
                self.jobs.get(&number)?.task_spec(place.task).name.clone(),
                place.index,
            ))
        };
        Ok(Requeued {
            n: places.len() as u64 + n_blocked,
            last: last.and_then(name_of),
        })
    }

    /// A job that has ended, or was cancelled, goes on; what was never launched waits for what it comes after again.
    fn reopen(&mut self, number: u64, cx: &mut Context<'_>) {
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        let ended = job.ended.take();
        (job.cancelled, job.expired) = (false, false);
        // Whoever has it run again does not wait any more.
        job.reason = None;
        job.waits.clear();
        job.unsettle();
        put(cx, records::end(job));
        if let Some(ended) = ended {
            self.ended.remove(&(ended, number));
            self.run_reopened(number, cx);
            self.dispatched_reopened(number, ended);
        }
        self.watch_deadline(number);
    }

    /// These instances, and of their gangs what did not finish, which start together. A gang has one count of failures.
    fn with_gangs(&mut self, places: Vec<Place>, cx: &mut Context<'_>) -> BTreeSet<Place> {
        let tasks: BTreeSet<_> = places.iter().map(|place| (place.job, place.task)).collect();
        let mut places: BTreeSet<_> = places.into_iter().collect();
        for (number, task) in tasks {
            let Some(job) = self.jobs.get_mut(&number) else {
                continue;
            };
            for task in job.gang(task).into_iter().flatten() {
                for phase in [Phase::Failed, Phase::Cancelled] {
                    let launched = job.tasks[task].launched_in(phase);
                    places.extend(launched.map(|(index, _)| job.place(task, index)));
                }
                for index in job.tasks[task].forgive_all() {
                    put(cx, records::instance(job, job.place(task, index)));
                }
            }
        }
        places
    }

    fn start_again(&mut self, place: Place, cx: &mut Context<'_>) {
        self.delays.remove(place);
        let Some(job) = self.jobs.get_mut(&place.job) else {
            return;
        };
        if let Some(instance) = job.tasks[place.task].launched_mut(place.index) {
            instance.failures = 0;
            instance.forgiven = instance.attempts;
        }
        if job.tasks[place.task].phase(place.index) == Phase::Running {
            // It is thawed for the kill.
            if self.queue.get_up(place).is_some() {
                self.changed.insert(job.spec.role.clone());
            }
            if let Some(id) = job.task_id(place.task, place.index) {
                cx.kill(&id, job.task_spec(place.task).kill_policy);
            }
        } else {
            job.waits_since(place, cx.now());
            self.move_to(place, Phase::Waiting);
        }
        if let Some(job) = self.jobs.get(&place.job) {
            put(cx, records::instance(job, place));
        }
    }
}

/// What runs of a job.
fn all_running(job: &Job) -> Vec<Place> {
    let tasks = job.tasks.iter().enumerate();
    let running = tasks.flat_map(|(task, state)| {
        let indexes = state.in_phase(Phase::Running).iter();
        indexes.map(move |index| job.place(task, index))
    });
    running.collect()
}

fn n_launched_in(job: &Job, phase: Phase) -> u64 {
    let launched = job
        .tasks
        .iter()
        .map(|task| task.launched_in(phase).count() as u64);
    launched.sum()
}
