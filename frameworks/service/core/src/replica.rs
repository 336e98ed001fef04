//! One slot of a service: its task, and how soon another one follows it.
//!
//! A slot never starts a task while its latest one is neither ended nor cut off.
//!
//! ```text
//! Waiting --offer--> Starting --RUNNING--> Running --kill--> Stopping
//!    ^                  |                     |                 |
//!    |<-- BackingOff <--+---- ended quickly --+                 |
//!    +<---------------------- ended otherwise +-----------------+
//! ```

use std::time::Duration;

use proffer_types::{AgentId, StatusReason, TaskState, TaskStatus, Timestamp};

/// The pause after the first quick failure; it doubles with each further one.
pub const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
/// The longest pause: a repaired cause is noticed within a minute.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// A replica that ran this long did not fail quickly: the next pause is as after none.
pub const STEADY: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replica {
    pub(crate) slot: u32,
    /// The number in the id of the latest start; 0 before the first.
    pub(crate) start: u64,
    /// How often this slot was started.
    pub(crate) n_starts: u64,
    /// The service's version at the latest start; 0 before the first.
    pub(crate) version: u64,
    /// Quick failures in a row.
    pub(crate) n_failures: u32,
    /// Stopped for a new version or to leave its agent, and no later task ran yet.
    pub(crate) replacing: bool,
    /// Where the latest start went.
    pub(crate) agent_id: Option<AgentId>,
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
    },
    /// Asked to stop, not yet ended; ran since then, if it ever did.
    Stopping {
        since: Option<Timestamp>,
    },
}

impl Replica {
    pub(crate) fn new(slot: u32) -> Self {
        Self {
            slot,
            start: 0,
            n_starts: 0,
            version: 0,
            n_failures: 0,
            replacing: false,
            agent_id: None,
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

    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. })
    }

    pub(crate) fn started(&mut self, start: u64, version: u64, agent_id: AgentId) {
        self.start = start;
        self.n_starts += 1;
        self.version = version;
        self.agent_id = Some(agent_id);
        self.status = None;
        self.phase = Phase::Starting;
    }

    /// Its agent was away for too long: another task takes its place, wherever this one is.
    pub(crate) fn lost(&mut self) {
        if matches!(self.phase, Phase::Starting | Phase::Running { .. }) {
            self.phase = Phase::Waiting;
        }
    }

    pub(crate) fn stop(&mut self) {
        self.phase = match self.phase {
            Phase::Starting => Phase::Stopping { since: None },
            Phase::Running { since } => Phase::Stopping { since: Some(since) },
            other @ (Phase::Waiting | Phase::BackingOff { .. } | Phase::Stopping { .. }) => other,
        };
    }

    /// Takes a status of the latest start; `version` is the service's.
    pub(crate) fn update(&mut self, now: Timestamp, version: u64, status: &TaskStatus) {
        match status.state {
            TaskState::Staging | TaskState::Starting | TaskState::Killing => self.returned(),
            TaskState::Running => self.running(now, version),
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

    /// A task that was cut off came back before another one took its place.
    fn returned(&mut self) {
        if self.may_return() {
            self.phase = Phase::Starting;
        }
    }

    fn running(&mut self, now: Timestamp, version: u64) {
        self.returned();
        if self.phase == Phase::Starting {
            self.phase = Phase::Running { since: now };
            self.replacing &= self.version != version;
        }
    }

    fn ended(&mut self, now: Timestamp, status: &TaskStatus) {
        let (asked, since) = match self.phase {
            Phase::Starting => (false, None),
            Phase::Running { since } => (false, Some(since)),
            Phase::Stopping { since } => (true, since),
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

    /// Lets a slot that backs off start at once; a task that was changed gets a new chance.
    pub(crate) fn forgive(&mut self) {
        self.n_failures = 0;
        self.back_off_over();
    }

    pub(crate) fn back_off_over(&mut self) {
        if matches!(self.phase, Phase::BackingOff { .. }) {
            self.phase = Phase::Waiting;
        }
    }
}

/// Whether the end says nothing against the task: somebody killed it, or its agent went.
fn taken_away(state: TaskState) -> bool {
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
