//! Hearing of a task: whether its instance is done, is to be started again, or has failed.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_session::Context;
use proffer_types::{KillPolicy, StatusReason, StatusSource, TaskState, TaskStatus, Timestamp};

use super::give_up::PATIENCE;
use super::{Batch, put};
use crate::job::{Job, Phase, Place};
use crate::records;
use crate::report::Report;
use crate::task::Instance;

/// How often an instance may be lost to the cluster itself before that counts as a failure: no honest
/// cluster loses one task so often.
const MAX_LOSSES: u32 = 100;

/// What an update says of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes on, or may come back.
    Alive,
    Finished,
    /// It failed by itself, and may be retried.
    Failed,
    /// It was killed; that is a failure, unless the job was cancelled.
    Killed,
    /// Its description is wrong, or its end is one that is not retried.
    Invalid,
    /// It was never launched; no fault of its own.
    NeverLaunched,
    /// The cluster lost it, and it may have run; no fault of its own.
    Lost,
}

impl Batch {
    pub(super) fn hear(&mut self, status: &TaskStatus, cx: &mut Context<'_>) {
        let mut outcome = outcome(status);
        self.judge_agent(status, cx.now());
        let Some(place) = self.running.get(&status.task_id).copied() else {
            // An attempt that was given up, or whose job is forgotten, has come back. Of one that is out of reach the master
            // would answer every kill with just that, without end.
            let is_back = !matches!(status.state, TaskState::Unreachable | TaskState::Killing);
            if outcome == Outcome::Alive && is_back {
                cx.kill(&status.task_id, KillPolicy::default());
            }
            return;
        };
        let Some(job) = self.jobs.get_mut(&place.job) else {
            return;
        };
        // The gang was failing already, and this attempt was to be killed for it.
        if matches!(outcome, Outcome::Failed | Outcome::Killed) && job.gang_is_broken(place.task) {
            outcome = Outcome::Lost;
        }
        let Some(instance) = job.tasks[place.task].launched_mut(place.index) else {
            return;
        };
        instance.status = Some(Box::new(Report::of(status.clone(), &mut self.agents)));
        if matches!(outcome, Outcome::Failed | Outcome::Killed) && !instance.is_requeued() {
            instance.failures += 1;
        }
        if outcome == Outcome::NeverLaunched {
            instance.never_launched += 1;
        }
        let is_covered = job.task_spec(place.task).retry.covers(status.exit);
        if outcome == Outcome::Failed && !is_covered {
            outcome = Outcome::Invalid;
        }
        let phase = phase_after(job, place, outcome);
        if phase == Phase::Running {
            self.hear_of_turn(place, status, cx.now());
        }
        if status.state == TaskState::Unreachable {
            self.cut_off.insert(place, cx.now().after(PATIENCE));
        } else {
            self.cut_off.remove(place);
        }
        if outcome == Outcome::NeverLaunched {
            self.run_not_launched(place.job, cx);
        }
        if phase != Phase::Running {
            self.end_attempt(place, phase, outcome, cx);
            self.conclude_after(place, cx);
        }
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

    /// Moves an instance on from an attempt that has ended; the job has yet to be concluded.
    pub(super) fn end_attempt(&mut self, place: Place, phase: Phase, outcome: Outcome, cx: &mut Context<'_>) {
        let is_broken = |jobs: &BTreeMap<u64, Job>| {
            let job = jobs.get(&place.job);
            job.is_some_and(|job| job.gang_is_broken(place.task))
        };
        let was_broken = is_broken(&self.jobs);
        self.charge(place, phase, outcome, cx);
        self.move_to(place, phase);
        if phase == Phase::Delayed {
            self.delay(place, cx.now());
        }
        if let Some(job) = self.jobs.get(&place.job) {
            put(cx, records::instance(job, place));
        }
        if !was_broken && is_broken(&self.jobs) {
            self.stop_gang(place, cx);
        }
    }

    /// Kills what runs of a gang.
    fn stop_gang(&self, place: Place, cx: &mut Context<'_>) {
        let Some(job) = self.jobs.get(&place.job) else {
            return;
        };
        for task in job.gang(place.task).into_iter().flatten() {
            let running = job.tasks[task].in_phase(Phase::Running).iter();
            for id in running.filter_map(|index| job.task_id(task, index)) {
                cx.kill(&id, job.task_spec(task).kill_policy);
            }
        }
    }
}

/// The phase a running instance moves to once this is known of its attempt.
pub(super) fn phase_after(job: &Job, place: Place, outcome: Outcome) -> Phase {
    let launched = job.tasks[place.task].launched(place.index);
    let attempts = launched.map_or(0, |instance| instance.attempts.saturating_sub(instance.forgiven));
    let retries = job.task_spec(place.task).retries;
    let failures = || job.failures(place);
    match outcome {
        Outcome::Alive => Phase::Running,
        _ if launched.is_some_and(Instance::is_requeued) && !job.cancelled => Phase::Waiting,
        Outcome::Finished => Phase::Finished,
        Outcome::Killed | Outcome::Lost | Outcome::NeverLaunched if job.cancelled => Phase::Cancelled,
        Outcome::Failed | Outcome::Killed if failures() <= retries && !job.cancelled => {
            match job.task_spec(place.task).retry.backoff {
                Duration::ZERO => Phase::Waiting,
                _ => Phase::Delayed,
            }
        }
        Outcome::Failed | Outcome::Killed | Outcome::Invalid => Phase::Failed,
        Outcome::Lost if job.at_most_once() => Phase::Failed,
        Outcome::Lost | Outcome::NeverLaunched if attempts.saturating_sub(failures()) > MAX_LOSSES => {
            Phase::Failed
        }
        Outcome::Lost | Outcome::NeverLaunched => Phase::Waiting,
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
        TaskState::Killed if status.reason == Some(StatusReason::AgentDraining) => Outcome::Lost,
        TaskState::Killed => Outcome::Killed,
        TaskState::Dropped => Outcome::NeverLaunched,
        TaskState::Error if status.reason == Some(StatusReason::InvalidOffers) => Outcome::NeverLaunched,
        TaskState::Error => Outcome::Invalid,
        TaskState::Lost | TaskState::Gone | TaskState::GoneByOperator | TaskState::Unknown => Outcome::Lost,
    }
}
