//! Hearing of a task: whether its instance is done, is to be started again, or has failed.

use proffer_session::Context;
use proffer_types::{KillPolicy, StatusReason, StatusSource, TaskState, TaskStatus, Timestamp};

use super::{Batch, put};
use crate::job::{Phase, Place};
use crate::records;

/// How often an instance may be lost to the cluster itself before that counts as a failure: no honest
/// cluster loses one task so often.
const MAX_LOSSES: u32 = 100;

/// What an update says of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It goes on, or may come back.
    Alive,
    Finished,
    /// It failed by itself, and may be retried.
    Failed,
    /// It was killed; that is a failure, unless the job was cancelled.
    Killed,
    /// Its description is wrong; it would fail again.
    Invalid,
    /// The cluster lost it; no fault of its own.
    Lost,
}

impl Batch {
    pub(super) fn hear(&mut self, status: &TaskStatus, cx: &mut Context<'_>) {
        let outcome = outcome(status);
        self.judge_agent(status, cx.now());
        let Some(place) = self.running.get(&status.task_id).copied() else {
            // An attempt that was given up, or whose job is forgotten, has come back.
            if outcome == Outcome::Alive {
                cx.kill(&status.task_id, KillPolicy::default());
            }
            return;
        };
        let Some(job) = self.jobs.get_mut(&place.job) else {
            return;
        };
        let cancelled = job.cancelled;
        let retries = job.spec.tasks[place.task].retries;
        let instance = &mut job.tasks[place.task].instances[place.index];
        instance.status = Some(Box::new(status.clone()));
        if matches!(outcome, Outcome::Failed | Outcome::Killed) {
            instance.failures += 1;
        }
        let n_losses = instance.attempts.saturating_sub(instance.failures);
        let phase = match outcome {
            Outcome::Alive => return,
            Outcome::Finished => Phase::Finished,
            Outcome::Killed | Outcome::Lost if cancelled => Phase::Cancelled,
            Outcome::Failed | Outcome::Killed if instance.failures <= retries && !cancelled => Phase::Waiting,
            Outcome::Failed | Outcome::Killed | Outcome::Invalid => Phase::Failed,
            Outcome::Lost if n_losses > MAX_LOSSES => Phase::Failed,
            Outcome::Lost => Phase::Waiting,
        };
        self.end_attempt(place, phase, cx);
    }

    fn judge_agent(&mut self, status: &TaskStatus, now: Timestamp) {
        let Some(agent) = status
            .agent_id
            .as_ref()
            .filter(|_| status.source == StatusSource::Agent)
        else {
            return;
        };
        if status.state == TaskState::Dropped {
            self.avoided.dropped(agent, now);
        } else if status.state == TaskState::Running {
            self.avoided.works(agent);
        }
    }

    fn end_attempt(&mut self, place: Place, phase: Phase, cx: &mut Context<'_>) {
        self.move_to(place, phase);
        if let Some(job) = self.jobs.get(&place.job) {
            put(cx, records::instance(job, place));
        }
        self.conclude(place.job, cx);
    }
}

fn outcome(status: &TaskStatus) -> Outcome {
    match status.state {
        TaskState::Staging
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Killing
        | TaskState::Unreachable => Outcome::Alive,
        TaskState::Finished => Outcome::Finished,
        TaskState::Failed => Outcome::Failed,
        TaskState::Killed => Outcome::Killed,
        TaskState::Error if status.reason == Some(StatusReason::InvalidOffers) => Outcome::Lost,
        TaskState::Error => Outcome::Invalid,
        TaskState::Lost
        | TaskState::Dropped
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => Outcome::Lost,
    }
}
