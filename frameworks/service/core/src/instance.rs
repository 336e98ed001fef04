//! One of the two places of a slot: its task, and how soon another one follows it.
//!
//! It never starts a task while its latest one is neither ended nor cut off.
//!
//! ```text
//! Waiting --offer--> Starting --RUNNING--> Running --kill--> Stopping
//!    ^                  |                     |                 |
//!    |<-- BackingOff <--+---- ended quickly --+                 |
//!    +<---------------------- ended otherwise +-----------------+
//! ```

use std::time::Duration;

use proffer_types::{AgentId, StatusReason, TaskState, TaskStatus, Timestamp};

use crate::discovery::Reach;

/// The pause after the first quick failure; it doubles with each further one.
pub const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
/// The longest pause: a repaired cause is noticed within a minute.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// A replica that ran this long did not fail quickly: the next pause is as after none.
pub const STEADY: Duration = Duration::from_secs(10);

/// Quick failures in a row after which a task is in a crash loop: a deployment of it fails.
pub const CRASH_LOOP: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    /// The number in the id of the latest start; 0 before the first.
    pub(crate) start: u64,
    /// What it runs, or will run.
    pub(crate) version: u64,
    /// Quick failures in a row.
    pub(crate) n_failures: u32,
    /// Where the latest start went.
    pub(crate) agent_id: Option<AgentId>,
    /// Where it is reached there.
    pub(crate) reach: Option<Reach>,
    /// The latest of the latest start, without its uuid.
    pub(crate) status: Option<TaskStatus>,
    pub(crate) phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No task; wants an offer.
    Waiting,
    /// No task, for a while.
    BackingOff {
        until: Timestamp,
    },
    /// Launched, not yet running.
    Starting,
    Running {
        since: Timestamp,
        serves: Serves,
    },
    /// To stop, not yet ended; ran since then, if it ever did. What served is killed only then, so that who sent it work has
    /// heard that it leaves; it is asked already where there is no such time.
    Stopping {
        since: Option<Timestamp>,
        kills_at: Option<Timestamp>,
    },
}

/// Whether a task that runs can take work, by its checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serves {
    No,
    /// It does, and counts as available if it still does then.
    Until(Timestamp),
    Available,
}

/// What the service says of the task of an instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// It must be well before it counts.
    pub(crate) has_health: bool,
    /// It must be ready before it counts.
    pub(crate) has_readiness: bool,
    /// For how long it serves before it counts as available.
    pub(crate) min_healthy: Duration,
}

impl Instance {
    pub(crate) fn new(version: u64) -> Self {
        Self {
            start: 0,
            version,
            n_failures: 0,
            agent_id: None,
            reach: None,
            status: None,
            phase: Phase::Waiting,
        }
    }

    /// Whether the latest task is neither ended nor cut off, as far as we know.
    pub(crate) fn has_task(&self) -> bool {
        match self.phase {
            Phase::Waiting | Phase::BackingOff { .. } => false,
            Phase::Starting | Phase::Running { .. } | Phase::Stopping { .. } => true,
        }
    }

    /// Whether there is a task that nobody asked to stop.
    pub(crate) fn is_live(&self) -> bool {
        self.has_task() && !self.is_stopping()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. })
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting
    }

    pub(crate) fn is_backing_off(&self) -> bool {
        matches!(self.phase, Phase::BackingOff { .. })
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// Since when it runs.
    pub(crate) fn running_since(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Running { since, .. } => Some(since),
            Phase::Waiting | Phase::BackingOff { .. } | Phase::Starting | Phase::Stopping { .. } => None,
        }
    }

    /// Whether it can take work, for however long.
    pub(crate) fn serves(&self) -> bool {
        match self.phase {
            Phase::Running { serves, .. } => serves != Serves::No,
            Phase::Waiting | Phase::BackingOff { .. } | Phase::Starting | Phase::Stopping { .. } => false,
        }
    }

    /// Whether it has served for long enough to be counted on.
    pub(crate) fn is_available(&self) -> bool {
        matches!(
            self.phase,
            Phase::Running {
                serves: Serves::Available,
                ..
            }
        )
    }

    /// When something is to be done about it.
    pub(crate) fn turns_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::BackingOff { until } => Some(until),
            Phase::Running {
                serves: Serves::Until(at),
                ..
            } => Some(at),
            Phase::Stopping { kills_at, .. } => kills_at,
            Phase::Waiting | Phase::Starting | Phase::Running { .. } => None,
        }
    }

    pub(crate) fn started(&mut self, start: u64, agent_id: AgentId, reach: Option<Reach>) {
        self.start = start;
        self.agent_id = Some(agent_id);
        self.reach = reach;
        self.status = None;
        self.phase = Phase::Starting;
    }

    /// Its agent was away for too long: another task takes its place, wherever this one is.
    pub(crate) fn lost(&mut self) {
        if matches!(self.phase, Phase::Starting | Phase::Running { .. }) {
            self.phase = Phase::Waiting;
        }
    }

    /// It is to stop: killed at that time, or at once.
    pub(crate) fn stop(&mut self, kills_at: Option<Timestamp>) {
        let since = match self.phase {
            Phase::Running { since, .. } => Some(since),
            Phase::Waiting | Phase::BackingOff { .. } | Phase::Starting | Phase::Stopping { .. } => None,
        };
        self.phase = match self.phase {
            Phase::Starting | Phase::Running { .. } => Phase::Stopping { since, kills_at },
            other @ (Phase::Waiting | Phase::BackingOff { .. } | Phase::Stopping { .. }) => other,
        };
    }

    /// Without a task, it is to be of another version: that has its own chance, and what was cut off is not waited for.
    pub(crate) fn turn_to(&mut self, version: u64) {
        if !self.has_task() && self.version != version {
            *self = Self::new(version);
        }
    }

    /// Takes a status of the latest start.
    pub(crate) fn update(&mut self, now: Timestamp, terms: Terms, status: &TaskStatus) {
        match status.state {
            TaskState::Staging | TaskState::Starting | TaskState::Killing => self.returned(),
            TaskState::Running => self.running(now, terms, status),
            TaskState::Finished
            | TaskState::Failed
            | TaskState::Killed
            | TaskState::Error
            | TaskState::Lost
            | TaskState::Dropped
            | TaskState::Unreachable
            | TaskState::Gone
            | TaskState::GoneByOperator
            | TaskState::Unknown => self.ended(now, status),
        }
        self.status = Some(TaskStatus {
            uuid: None,
            ..status.clone()
        });
    }

    /// Whether the latest task may still come back: it was cut off, not ended.
    pub(crate) fn may_return(&self) -> bool {
        let state = self.status.as_ref().map(|status| status.state);
        !self.has_task() && matches!(state, Some(TaskState::Unreachable | TaskState::Unknown))
    }

    /// A task that was cut off came back before another one took its place, or it is between two containers.
    fn returned(&mut self) {
        if self.may_return() {
            self.phase = Phase::Starting;
        }
        if let Phase::Running { serves, .. } = &mut self.phase {
            *serves = Serves::No;
        }
    }

    fn running(&mut self, now: Timestamp, terms: Terms, status: &TaskStatus) {
        if self.may_return() {
            self.phase = Phase::Starting;
        }
        let (since, before) = match self.phase {
            Phase::Starting => (now, Serves::No),
            Phase::Running { since, serves } => (since, serves),
            Phase::Waiting | Phase::BackingOff { .. } | Phase::Stopping { .. } => return,
        };
        let condition = &status.condition;
        let well = !terms.has_health || condition.healthy == Some(true);
        let ready = !terms.has_readiness || condition.ready == Some(true);
        let serves = match before {
            _ if !(well && ready && !condition.is_suspended()) => Serves::No,
            Serves::No if terms.min_healthy.is_zero() => Serves::Available,
            Serves::No => Serves::Until(now.after(terms.min_healthy)),
            other @ (Serves::Until(_) | Serves::Available) => other,
        };
        self.phase = Phase::Running { since, serves };
    }

    fn ended(&mut self, now: Timestamp, status: &TaskStatus) {
        let (asked, since) = match self.phase {
            Phase::Starting => (false, None),
            Phase::Running { since, .. } => (false, Some(since)),
            Phase::Stopping { since, .. } => (true, since),
            Phase::Waiting | Phase::BackingOff { .. } => return,
        };
        let steady = since.is_some_and(|since| now.since(since) >= STEADY);
        if steady {
            self.n_failures = 0;
        }
        let drained = status.reason == Some(StatusReason::AgentDraining);
        let taken = drained || since.is_some() && taken_away(status.state);
        if asked || steady || taken {
            self.phase = Phase::Waiting;
        } else {
            self.n_failures = self.n_failures.saturating_add(1);
            let until = now.after(back_off(self.n_failures));
            self.phase = Phase::BackingOff { until };
        }
    }

    /// Does what is due by the time: a pause is over, or it has served for long enough. Tells whether it is to be killed now.
    pub(crate) fn turn(&mut self) -> bool {
        match &mut self.phase {
            Phase::BackingOff { .. } => self.phase = Phase::Waiting,
            Phase::Running { serves, .. } => *serves = Serves::Available,
            Phase::Stopping { kills_at, .. } => return kills_at.take().is_some(),
            Phase::Waiting | Phase::Starting => {}
        }
        false
    }

    /// Lets one that backs off start at once; a task that was changed gets a new chance.
    pub(crate) fn forgive(&mut self) {
        self.n_failures = 0;
        if matches!(self.phase, Phase::BackingOff { .. }) {
            self.phase = Phase::Waiting;
        }
    }
}

/// Whether the end says nothing against the task: somebody killed it, or its agent went.
pub(crate) fn taken_away(state: TaskState) -> bool {
    match state {
        TaskState::Killed
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Unreachable
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => true,
        TaskState::Staging
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Killing
        | TaskState::Finished
        | TaskState::Failed
        | TaskState::Error => false,
    }
}

/// The pause after that many quick failures in a row.
fn back_off(n_failures: u32) -> Duration {
    2_u32
        .checked_pow(n_failures.saturating_sub(1))
        .map_or(BACK_OFF_MAX, |factor| {
            BACK_OFF_FIRST.saturating_mul(factor).min(BACK_OFF_MAX)
        })
}
