//! One executor on this agent: a container that runs many tasks of one framework.
//!
//! `launched -> (subscribed <-> connection lost) -> ending -> gone`. It is there from its first task until its container
//! is gone; without a live task it is ended after a while. A task is handed over on the executor's connection, and is its
//! to report from then on.

use std::collections::BTreeSet;
use std::sync::Arc;

use proffer_types::{ExecutorInfo, FrameworkId, Resources, StatusReason, TaskId, TaskInfo, Timestamp};

use crate::{ContainerId, ExecutorRecord, TaskKey};

/// One stream from an executor; the shell gives each stream of an agent's life another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Why an executor is being ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EndCause {
    /// It had no task for a while.
    Idle,
    /// It did not subscribe in time; `again` when it had been subscribed before.
    Silent { again: bool },
    /// It did not end a task that was to be killed.
    KillIgnored { task_id: TaskId },
    /// It went over a limit that the agent watches. The message has the figures.
    LimitExceeded { reason: StatusReason, message: String },
}

/// An end under way.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) cause: EndCause,
    /// When SIGKILL follows.
    pub(crate) kill_at: Timestamp,
    pub(crate) kill_sent: bool,
}

#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) container_id: ContainerId,
    pub(crate) info: Arc<ExecutorInfo>,
    /// Those that are live.
    pub(crate) tasks: BTreeSet<TaskKey>,
    /// Its first process runs, as far as is known.
    pub(crate) is_running: bool,
    /// It has subscribed at least once, in this life of the agent or an earlier one.
    pub(crate) was_subscribed: bool,
    pub(crate) connection: Option<ConnectionId>,
    /// When it is given up, unless it subscribes.
    pub(crate) subscribe_by: Option<Timestamp>,
    /// When it is ended, unless it gets a task.
    pub(crate) idle_until: Option<Timestamp>,
    /// What its container is limited to.
    pub(crate) resources: Resources,
    /// Whether that is certain; an earlier life may have ended before its last word on it was done.
    pub(crate) is_sized: bool,
    pub(crate) ending: Option<Ending>,
}

impl Executor {
    pub(crate) fn record(&self, key: &TaskKey) -> ExecutorRecord {
        ExecutorRecord {
            framework_id: key.framework_id.clone(),
            info: Arc::clone(&self.info),
            was_subscribed: self.was_subscribed,
        }
    }

    /// When something is due.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        match &self.ending {
            Some(ending) => (self.is_running && !ending.kill_sent).then_some(ending.kill_at),
            None => [self.subscribe_by, self.idle_until].into_iter().flatten().min(),
        }
    }
}

/// The name of the executor of a task, if it has one.
pub(crate) fn key_of(framework_id: &FrameworkId, info: &TaskInfo) -> Option<TaskKey> {
    let executor = info.executor.as_ref()?;
    Some(TaskKey {
        framework_id: framework_id.clone(),
        task_id: TaskId::of_executor(&executor.id),
    })
}
