//! What an agent keeps on disk, as plain data: of each task, and of its own resources.
//!
//! A task has two records: one that never changes, written before the launch, and one that is replaced at
//! each change. Refused tasks have none: the master concludes their fate from the next registration.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use proffer_types::agent_link::RegisteredOperation;
use proffer_types::{
    AgentId, ExecutorInfo, FrameworkId, GroupId, Resources, Role, StatusReason, TaskId, TaskInfo, TaskStatus,
    Timestamp,
};

/// One launch of one task; a restart is another one. Names its cgroup and its checkpoint directory; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub u64);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A process that cannot be mistaken for a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    pub pid: u32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks since boot.
    pub start_time: u64,
}

/// What never changes of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRecord {
    pub framework_id: FrameworkId,
    /// Whose share its resources come out of; the agent only hands it back at registration.
    pub role: Role,
    /// The group it was launched in, whose fate it shares.
    pub group: Option<GroupId>,
    pub info: TaskInfo,
}

/// What is kept of an executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorRecord {
    pub framework_id: FrameworkId,
    pub info: Arc<ExecutorInfo>,
    /// Whether tasks may have been handed to it.
    pub was_subscribed: bool,
}

/// One executor found on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredExecutor {
    pub container_id: ContainerId,
    pub executor: ExecutorRecord,
}

/// What changes of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRecord {
    /// Absent until the launch succeeded.
    pub process: Option<Process>,
    /// When the process was launched, later by the time it was suspended for.
    pub started_at: Option<Timestamp>,
    /// When the first process of the task was launched, later by the time it was suspended for.
    pub first_started_at: Option<Timestamp>,
    /// How often the task was started again.
    pub restarts: u32,
    /// Ends in a row after short runs.
    pub short_runs: u32,
    /// When the task is started again, while it waits for that. There is no container then.
    pub restart_at: Option<Timestamp>,
    pub kill: Option<KillRecord>,
    pub suspension: SuspensionRecord,
    /// The newest status.
    pub latest: TaskStatus,
    /// Updates not acknowledged, oldest first. Empty or ending with `latest`.
    pub updates: Vec<TaskStatus>,
}

/// What is kept of a task's suspensions. Which of them it is in is in its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SuspensionRecord {
    /// How many there have been.
    pub count: u32,
    /// When the present one began.
    pub since: Option<Timestamp>,
}

/// A kill under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillRecord {
    pub cause: KillCause,
    /// When SIGKILL follows.
    pub kill_at: Timestamp,
}

/// Why a task is being killed. The first cause decides how its end is reported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KillCause {
    Requested,
    /// Asked for before the container ran.
    RequestedDuringLaunch,
    FrameworkShutdown,
    MaxCompletionTime,
    /// The agent ends and takes its tasks with it.
    AgentStopping,
    /// A task of its group ended without having finished, or is about to.
    GroupEnded {
        task_id: TaskId,
    },
    /// Its health check failed too often. The message is the last failure's.
    Unhealthy {
        message: String,
    },
    /// It went over a limit that the agent watches. The message has the figures.
    LimitExceeded {
        reason: StatusReason,
        message: String,
    },
}

/// What an agent keeps of its own resources; replaced as a whole, so that a change and the operation that made
/// it are never apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourcesRecord {
    /// What operations changed of the total, as it is now: dynamic reservations and volumes.
    pub changed: Resources,
    /// Operations that ended and are not acknowledged.
    pub operations: Vec<RegisteredOperation>,
}

/// What an agent finds of its earlier life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    pub agent_id: Option<AgentId>,
    pub tasks: Vec<RecoveredTask>,
    pub executors: Vec<RecoveredExecutor>,
    /// Those of the [`ResourcesRecord`]; its other half is in [`crate::Config`].
    pub operations: Vec<RegisteredOperation>,
    /// Those that were there before the host was last rebooted: whatever ran in them is dead.
    pub before_reboot: BTreeSet<ContainerId>,
}

/// One task found on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredTask {
    pub container_id: ContainerId,
    pub task: TaskRecord,
    /// Absent when it was never written or cannot be read; such a task has failed.
    pub state: Option<StateRecord>,
}
