//! What a user submits.

pub(crate) mod labels;
pub(crate) mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::{ContainerSpec, KillPolicy, Limits, PlacementRules, Resources, Role, TaskExit};

use crate::Schedule;

pub use self::template::{Dispatch, Parameter, Payload, Template};

/// The longest wait before a retry, where the job does not say: by then a person may have mended what is broken.
pub const DEFAULT_MAX_BACKOFF: Duration = Duration::from_secs(60 * 60);

/// A job: tasks, and the order between them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
    /// Nothing of it is started before it is released.
    pub hold: bool,
    /// What has not ended so long after the submission, or after the window of a run, has failed.
    pub deadline: Option<Duration>,
    /// For people and small tools; each of its tasks has them too.
    pub labels: BTreeMap<String, String>,
    /// Whose it is; empty where nobody says.
    pub user: String,
    /// What must have become of other jobs first: all of it.
    pub after_jobs: Vec<AfterJob>,
    /// Makes it a template, that runs when it is dispatched.
    pub template: Option<Template>,
    /// Of a run of a template: what it was dispatched with.
    pub dispatch: Option<Dispatch>,
}

/// A job that another one comes after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterJob {
    /// The name, which means the job that has it when the other is submitted.
    pub job: String,
    pub on: On,
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
    /// At most so many instances run at once; absent means all. A gang starts whole, and has none.
    pub max_running: Option<u32>,
    /// How often one instance is started again after a failure; of a gang, how often the gang is.
    pub retries: u32,
    /// When, and after which failures.
    pub retry: RetryPolicy,
    /// An instance that runs longer fails.
    pub timeout: Option<Duration>,
    pub kill_policy: KillPolicy,
}

/// When, and after which failures, an instance is started again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetryPolicy {
    /// The wait after the first failure, which doubles with each further one. Zero means none.
    pub backoff: Duration,
    /// The longest wait; zero means an hour.
    pub max_backoff: Duration,
    pub exits: ExitCodes,
}

/// The exit codes that decide whether there is a retry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ExitCodes {
    /// Every failure is retried.
    #[default]
    All,
    /// Only an exit with one of these is; what was killed, for its time or its memory, has none.
    Only(BTreeSet<u8>),
    /// Every failure is, but an exit with one of these.
    AllBut(BTreeSet<u8>),
}

impl RetryPolicy {
    /// How long to wait after so many failures, at least one.
    pub(crate) fn wait(&self, failures: u32) -> Duration {
        let most = match self.max_backoff {
            Duration::ZERO => DEFAULT_MAX_BACKOFF,
            most => most,
        };
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(doubled).min(most)
    }

    /// Whether an attempt that ended like this is to be retried.
    pub(crate) fn covers(&self, exit: Option<TaskExit>) -> bool {
        let code = match exit {
            Some(TaskExit::Code(code)) => u8::try_from(code).ok(),
            Some(TaskExit::Signal(_)) | None => None,
        };
        match &self.exits {
            ExitCodes::All => true,
            ExitCodes::Only(codes) => code.is_some_and(|code| codes.contains(&code)),
            ExitCodes::AllBut(codes) => code.is_none_or(|code| !codes.contains(&code)),
        }
    }
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

impl On {
    /// Every one, in the order of the records' numbers.
    pub(crate) const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Any];
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
