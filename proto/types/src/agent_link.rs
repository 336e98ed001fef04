//! The messages between the master and an agent.
//!
//! A registration opens a session; every later message belongs to one, and messages of any other session
//! are refused on both sides. Whatever loses a message must end the session.

use std::sync::Arc;
use std::time::Duration;

use crate::{
    AgentId, AgentInfo, FrameworkId, GroupId, KillPolicy, MasterId, OperationId, OperationStatus,
    ResourceChange, Resources, Role, StatusUuid, TaskId, TaskInfo, TaskState, TaskStatus,
};

/// What an agent tells the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentMessage {
    /// Opens a session; carries everything the agent runs or has not had acknowledged.
    Register {
        info: AgentInfo,
        /// Absent on the very first registration.
        agent_id: Option<AgentId>,
        tasks: Vec<RegisteredTask>,
        operations: Vec<RegisteredOperation>,
    },
    /// The oldest update of the task that is not acknowledged, and the newest state known.
    Status {
        framework_id: FrameworkId,
        status: TaskStatus,
        latest_state: TaskState,
        /// The newest [`crate::TaskCondition::suspension`] known.
        latest_suspension: u32,
    },
    /// The newest status of an operation that is not acknowledged.
    OperationUpdate {
        framework_id: FrameworkId,
        status: OperationStatus,
    },
    /// The agent's total is another: an operation was refused, or its revocable resources changed.
    Total(Resources),
    Heartbeat {
        /// How often the agent says something from now on; absent, it keeps to what it was told when it registered.
        interval: Option<Duration>,
    },
}

/// One operation as an agent reports it at registration: it ended, and nobody acknowledged that yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredOperation {
    pub framework_id: FrameworkId,
    pub status: OperationStatus,
}

/// One task as an agent reports it at registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredTask {
    pub framework_id: FrameworkId,
    /// The role its launch named.
    pub role: Role,
    /// The group it was launched in.
    pub group: Option<GroupId>,
    pub info: TaskInfo,
    /// The newest status the agent knows, whether or not it was acknowledged.
    pub latest_status: TaskStatus,
}

/// What the master tells an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterMessage {
    Registered {
        agent_id: AgentId,
        master_id: MasterId,
        heartbeat_interval: Duration,
    },
    RunTask {
        framework_id: FrameworkId,
        /// Whose share the resources come out of. The agent keeps it for its next registration.
        role: Role,
        /// Shared with what the master keeps of it.
        info: Arc<TaskInfo>,
    },
    /// Tasks that start together or not at all.
    RunGroup {
        framework_id: FrameworkId,
        role: Role,
        group: GroupId,
        tasks: Vec<TaskInfo>,
    },
    /// Changes the agent's total, durably, and says so when it was given an id.
    ApplyOperation {
        framework_id: FrameworkId,
        id: Option<OperationId>,
        change: ResourceChange,
    },
    AcknowledgeOperation {
        framework_id: FrameworkId,
        operation_id: OperationId,
        uuid: StatusUuid,
    },
    KillTask {
        framework_id: FrameworkId,
        task_id: TaskId,
        kill_policy: KillPolicy,
    },
    /// Freeze the task's processes.
    SuspendTask {
        framework_id: FrameworkId,
        task_id: TaskId,
    },
    /// Let the task go on, if it is in that suspension: its cpus are its own again.
    ResumeTask {
        framework_id: FrameworkId,
        task_id: TaskId,
        suspension: u32,
    },
    AcknowledgeStatus {
        framework_id: FrameworkId,
        task_id: TaskId,
        uuid: StatusUuid,
    },
    /// Kill every task of the framework.
    ShutdownFramework { framework_id: FrameworkId },
    /// The registration is refused for good; the agent ends with this message.
    Refused { message: String },
    /// An operator declared the agent gone: its id is spent. It kills all its tasks, and ends with this message. Comes
    /// within a session or in place of one.
    Gone { message: String },
    Heartbeat {
        /// Another interval than was told before. The agent answers with a heartbeat that names it; until then the one before
        /// holds.
        interval: Option<Duration>,
    },
}
