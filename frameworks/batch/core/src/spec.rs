//! What a user submits.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_types::{ContainerSpec, KillPolicy, Limits, PlacementRules, Resources, Role};

use crate::Schedule;

/// A job: tasks, and the order between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSpec {
    /// Unique among the jobs that have not ended.
    pub name: String,
    pub role: Role,
    /// Higher goes first.
    pub priority: i32,
    pub tasks: Vec<TaskSpec>,
    /// All tasks are one gang; none of them comes after another.
    pub gang: bool,
    /// Absent means that the job runs once, now.
    pub schedule: Option<Schedule>,
}

/// A task of a job: an array of like instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSpec {
    /// Unique in the job.
    pub name: String,
    /// Size of the array.
    pub count: u32,
    /// What must have happened first: all of it.
    pub after: Vec<After>,
    /// What one instance needs: amounts.
    pub resources: Resources,
    /// What it may use beyond that, where it is there.
    pub limits: Limits,
    /// Packs, where it does not say.
    pub rules: PlacementRules,
    /// The instances start at one moment or not at all.
    pub gang: bool,
    pub container: ContainerSpec,
    /// How often one instance is started again after a failure; of a gang, how often the gang is.
    pub retries: u32,
    /// An instance that runs longer fails.
    pub timeout: Option<Duration>,
    pub kill_policy: KillPolicy,
}

/// What a task comes after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// The name of another task of the job.
    pub task: String,
    pub on: On,
    /// Each index waits for the same index of the other task, which has as many; otherwise for all of them.
    pub each: bool,
}

impl After {
    /// Whether it is all of a task that must have finished.
    pub(crate) fn is_plain(&self) -> bool {
        self.on == On::Success && !self.each
    }
}

/// The end of a task that another one waits for, as by `--dependency` of Slurm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum On {
    /// All of it finished (`afterok`). It is never met once an instance failed or was cancelled.
    #[default]
    Success,
    /// All of it ended, and an instance failed (`afternotok`).
    Failure,
    /// All of it ended, however (`afterany`).
    Any,
}

impl JobSpec {
    /// The instances of all tasks.
    pub(crate) fn n_instances(&self) -> u64 {
        self.tasks.iter().map(|task| u64::from(task.count)).sum()
    }

    /// The places of its tasks by their names.
    pub(crate) fn places(&self) -> BTreeMap<&str, usize> {
        let places = self.tasks.iter().enumerate();
        places.map(|(place, task)| (task.name.as_str(), place)).collect()
    }
}
