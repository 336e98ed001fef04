//! Recurring jobs as the framework's API shows them.

use std::sync::Arc;

use proffer_types::{StatusReason, TaskState, Timestamp};

use crate::job::{Job, Phase};
use crate::recurring::{Counts, Missed, Recurring};
use crate::{JobSpec, JobState};

/// Where a recurring job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecurringState {
    Scheduled,
    /// Since when.
    Paused(Timestamp),
    Cancelled,
}

/// A recurring job with what is kept of its windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecurringView {
    pub spec: Arc<JobSpec>,
    pub state: RecurringState,
    pub submitted: Timestamp,
    /// It was cancelled, and its runs have ended; when it was cancelled.
    pub ended: Option<Timestamp>,
    /// The first window that nothing was decided about; none when there is none any more.
    pub next: Option<Timestamp>,
    pub counts: Counts,
    pub n_open: usize,
    /// The earliest first.
    pub windows: Vec<WindowView>,
}

/// A window that has a run, or a span of windows that were missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowView {
    /// The window, or the first of the span.
    pub at: Timestamp,
    pub fate: Fate,
}

/// What became of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Run {
        /// The job it is.
        name: String,
        state: JobState,
        /// When the first of its tasks was launched.
        started: Option<Timestamp>,
        ended: Option<Timestamp>,
        /// Somebody asked for it; it is of no window.
        triggered: bool,
        /// Tasks that were lost: whether they ran is not known.
        n_lost: u64,
    },
    Missed(Missed),
}

impl RecurringView {
    /// Without the windows.
    pub(crate) fn summary(job: &Recurring) -> Self {
        let ledger = &job.ledger;
        let state = match (ledger.cancelled, ledger.paused) {
            (Some(_), _) => RecurringState::Cancelled,
            (None, Some(since)) => RecurringState::Paused(since),
            (None, None) => RecurringState::Scheduled,
        };
        Self {
            spec: job.spec.clone(),
            state,
            submitted: job.submitted,
            ended: ledger.cancelled.filter(|_| job.has_ended()),
            next: ledger.next,
            counts: ledger.counts,
            n_open: job.open.len(),
            windows: Vec::new(),
        }
    }

    /// `job_of` knows the runs by their numbers.
    pub(crate) fn of<'a>(job: &Recurring, job_of: impl Fn(u64) -> Option<&'a Job>) -> Self {
        let missed = job.ledger.missed.iter().map(|missed| WindowView {
            at: missed.first,
            fate: Fate::Missed(missed.clone()),
        });
        let runs = job.runs.iter().filter_map(|number| window(job_of(*number)?));
        let mut windows: Vec<_> = missed.chain(runs).collect();
        windows.sort_by_key(|window| window.at);
        Self {
            windows,
            ..Self::summary(job)
        }
    }
}

fn window(job: &Job) -> Option<WindowView> {
    let run = job.run.as_ref()?;
    Some(WindowView {
        at: run.at,
        fate: Fate::Run {
            name: job.name.clone(),
            state: job.state(),
            started: run.started,
            ended: job.ended,
            triggered: run.triggered,
            n_lost: n_lost(job),
        },
    })
}

/// Instances that failed for what the cluster did, not by themselves.
fn n_lost(job: &Job) -> u64 {
    let failed = job.tasks.iter().flat_map(|task| task.launched_in(Phase::Failed));
    let statuses = failed.filter_map(|(_, instance)| instance.status.as_deref());
    let is_lost = |state| match state {
        TaskState::Unreachable
        | TaskState::Lost
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => true,
        TaskState::Staging
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Killing
        | TaskState::Finished
        | TaskState::Failed
        | TaskState::Killed
        | TaskState::Error
        | TaskState::Dropped => false,
    };
    // The agent knows that it is gone, and not how far it came.
    let no_exit = Some(StatusReason::ContainerStatusUnknown);
    let lost = statuses.filter(|status| is_lost(status.state) || status.reason == no_exit);
    lost.count() as u64
}
