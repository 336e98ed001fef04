//! What a user submits.

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
    /// Names of the tasks whose instances must all have finished first.
    pub after: Vec<String>,
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
