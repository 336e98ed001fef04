//! Tasks: what a framework asks to run, and what became of it.
//!
//! A task in a terminal state never leaves it.
//! `Staging -> Starting -> Running -> (Killing) -> Finished | Failed | Killed`, and from the master:
//! `Error`, `Dropped`, `Unreachable -> (back) | Gone`, `Lost`, `Unknown`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::{AgentId, ContainerSpec, ExecutorInfo, Resources, ShapeId, StatusUuid, TaskId, Timestamp};

/// The time from SIGTERM to SIGKILL where neither task nor kill says otherwise.
pub const DEFAULT_KILL_GRACE: Duration = Duration::from_secs(3);

/// The label of tasks that come with their agent, one on each, and do not keep it in use: `true`.
pub const DAEMON_LABEL: &str = "proffer.daemon";

/// One task as a framework describes it in a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskInfo {
    pub id: TaskId,
    /// For people; not unique.
    pub name: String,
    pub agent_id: AgentId,
    /// What the task is guaranteed and, where `limits` does not say otherwise, also limited to.
    pub resources: Resources,
    /// Empty where there is an executor, in whose container the task runs.
    pub container: ContainerSpec,
    pub kill_policy: KillPolicy,
    pub labels: BTreeMap<String, String>,
    /// The task fails when it runs longer.
    pub max_completion_time: Option<Duration>,
    /// What it may use beyond `resources`, where that is there.
    pub limits: Limits,
    /// The stated shape of its framework's demand that it is one of, so that it counts there while it runs.
    pub shape: Option<ShapeId>,
    /// Whoever runs the task, if not the agent itself.
    pub executor: Option<Arc<ExecutorInfo>>,
    /// For the executor, and nobody else; empty without one.
    pub data: Vec<u8>,
}

/// The most a task may use, where it is more than it is guaranteed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Thousandths of a core; at least the task's request. Absent means the request.
    pub cpus: Option<Limit>,
    /// Bytes; at least the task's request. Absent means the request.
    pub mem: Option<Limit>,
}

/// An upper bound, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    At(u64),
    /// Whatever the agent has.
    Infinite,
}

impl TaskInfo {
    /// Whether it comes with its agent, and does not keep it in use.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.labels.get(DAEMON_LABEL).is_some_and(|value| value == "true")
    }

    /// What it holds of its agent: all that it asks for, without its cpus while it is suspended.
    #[must_use]
    pub fn held(&self, is_suspended: bool) -> Cow<'_, Resources> {
        match is_suspended {
            true => Cow::Owned(self.resources.minus(&self.resources.cpus())),
            false => Cow::Borrowed(&self.resources),
        }
    }

    /// A task that runs one command and takes every default; its name is its id.
    #[must_use]
    pub fn new(
        id: TaskId,
        agent_id: AgentId,
        resources: Resources,
        command: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            name: id.to_string(),
            id,
            agent_id,
            resources,
            container: ContainerSpec {
                command: command.into_iter().map(Into::into).collect(),
                ..ContainerSpec::default()
            },
            kill_policy: KillPolicy::default(),
            labels: BTreeMap::new(),
            max_completion_time: None,
            limits: Limits::default(),
            shape: None,
            executor: None,
            data: Vec::new(),
        }
    }

    /// A task for an executor, which takes every default; its name is its id.
    #[must_use]
    pub fn for_executor(
        id: TaskId,
        agent_id: AgentId,
        resources: Resources,
        executor: Arc<ExecutorInfo>,
        data: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            executor: Some(executor),
            data: data.into(),
            ..Self::new(id, agent_id, resources, <[String; 0]>::default())
        }
    }
}

/// How a task is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KillPolicy {
    /// From SIGTERM to SIGKILL; absent means the next best source, in the end [`DEFAULT_KILL_GRACE`].
    /// A later kill can only shorten it.
    pub grace_period: Option<Duration>,
}

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// Accepted by the master, not yet reported by the agent.
    Staging,
    /// The agent is building its container.
    Starting,
    Running,
    /// Asked to stop, not yet dead.
    Killing,
    /// Exited with code 0.
    Finished,
    /// Exited otherwise, could not be launched, or hit a limit.
    Failed,
    /// Ended because it was asked to.
    Killed,
    /// Its description is invalid; it never ran.
    Error,
    /// Kept for Mesos's word; Proffer says what it knows instead.
    Lost,
    /// The launch never happened.
    Dropped,
    /// Its agent is cut off; it may come back.
    Unreachable,
    /// Its agent is there, the task is not.
    Gone,
    /// An operator declared its agent gone.
    GoneByOperator,
    /// The master has no idea.
    Unknown,
}

impl TaskState {
    /// Every state, in the order of the wire's numbers.
    pub const ALL: [Self; 14] = [
        Self::Staging,
        Self::Starting,
        Self::Running,
        Self::Killing,
        Self::Finished,
        Self::Failed,
        Self::Killed,
        Self::Error,
        Self::Lost,
        Self::Dropped,
        Self::Unreachable,
        Self::Gone,
        Self::GoneByOperator,
        Self::Unknown,
    ];

    /// Whether the state is final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Staging
            | Self::Starting
            | Self::Running
            | Self::Killing
            | Self::Unreachable
            | Self::Unknown => false,
            Self::Finished
            | Self::Failed
            | Self::Killed
            | Self::Error
            | Self::Lost
            | Self::Dropped
            | Self::Gone
            | Self::GoneByOperator => true,
        }
    }

    /// Whether a task in this state holds its resources: neither terminal nor cut off.
    #[must_use]
    pub fn holds_resources(self) -> bool {
        !self.is_terminal() && self != Self::Unreachable
    }

    /// The state as tables and logs write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "STAGING",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Killing => "KILLING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
            Self::Error => "ERROR",
            Self::Lost => "LOST",
            Self::Dropped => "DROPPED",
            Self::Unreachable => "UNREACHABLE",
            Self::Gone => "GONE",
            Self::GoneByOperator => "GONE_BY_OPERATOR",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Who made a status update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusSource {
    Master,
    Agent,
    /// By the word of the task's executor.
    Executor,
}

/// Why a task is in its state; the words of Mesos without their prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusReason {
    Reconciliation,
    InvalidOffers,
    TaskInvalid,
    AgentRemoved,
    AgentDisconnected,
    AgentRestarted,
    AgentReregistered,
    FrameworkRemoved,
    ContainerLaunchFailed,
    ContainerLimitation,
    ContainerLimitationMemory,
    ContainerLimitationDisk,
    /// The command exited with a code other than 0, or by a signal nobody asked for.
    CommandFailed,
    MaxCompletionTimeReached,
    TaskKilledDuringLaunch,
    /// The host was rebooted while it ran.
    AgentRebooted,
    /// The container is gone and left no exit status.
    ContainerStatusUnknown,
    /// The task, or another one of its group, is invalid.
    TaskGroupInvalid,
    /// Its container is being prepared: an image pulled, files fetched. The message says how far.
    ContainerPreparing,
    /// What its health check finds changed.
    TaskHealthCheckStatusUpdated,
    /// What its readiness check finds changed.
    TaskCheckStatusUpdated,
    /// Its health check failed too often in a row.
    TaskUnhealthy,
    /// The agent started it again after an end, by its restart policy.
    TaskRestarted,
    /// Its executor did not subscribe in time.
    ExecutorRegistrationTimeout,
    /// Its executor did not come back in time after its agent was restarted, or it lost its connection.
    ExecutorReregistrationTimeout,
    /// Its executor ended, or was ended, before the task did.
    ExecutorTerminated,
    /// An operator declared its agent gone.
    AgentRemovedByOperator,
    /// Its agent is drained by an operator; nothing is held against the task.
    AgentDraining,
    /// It was suspended, as its framework asked.
    TaskSuspended,
    /// It goes on after it was suspended.
    TaskResumed,
    /// It could not be suspended, and goes on as before.
    TaskSuspendFailed,
    /// It was not resumed, and stays as it is.
    TaskResumeFailed,
}

impl StatusReason {
    /// Every reason, in the order of the wire's numbers.
    pub const ALL: [Self; 32] = [
        Self::Reconciliation,
        Self::InvalidOffers,
        Self::TaskInvalid,
        Self::AgentRemoved,
        Self::AgentDisconnected,
        Self::AgentRestarted,
        Self::AgentReregistered,
        Self::FrameworkRemoved,
        Self::ContainerLaunchFailed,
        Self::ContainerLimitation,
        Self::ContainerLimitationMemory,
        Self::ContainerLimitationDisk,
        Self::CommandFailed,
        Self::MaxCompletionTimeReached,
        Self::TaskKilledDuringLaunch,
        Self::AgentRebooted,
        Self::ContainerStatusUnknown,
        Self::TaskGroupInvalid,
        Self::ContainerPreparing,
        Self::TaskHealthCheckStatusUpdated,
        Self::TaskCheckStatusUpdated,
        Self::TaskUnhealthy,
        Self::TaskRestarted,
        Self::ExecutorRegistrationTimeout,
        Self::ExecutorReregistrationTimeout,
        Self::ExecutorTerminated,
        Self::AgentRemovedByOperator,
        Self::AgentDraining,
        Self::TaskSuspended,
        Self::TaskResumed,
        Self::TaskSuspendFailed,
        Self::TaskResumeFailed,
    ];

    /// The reason as tables, logs and Mesos write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconciliation => "RECONCILIATION",
            Self::InvalidOffers => "INVALID_OFFERS",
            Self::TaskInvalid => "TASK_INVALID",
            Self::AgentRemoved => "AGENT_REMOVED",
            Self::AgentDisconnected => "AGENT_DISCONNECTED",
            Self::AgentRestarted => "AGENT_RESTARTED",
            Self::AgentReregistered => "AGENT_REREGISTERED",
            Self::FrameworkRemoved => "FRAMEWORK_REMOVED",
            Self::ContainerLaunchFailed => "CONTAINER_LAUNCH_FAILED",
            Self::ContainerLimitation => "CONTAINER_LIMITATION",
            Self::ContainerLimitationMemory => "CONTAINER_LIMITATION_MEMORY",
            Self::ContainerLimitationDisk => "CONTAINER_LIMITATION_DISK",
            Self::CommandFailed => "COMMAND_FAILED",
            Self::MaxCompletionTimeReached => "MAX_COMPLETION_TIME_REACHED",
            Self::TaskKilledDuringLaunch => "TASK_KILLED_DURING_LAUNCH",
            Self::AgentRebooted => "AGENT_REBOOTED",
            Self::ContainerStatusUnknown => "CONTAINER_STATUS_UNKNOWN",
            Self::TaskGroupInvalid => "TASK_GROUP_INVALID",
            Self::ContainerPreparing => "CONTAINER_PREPARING",
            Self::TaskHealthCheckStatusUpdated => "TASK_HEALTH_CHECK_STATUS_UPDATED",
            Self::TaskCheckStatusUpdated => "TASK_CHECK_STATUS_UPDATED",
            Self::TaskUnhealthy => "TASK_UNHEALTHY",
            Self::TaskRestarted => "TASK_RESTARTED",
            Self::ExecutorRegistrationTimeout => "EXECUTOR_REGISTRATION_TIMEOUT",
            Self::ExecutorReregistrationTimeout => "EXECUTOR_REREGISTRATION_TIMEOUT",
            Self::ExecutorTerminated => "EXECUTOR_TERMINATED",
            Self::AgentRemovedByOperator => "AGENT_REMOVED_BY_OPERATOR",
            Self::AgentDraining => "AGENT_DRAINING",
            Self::TaskSuspended => "TASK_SUSPENDED",
            Self::TaskResumed => "TASK_RESUMED",
            Self::TaskSuspendFailed => "TASK_SUSPEND_FAILED",
            Self::TaskResumeFailed => "TASK_RESUME_FAILED",
        }
    }
}

/// How a task's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskExit {
    Code(i32),
    Signal(i32),
}

/// What the kernel counted for a container, over all of its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usage {
    pub wall_time_us: u64,
    pub cpu_time_us: u64,
    pub mem_peak_bytes: u64,
    /// Forks the pids limit refused.
    pub pids_refused: u64,
    /// Processes the kernel killed for the memory limit.
    pub oom_kills: u64,
    /// Absent where the host did not count it.
    pub io: Option<IoUsage>,
}

/// What was read from and written to block devices, over all of them. What the page cache held is not read, and what it still
/// holds was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct IoUsage {
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

/// What an agent finds of a task while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskCondition {
    /// By its health check; absent before the first result that counts, and without a check.
    pub healthy: Option<bool>,
    /// By its readiness check, likewise.
    pub ready: Option<bool>,
    /// How often the agent has started it again.
    pub restarts: u32,
    /// Where it is reached, when it has a network of its own.
    pub addresses: Vec<IpAddr>,
    /// Which of its suspensions it is in, counted from 1: its processes are frozen, and its cpus are others'. 0 when it is
    /// not suspended. The number tells a suspension that was ended from one that came after.
    pub suspension: u32,
}

impl TaskCondition {
    /// Whether the task's processes are frozen, and its cpus free.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.suspension != 0
    }
}

/// One report of a task's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskStatus {
    pub task_id: TaskId,
    pub agent_id: Option<AgentId>,
    pub state: TaskState,
    pub source: StatusSource,
    pub reason: Option<StatusReason>,
    /// For people; empty when there is nothing to add.
    pub message: String,
    /// By the clock of the source.
    pub timestamp: Timestamp,
    /// Present when, and only when, the update must be acknowledged.
    pub uuid: Option<StatusUuid>,
    pub exit: Option<TaskExit>,
    pub usage: Option<Usage>,
    pub condition: TaskCondition,
}
