//! Recurring jobs as messages.

use proffer_batch_core::{Fate, Missed, MissedCause, RecurringState, RecurringView, WindowView};
use proffer_types::Timestamp;
use proffer_wire::v1;

use super::{count, job_state};

/// A recurring job with its windows; well under the size of a message, as histories are bounded.
pub(crate) fn recurring(job: &RecurringView, framework_id: &str) -> v1::Job {
    let paused = match job.state {
        RecurringState::Paused(since) => Some(since),
        RecurringState::Scheduled | RecurringState::Cancelled => None,
    };
    v1::Job {
        spec: Some(job.spec.as_ref().into()),
        state: state(job.state).into(),
        submitted_ms: job.submitted.0,
        ended_ms: millis(job.ended),
        tasks: Vec::new(),
        counts: Vec::new(),
        held: false,
        // Of its runs: `ReportJobs` has them.
        usage: None,
        waits_for: Vec::new(),
        reason: String::new(),
        runs: Vec::new(),
        framework_id: framework_id.to_owned(),
        recurrence: Some(v1::JobRecurrence {
            next_ms: millis(job.next),
            paused_ms: millis(paused),
            n_ran: job.counts.ran,
            n_missed: job.counts.missed,
            n_late: job.counts.late,
            n_extra: job.counts.extra,
            windows: job.windows.iter().map(window).collect(),
        }),
    }
}

pub(crate) fn recurring_summary(job: &RecurringView) -> v1::list_jobs_response::JobSummary {
    let n_tasks = job.spec.tasks.iter().map(|task| task.count).sum();
    v1::list_jobs_response::JobSummary {
        name: job.spec.name.clone(),
        role: job.spec.role.to_string(),
        state: state(job.state).into(),
        submitted_ms: job.submitted.0,
        ended_ms: millis(job.ended),
        n_tasks,
        n_running: 0,
        n_suspended: 0,
        n_finished: 0,
        n_failed: 0,
        next_ms: millis(job.next),
    }
}

fn millis(time: Option<Timestamp>) -> u64 {
    time.map_or(0, |time| time.0)
}

fn state(state: RecurringState) -> v1::JobState {
    match state {
        RecurringState::Scheduled => v1::JobState::JobScheduled,
        RecurringState::Paused(_) => v1::JobState::JobPaused,
        RecurringState::Cancelled => v1::JobState::JobCancelled,
    }
}

fn window(window: &WindowView) -> v1::JobWindow {
    match &window.fate {
        Fate::Run {
            name,
            state,
            started,
            ended,
            triggered,
            n_lost,
        } => v1::JobWindow {
            at_ms: window.at.0,
            last_ms: window.at.0,
            n: u64::from(!triggered),
            run: name.clone(),
            state: job_state(*state).into(),
            started_ms: millis(*started),
            ended_ms: millis(*ended),
            triggered: *triggered,
            n_lost: count(*n_lost),
            ..v1::JobWindow::default()
        },
        Fate::Missed(missed) => v1::JobWindow {
            last_ms: missed.last.0,
            n: missed.n,
            cause: cause(missed).into(),
            from_ms: missed.reason.from.0,
            to_ms: missed.reason.to.0,
            why: missed.reason.why.clone(),
            at_ms: window.at.0,
            ..v1::JobWindow::default()
        },
    }
}

fn cause(missed: &Missed) -> v1::JobMissedCause {
    match missed.reason.cause {
        MissedCause::SchedulerAway => v1::JobMissedCause::MissedSchedulerAway,
        MissedCause::SchedulerStalled => v1::JobMissedCause::MissedSchedulerStalled,
        MissedCause::ClockJumped => v1::JobMissedCause::MissedClockJumped,
        MissedCause::CutOff => v1::JobMissedCause::MissedCutOff,
        MissedCause::NoRoom => v1::JobMissedCause::MissedNoRoom,
        MissedCause::StillRunning => v1::JobMissedCause::MissedStillRunning,
        MissedCause::TooManyRuns => v1::JobMissedCause::MissedTooManyRuns,
        MissedCause::Paused => v1::JobMissedCause::MissedPaused,
        MissedCause::Replaced => v1::JobMissedCause::MissedReplaced,
        MissedCause::Cancelled => v1::JobMissedCause::MissedCancelled,
    }
}
