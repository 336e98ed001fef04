//! The messages between the master and an agent.
//!
//! A registration opens a session; every later message belongs to one, and messages of any other session
//! are refused on both sides. Whatever loses a message must end the session.

use crate::{
    AgentId, AgentInfo, FrameworkId, KillPolicy, MasterId, Role, StatusUuid, TaskId, TaskInfo, TaskState,
    TaskStatus,
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
    },
    /// The oldest update of the task that is not acknowledged, and the newest state known.
    Status {
        framework_id: FrameworkId,
        status: TaskStatus,
        latest_state: TaskState,
    },
    Heartbeat,
}

/// One task as an agent reports it at registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredTask {
    pub framework_id: FrameworkId,
    /// The role its launch named.
    pub role: Role,
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
        heartbeat_interval: std::time::Duration,
    },
    RunTask {
        framework_id: FrameworkId,
        /// Whose share the resources come out of. The agent keeps it for its next registration.
        role: Role,
        info: TaskInfo,
    },
    KillTask {
        framework_id: FrameworkId,
        task_id: TaskId,
        kill_policy: KillPolicy,
    },
    AcknowledgeStatus {
        framework_id: FrameworkId,
        task_id: TaskId,
        uuid: StatusUuid,
    },
    /// Kill every task of the framework.
    ShutdownFramework {
        framework_id: FrameworkId,
    },
    /// The registration is refused for good; the agent ends with this message.
    Refused {
        message: String,
    },
    Heartbeat,
}
