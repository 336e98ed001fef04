//! Jobs as the framework's API shows them.

mod recurring;
mod template;

use std::sync::Arc;

use proffer_types::{TaskId, TaskStatus, Timestamp};
use roaring::RoaringBitmap;

use crate::job::Job;
use crate::task::Task;
use crate::{AfterJob, JobSpec, JobState, Phase, Sums};

pub use self::recurring::{Fate, RecurringState, RecurringView, WindowView};
pub use self::template::{RunView, TemplateView};

/// Which instances of a job are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// At most so many.
    pub limit: usize,
    /// Those in one of these phases, without those that are suspended.
    pub phases: Vec<Phase>,
    /// Those that run and are suspended.
    pub suspended: bool,
    /// Those behind this index of a task.
    pub after: Option<(String, u32)>,
}

impl Pick {
    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Self {
            limit: usize::MAX,
            phases: Phase::ALL.to_vec(),
            suspended: true,
            after: None,
        }
    }

    /// None of them.
    pub const NONE: Self = Self {
        limit: 0,
        phases: Vec::new(),
        suspended: false,
        after: None,
    };

    /// What is picked of a job, in the order of the spec. Nothing is behind a task that there is not.
    fn places(&self, job: &Job) -> impl Iterator<Item = (usize, u32)> {
        let after = self.after.as_ref();
        let after =
            after.map(|(name, index)| (job.spec.tasks.iter().position(|task| task.name == *name), *index));
        let begin = after.map_or(0, |(task, _)| task.unwrap_or(job.tasks.len()));
        let tasks = job.tasks.iter().enumerate().skip(begin);
        tasks
            .flat_map(move |(place, task)| {
                let mut indexes = RoaringBitmap::new();
                self.phases
                    .iter()
                    .for_each(|phase| indexes |= task.in_phase(*phase));
                match self.suspended {
                    true => indexes |= task.suspended(),
                    false => indexes -= task.suspended(),
                }
                if let Some((_, index)) = after.filter(|_| place == begin) {
                    indexes.remove_range(..=index);
                }
                indexes.into_iter().map(move |index| (place, index))
            })
            .take(self.limit)
    }
}

/// A job with some of its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// That of the spec; of a run, that and its window, or what it was dispatched by.
    pub name: String,
    pub spec: Arc<JobSpec>,
    pub state: JobState,
    /// Nothing of it is started.
    pub held: bool,
    /// The jobs it still waits for.
    pub waits: Vec<AfterJob>,
    /// Why it was cancelled, where nobody asked for that.
    pub reason: Option<String>,
    pub submitted: Timestamp,
    pub ended: Option<Timestamp>,
    /// Of each task of the spec, how many instances are in each phase, in the order of [`Phase::ALL`].
    pub counts: Vec<[u32; Phase::ALL.len()]>,
    /// And how many of those that run are suspended.
    pub n_suspended: Vec<u32>,
    /// What its attempts used that have ended.
    pub usage: Sums,
    /// Those that were picked, in the order of the spec, then by index.
    pub instances: Vec<InstanceView>,
}

/// One instance of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView {
    /// Index into the tasks of the spec.
    pub task: usize,
    pub index: u32,
    /// Of the latest attempt; absent before the first.
    pub task_id: Option<TaskId>,
    /// Attempts started so far.
    pub attempts: u32,
    pub phase: Phase,
    /// It runs, and gave up its cpus for a while.
    pub suspended: bool,
    /// The latest status of the latest attempt, without the mark it was acknowledged by.
    pub status: Option<Box<TaskStatus>>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSummary {
    /// As that of a [`JobView`].
    pub name: String,
    pub spec: Arc<JobSpec>,
    pub state: JobState,
    pub submitted: Timestamp,
    pub ended: Option<Timestamp>,
    pub n_instances: u64,
    /// Without those that are suspended.
    pub n_running: u64,
    pub n_suspended: u64,
    pub n_finished: u64,
    pub n_failed: u64,
}

impl JobView {
    pub(crate) fn of(job: &Job, waits: Vec<AfterJob>, pick: &Pick) -> Self {
        Self {
            waits,
            reason: job.reason.clone(),
            name: job.name.clone(),
            spec: job.spec.clone(),
            state: job.state(),
            held: job.held,
            submitted: job.submitted,
            ended: job.ended,
            counts: job
                .tasks
                .iter()
                .map(|task| Phase::ALL.map(|phase| task.count(phase)))
                .collect(),
            n_suspended: job.tasks.iter().map(Task::n_suspended).collect(),
            usage: job.tasks.iter().filter_map(|task| task.sums.as_deref()).collect(),
            instances: pick
                .places(job)
                .map(|(task, index)| InstanceView::of(job, task, index))
                .collect(),
        }
    }
}

impl InstanceView {
    fn of(job: &Job, task: usize, index: u32) -> Self {
        let launched = job.tasks[task].launched(index);
        let task_id = job.task_id(task, index);
        let report = launched.and_then(|instance| instance.status.as_deref());
        let status = report.zip(task_id.as_ref());
        Self {
            task,
            index,
            status: status.map(|(report, id)| Box::new(report.status(id.clone()))),
            task_id,
            attempts: launched.map_or(0, |instance| instance.attempts),
            phase: job.tasks[task].phase(index),
            suspended: job.tasks[task].suspended().contains(index),
        }
    }
}

impl JobSummary {
    pub(crate) fn of(job: &Job) -> Self {
        Self {
            name: job.name.clone(),
            spec: job.spec.clone(),
            state: job.state(),
            submitted: job.submitted,
            ended: job.ended,
            n_instances: job.n_instances(),
            n_running: job.count(Phase::Running) - job.n_suspended(),
            n_suspended: job.n_suspended(),
            n_finished: job.count(Phase::Finished),
            n_failed: job.count(Phase::Failed),
        }
    }
}
