//! One job, as far as it has come.
//!
//! `Blocked -> Waiting -> Running -> Finished | Failed | Cancelled`, with `Running -> Waiting` for a lost task, `Running ->
//! Delayed -> Waiting` for a retry, and `Blocked | Waiting | Delayed -> Cancelled` when the job is cancelled, or a task before it or its gang failed.
//! Blocked, and cancelled before the first attempt, follow from the others and are not recorded.

use std::collections::BTreeSet;
use std::sync::Arc;

use proffer_types::{TaskId, Timestamp};
use roaring::RoaringBitmap;

use crate::recurring::MissedCause;
use crate::schedule::{MissedPolicy, compact};
use crate::task::{Instance, Task};
use crate::{JobSpec, On, TaskSpec, graph};

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
    /// Waiting for its time, after a failure.
    Delayed,
}

impl Phase {
    /// Every phase, in the order of the records' numbers.
    pub const ALL: [Self; 7] = [
        Self::Blocked,
        Self::Waiting,
        Self::Running,
        Self::Finished,
        Self::Failed,
        Self::Cancelled,
        Self::Delayed,
    ];

    /// Those of what has not ended.
    pub(crate) const OPEN: [Self; 4] = [Self::Blocked, Self::Waiting, Self::Running, Self::Delayed];
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
    pub(crate) index: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Counts submissions, and tells jobs of the same name apart.
    pub(crate) number: u64,
    /// That of the spec; of a run, that and its window, or what it was dispatched by.
    pub(crate) name: String,
    pub(crate) spec: Arc<JobSpec>,
    /// Absent where the job is no run of a recurring one.
    pub(crate) run: Option<Run>,
    /// The number of the template that it is a run of.
    pub(crate) template: Option<u64>,
    pub(crate) submitted: Timestamp,
    pub(crate) cancelled: bool,
    /// Its deadline has passed; then it is cancelled too.
    pub(crate) expired: bool,
    /// Nothing of it is started.
    pub(crate) held: bool,
    /// When it was last released, having been held.
    pub(crate) released: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    /// Ends of other jobs that have not come yet; nothing of it is started before.
    pub(crate) waits: BTreeSet<Wait>,
    /// Why it was cancelled, where nobody asked for that.
    pub(crate) reason: Option<String>,
    /// In the order of the spec.
    pub(crate) tasks: Vec<Task>,
    /// Indexes of the tasks, each after those it comes after.
    pub(crate) order: Arc<[usize]>,
    /// Instances by phase, over all tasks.
    counts: [u64; Phase::ALL.len()],
    has_launched: bool,
}

/// An end that a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wait {
    /// The number of the other job.
    pub(crate) job: u64,
    pub(crate) on: On,
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

/// The name of a run of a template; as those of windows, nobody submits one like it.
pub(crate) fn run_name(template: &str, token: &str) -> String {
    format!("{template}@{token}")
}

impl Job {
    /// A job all of whose instances are blocked. `order` is what its validation returned.
    pub(crate) fn new(number: u64, spec: Arc<JobSpec>, order: Arc<[usize]>, submitted: Timestamp) -> Self {
        let tasks = graph::tasks(&spec);
        let mut counts = [0; Phase::ALL.len()];
        counts[Phase::Blocked as usize] = tasks.iter().map(|task| u64::from(task.len())).sum();
        Self {
            tasks,
            number,
            name: match &spec.dispatch {
                Some(dispatch) => run_name(&spec.name, &dispatch.token),
                None => spec.name.clone(),
            },
            held: spec.hold,
            spec,
            run: None,
            template: None,
            submitted,
            cancelled: false,
            expired: false,
            released: None,
            ended: None,
            waits: BTreeSet::new(),
            reason: None,
            order,
            counts,
            has_launched: false,
        }
    }

    /// When it has failed, unless it has ended before.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.spec.deadline.map(|deadline| self.submitted.after(deadline))
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

    /// Whether nothing of it is to be started now.
    pub(crate) fn is_kept_back(&self) -> bool {
        self.held || !self.waits.is_empty()
    }

    /// Whether some task of it may have run.
    pub(crate) fn may_have_run(&self) -> bool {
        let mut instances = self.tasks.iter().flat_map(Task::all_launched);
        instances.any(|(_, instance)| instance.attempts > instance.never_launched)
    }

    /// One of the job's instances.
    pub(crate) fn place(&self, task: usize, index: u32) -> Place {
        let job = self.number;
        Place { job, task, index }
    }

    pub(crate) fn state(&self) -> JobState {
        match self.ended {
            Some(_) if self.expired => JobState::Failed,
            Some(_) if self.cancelled => JobState::Cancelled,
            Some(_) if self.count(Phase::Failed) > 0 => JobState::Failed,
            Some(_) => JobState::Finished,
            None if self.has_launched => JobState::Running,
            None => JobState::Pending,
        }
    }

    pub(crate) fn count(&self, phase: Phase) -> u64 {
        self.counts[phase as usize]
    }

    /// Of those that run, how many are suspended.
    pub(crate) fn n_suspended(&self) -> u64 {
        self.tasks.iter().map(|task| u64::from(task.n_suspended())).sum()
    }

    pub(crate) fn n_instances(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Those that were ever launched: what the job takes in memory.
    pub(crate) fn n_launched(&self) -> u64 {
        self.tasks.iter().map(Task::n_launched).sum()
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_over(&self) -> bool {
        Phase::OPEN.into_iter().all(|phase| self.count(phase) == 0)
    }

    /// Moves an instance; returns the phase it was in.
    pub(crate) fn set_phase(&mut self, place: Place, phase: Phase) -> Phase {
        let before = self.tasks[place.task].set_phase(place.index, phase);
        self.counts[before as usize] -= 1;
        self.counts[phase as usize] += 1;
        before
    }

    /// Moves all instances of a task that are in a phase; returns how many.
    pub(crate) fn move_all(&mut self, task: usize, from: Phase, to: Phase) -> u32 {
        let n = self.tasks[task].move_all(from, to);
        self.counts[from as usize] -= u64::from(n);
        self.counts[to as usize] += u64::from(n);
        n
    }

    /// Moves these instances of a task, which are blocked.
    pub(crate) fn move_some(&mut self, task: usize, blocked: &RoaringBitmap, to: Phase) {
        self.tasks[task].move_some(blocked, Phase::Blocked, to);
        self.counts[Phase::Blocked as usize] -= blocked.len();
        self.counts[to as usize] += blocked.len();
    }

    /// Cancels what waits or is delayed of a task, because of others.
    pub(crate) fn drop_open(&mut self, task: usize) {
        let [waiting, delayed] = self.tasks[task].drop_open().map(u64::from);
        self.counts[Phase::Waiting as usize] -= waiting;
        self.counts[Phase::Delayed as usize] -= delayed;
        self.counts[Phase::Cancelled as usize] += waiting + delayed;
    }

    /// Takes back all that followed from something that is about to change: as after a start from the records, the job is
    /// to be settled from the beginning.
    pub(crate) fn unsettle(&mut self) {
        self.tasks.iter_mut().for_each(Task::unsettle);
        self.counts =
            Phase::ALL.map(|phase| self.tasks.iter().map(|task| u64::from(task.count(phase))).sum());
    }

    /// Counts a launch.
    pub(crate) fn launch(&mut self, place: Place, now: Timestamp) {
        let could_start = self.could_start(place);
        self.tasks[place.task].launch(place.index, now, could_start);
        self.has_launched = true;
    }

    /// Puts back what a record holds of an instance, but for its phase; `None` where there is no such instance.
    pub(crate) fn restore(&mut self, place: Place, instance: Instance) -> Option<()> {
        self.tasks.get_mut(place.task)?.restore(place.index, instance)?;
        self.has_launched = true;
        Some(())
    }

    /// The id of the latest attempt of an instance; none before the first. Unique over all submissions,
    /// because names of tasks hold no dot.
    pub(crate) fn task_id(&self, task: usize, index: u32) -> Option<TaskId> {
        let attempt = match self.tasks[task].launched(index)?.attempts {
            0 | 1 => String::new(),
            attempt => format!("-{attempt}"),
        };
        let (number, name, index) = (
            self.number.to_string(),
            &self.spec.tasks[task].name,
            index.to_string(),
        );
        let id = [&self.name, "-", &number, ".", name, ".", &index, &attempt].concat();
        // Cannot fail: the names are checked and short.
        TaskId::new(id).ok()
    }

    /// The ids of what runs of it.
    pub(crate) fn running(&self) -> impl Iterator<Item = (TaskId, &TaskSpec)> {
        let tasks = self.tasks.iter().enumerate();
        tasks.flat_map(move |(task, state)| {
            let indexes = state.in_phase(Phase::Running).iter();
            indexes.filter_map(move |index| Some((self.task_id(task, index)?, self.task_spec(task))))
        })
    }

    pub(crate) fn task_spec(&self, task: usize) -> &TaskSpec {
        &self.spec.tasks[task]
    }
}
