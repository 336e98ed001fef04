//! One job, as far as it has come.
//!
//! `Blocked -> Waiting -> Running -> Finished | Failed | Cancelled`, with `Running -> Waiting` for a retry or a
//! lost task, and `Blocked | Waiting -> Cancelled` when the job is cancelled, or a task before it or its gang failed.
//! Blocked, and cancelled before the first attempt, follow from the others and are not recorded.

use std::sync::Arc;

use proffer_types::{TaskId, TaskStatus, Timestamp};

use crate::recurring::MissedCause;
use crate::schedule::{MissedPolicy, compact};
use crate::{JobSpec, TaskSpec};

/// Where an instance of a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Waiting for the tasks it comes after.
    Blocked,
    /// Waiting for an offer.
    Waiting,
    Running,
    Finished,
    Failed,
    Cancelled,
}

impl Phase {
    /// Every phase, in the order of the records' numbers.
    pub const ALL: [Self; 6] = [
        Self::Blocked,
        Self::Waiting,
        Self::Running,
        Self::Finished,
        Self::Failed,
        Self::Cancelled,
    ];
}

/// Where a job is, over all of its instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobState {
    /// Nothing was launched yet.
    Pending,
    Running,
    /// Every instance finished.
    Finished,
    Failed,
    Cancelled,
}

/// Names one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The submission's number.
    pub(crate) job: u64,
    pub(crate) task: usize,
    pub(crate) index: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Counts submissions, and tells jobs of the same name apart.
    pub(crate) number: u64,
    /// That of the spec; of a run, that and its window.
    pub(crate) name: String,
    pub(crate) spec: Arc<JobSpec>,
    /// Absent where the job was submitted by itself.
    pub(crate) run: Option<Run>,
    pub(crate) submitted: Timestamp,
    pub(crate) cancelled: bool,
    pub(crate) ended: Option<Timestamp>,
    /// In the order of the spec.
    pub(crate) tasks: Vec<Task>,
    /// Indexes of the tasks, each after those it comes after.
    pub(crate) order: Vec<usize>,
}

/// What a job is the run of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// The number of the recurring job.
    pub(crate) recurring: u64,
    /// The window.
    pub(crate) at: Timestamp,
    /// Somebody asked for it; it is of no window.
    pub(crate) triggered: bool,
    /// When the first task of it was launched.
    pub(crate) started: Option<Timestamp>,
    /// When the last launch was told to have come to nothing, and the run to wait again.
    pub(crate) dropped: Option<Timestamp>,
    /// Why it was to end before its time: what it missed its window for, should no launch of it have come to pass.
    pub(crate) ended_for: Option<MissedCause>,
}

impl Run {
    /// `<job>@<window>`: no name that is submitted has an `@`, so no job is named twice.
    pub(crate) fn name(&self, job: &str) -> String {
        let now = if self.triggered { "now-" } else { "" };
        format!("{job}@{now}{}", compact(self.at))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) after: Vec<usize>,
    pub(crate) instances: Vec<Instance>,
    /// Instances by phase; only `set_phase` writes it.
    counts: [usize; Phase::ALL.len()],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) phase: Phase,
    /// Launches so far.
    pub(crate) attempts: u32,
    /// Launches that count against the retries.
    pub(crate) failures: u32,
    /// Launches that certainly never came to pass.
    pub(crate) never_launched: u32,
    /// Of the latest attempt.
    pub(crate) status: Option<Box<TaskStatus>>,
}

impl Job {
    /// A job all of whose instances are blocked. `order` is what its validation returned.
    pub(crate) fn new(number: u64, spec: Arc<JobSpec>, order: Vec<usize>, submitted: Timestamp) -> Self {
        let index_of = |name: &String| spec.tasks.iter().position(|task| task.name == *name);
        let tasks = spec.tasks.iter().map(|task| {
            let count = task.count as usize;
            let blocked = Instance {
                phase: Phase::Blocked,
                attempts: 0,
                failures: 0,
                never_launched: 0,
                status: None,
            };
            Task {
                after: task.after.iter().filter_map(index_of).collect(),
                instances: vec![blocked; count],
                counts: [count, 0, 0, 0, 0, 0],
            }
        });
        Self {
            tasks: tasks.collect(),
            number,
            name: spec.name.clone(),
            spec,
            run: None,
            submitted,
            cancelled: false,
            ended: None,
            order,
        }
    }

    /// Makes it a run.
    pub(crate) fn into_run(self, run: Run) -> Self {
        Self {
            name: run.name(&self.spec.name),
            run: Some(run),
            ..self
        }
    }

    /// Whether no task of it may be launched a second time unless it certainly never ran.
    pub(crate) fn at_most_once(&self) -> bool {
        let schedule = self.spec.schedule.as_ref();
        schedule.is_some_and(|schedule| schedule.missed == MissedPolicy::AtMostOnce)
    }

    /// Whether some task of it may have run.
    pub(crate) fn may_have_run(&self) -> bool {
        let mut instances = self.tasks.iter().flat_map(|task| &task.instances);
        instances.any(|instance| instance.attempts > instance.never_launched)
    }

    /// One of the job's instances.
    pub(crate) fn place(&self, task: usize, index: usize) -> Place {
        let job = self.number;
        Place { job, task, index }
    }

    pub(crate) fn state(&self) -> JobState {
        match self.ended {
            Some(_) if self.cancelled => JobState::Cancelled,
            Some(_) if self.count(Phase::Failed) > 0 => JobState::Failed,
            Some(_) => JobState::Finished,
            None if self.has_started() => JobState::Running,
            None => JobState::Pending,
        }
    }

    fn has_started(&self) -> bool {
        let moved = [Phase::Running, Phase::Finished, Phase::Failed];
        moved.into_iter().any(|phase| self.count(phase) > 0)
            || self
                .tasks
                .iter()
                .flat_map(|task| &task.instances)
                .any(|instance| instance.attempts > 0)
    }

    pub(crate) fn count(&self, phase: Phase) -> usize {
        self.tasks.iter().map(|task| task.count(phase)).sum()
    }

    pub(crate) fn n_instances(&self) -> usize {
        self.tasks.iter().map(|task| task.instances.len()).sum()
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_over(&self) -> bool {
        [Phase::Blocked, Phase::Waiting, Phase::Running]
            .into_iter()
            .all(|phase| self.count(phase) == 0)
    }

    /// The phase that instances of a task in `phase` are due to be in, as far as other tasks decide it.
    pub(crate) fn due(&self, task: usize, phase: Phase) -> Phase {
        let mut after = self.tasks[task].after.iter().map(|index| &self.tasks[*index]);
        let doomed = |task: &Task| task.count(Phase::Failed) + task.count(Phase::Cancelled) > 0;
        match phase {
            Phase::Blocked | Phase::Waiting if self.cancelled => Phase::Cancelled,
            Phase::Waiting if self.gang_has_failed(task) => Phase::Cancelled,
            Phase::Blocked if after.clone().any(doomed) => Phase::Cancelled,
            Phase::Blocked if after.all(|task| task.count(Phase::Finished) == task.instances.len()) => {
                Phase::Waiting
            }
            Phase::Blocked
            | Phase::Waiting
            | Phase::Running
            | Phase::Finished
            | Phase::Failed
            | Phase::Cancelled => phase,
        }
    }

    /// The id of the latest attempt of an instance; none before the first. Unique over all submissions,
    /// because names of tasks hold no dot.
    pub(crate) fn task_id(&self, task: usize, index: usize) -> Option<TaskId> {
        let attempt = match self.tasks[task].instances[index].attempts {
            0 => return None,
            1 => String::new(),
            attempt => format!("-{attempt}"),
        };
        let (job, number, name) = (&self.name, self.number, &self.spec.tasks[task].name);
        // Cannot fail: the names are checked and short.
        TaskId::new(format!("{job}-{number}.{name}.{index}{attempt}")).ok()
    }

    pub(crate) fn task_spec(&self, task: usize) -> &TaskSpec {
        &self.spec.tasks[task]
    }
}

impl Task {
    pub(crate) fn count(&self, phase: Phase) -> usize {
        self.counts[phase as usize]
    }

    /// Moves an instance; returns the phase it was in.
    pub(crate) fn set_phase(&mut self, index: usize, phase: Phase) -> Phase {
        let old = std::mem::replace(&mut self.instances[index].phase, phase);
        self.counts[old as usize] -= 1;
        self.counts[phase as usize] += 1;
        old
    }
}
