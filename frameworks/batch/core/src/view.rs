//! Jobs as the framework's API shows them.

mod recurring;

use std::sync::Arc;

use proffer_types::{TaskId, TaskStatus, Timestamp};

use crate::job::Job;
use crate::{JobSpec, JobState, Phase};

pub use self::recurring::{Fate, RecurringState, RecurringView, WindowView};

/// A job with all of its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// That of the spec; of a run, that and its window.
    pub name: String,
    pub spec: Arc<JobSpec>,
    pub state: JobState,
    pub submitted: Timestamp,
    pub ended: Option<Timestamp>,
    /// In the order of the spec, then by index.
    pub instances: Vec<InstanceView>,
}

/// One instance of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView {
    /// Index into the tasks of the spec.
    pub task: usize,
    pub index: usize,
    /// Of the latest attempt; absent before the first.
    pub task_id: Option<TaskId>,
    /// Attempts started so far.
    pub attempts: u32,
    pub phase: Phase,
    /// The latest status of the latest attempt.
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
    pub n_instances: usize,
    pub n_running: usize,
    pub n_finished: usize,
    pub n_failed: usize,
}

impl JobView {
    pub(crate) fn of(job: &Job) -> Self {
        let instances = job.tasks.iter().enumerate().flat_map(|(task, state)| {
            state
                .instances
                .iter()
                .enumerate()
                .map(move |(index, instance)| InstanceView {
                    task,
                    index,
                    task_id: job.task_id(task, index),
                    attempts: instance.attempts,
                    phase: instance.phase,
                    status: instance.status.clone(),
                })
        });
        Self {
            name: job.name.clone(),
            spec: job.spec.clone(),
            state: job.state(),
            submitted: job.submitted,
            ended: job.ended,
            instances: instances.collect(),
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
            n_running: job.count(Phase::Running),
            n_finished: job.count(Phase::Finished),
            n_failed: job.count(Phase::Failed),
        }
    }
}
