//! One task on this agent, and its queue of status updates.
//!
//! Only the head of the queue is on its way to the master; it is retried until it is acknowledged. A task
//! that has ended never changes its state again.
//!
//! `Launching --launched--> Running --exited--> Ended`; a refused task is `Ended` from the start. By its restart
//! policy `Running --exited--> Waiting --backed off--> Launching`, in another container each time.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use proffer_types::{
    FrameworkId, GroupId, Resources, Role, TaskCondition, TaskId, TaskInfo, TaskState, TaskStatus, Timestamp,
};

use crate::config::{EXECUTOR_KILL_MARGIN, UPDATE_RETRY_MAX, UPDATE_RETRY_MIN};
use crate::{ContainerId, KillRecord, Process, StateRecord, SuspensionRecord};

/// What names a task on an agent: ids of tasks are unique within a framework only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    pub framework_id: FrameworkId,
    pub task_id: TaskId,
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.framework_id, self.task_id)
    }
}

impl fmt::Debug for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Launching,
    Running,
    /// Between two containers.
    Waiting {
        until: Timestamp,
    },
    Ended,
}

/// Failures in a row of the checks, as far as they count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Failures {
    pub(crate) health: u32,
    pub(crate) readiness: u32,
}

/// When the head of the queue is sent again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) retry_at: Timestamp,
    wait: Duration,
}

impl Sent {
    pub(crate) fn first(now: Timestamp) -> Self {
        Self {
            retry_at: now.after(UPDATE_RETRY_MIN),
            wait: UPDATE_RETRY_MIN,
        }
    }

    pub(crate) fn again(self, now: Timestamp) -> Self {
        let wait = (self.wait * 2).min(UPDATE_RETRY_MAX);
        Self {
            retry_at: now.after(wait),
            wait,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) container_id: ContainerId,
    pub(crate) role: Role,
    pub(crate) group: Option<GroupId>,
    pub(crate) info: TaskInfo,
    pub(crate) phase: Phase,
    pub(crate) process: Option<Process>,
    /// When the container was launched, later by the time it was suspended for.
    pub(crate) started_at: Option<Timestamp>,
    /// When the first one was, likewise.
    pub(crate) first_started_at: Option<Timestamp>,
    /// Ends in a row after short runs; the backoff doubles with each.
    pub(crate) short_runs: u32,
    /// The container before this one, until this one runs.
    pub(crate) replaces: Option<ContainerId>,
    pub(crate) condition: TaskCondition,
    pub(crate) failures: Failures,
    pub(crate) suspension: SuspensionRecord,
    /// The container is being frozen; nothing is known of it yet.
    pub(crate) freezing: bool,
    pub(crate) kill: Option<KillRecord>,
    /// SIGKILL went out; nothing stronger is left.
    pub(crate) kill_sent: bool,
    pub(crate) latest: TaskStatus,
    pub(crate) updates: VecDeque<TaskStatus>,
    /// The head of `updates` is on its way.
    pub(crate) sent: Option<Sent>,
    /// Whether it has records on disk; refused tasks have none.
    pub(crate) durable: bool,
    /// The last checkpoint failed; nothing is reported until it succeeds.
    pub(crate) save_at: Option<Timestamp>,
}

impl Task {
    /// Whether it holds resources of the agent.
    pub(crate) fn is_live(&self) -> bool {
        match self.phase {
            Phase::Launching | Phase::Running | Phase::Waiting { .. } => true,
            Phase::Ended => false,
        }
    }

    /// Whether its processes are frozen, or were until it began to be killed: its cpus are others'.
    pub(crate) fn is_suspended(&self) -> bool {
        self.condition.is_suspended()
    }

    /// What it holds of the agent while it is live.
    pub(crate) fn held(&self) -> Cow<'_, Resources> {
        self.info.held(self.is_suspended())
    }

    pub(crate) fn state(&self) -> TaskState {
        self.latest.state
    }

    /// What goes to disk.
    pub(crate) fn record(&self) -> StateRecord {
        StateRecord {
            process: self.process,
            started_at: self.started_at,
            first_started_at: self.first_started_at,
            restarts: self.condition.restarts,
            short_runs: self.short_runs,
            restart_at: match self.phase {
                Phase::Waiting { until } => Some(until),
                Phase::Launching | Phase::Running | Phase::Ended => None,
            },
            kill: self.kill.clone(),
            suspension: self.suspension,
            latest: self.latest.clone(),
            updates: self.updates.iter().cloned().collect(),
        }
    }

    /// When SIGKILL is due; for a task of an executor, that of the executor.
    pub(crate) fn kill_deadline(&self) -> Option<Timestamp> {
        match (self.phase, &self.kill) {
            (Phase::Running, Some(kill)) if !self.kill_sent && self.info.executor.is_some() => {
                Some(kill.kill_at.after(EXECUTOR_KILL_MARGIN))
            }
            (Phase::Running, Some(kill)) if !self.kill_sent => Some(kill.kill_at),
            _ => None,
        }
    }

    /// When the task has run for too long, its pauses and restarts included, and the time that it is suspended for not.
    pub(crate) fn completion_deadline(&self) -> Option<Timestamp> {
        match (self.is_live() && !self.is_suspended(), &self.kill) {
            (true, None) => Some(self.first_started_at?.after(self.info.max_completion_time?)),
            _ => None,
        }
    }

    /// When the next container is due. Not while the end of the last one is not on disk.
    pub(crate) fn restart_deadline(&self) -> Option<Timestamp> {
        match (self.phase, self.save_at) {
            (Phase::Waiting { until }, None) => Some(until),
            _ => None,
        }
    }

    /// When the head of the queue is sent again, were the agent registered.
    pub(crate) fn retry_deadline(&self) -> Option<Timestamp> {
        if self.save_at.is_some() || self.updates.is_empty() {
            return None;
        }
        self.sent.map(|sent| sent.retry_at)
    }
}
