//! Offer operations: what a scheduler does with what it was offered, and what became of it.
//!
//! A launch or a resumption is answered by the statuses of its tasks. A change of resources that was given an id is answered by
//! operation statuses, retried until acknowledged like those of tasks.

use crate::{AgentId, OperationId, ResourceChange, StatusUuid, TaskId, TaskInfo, Timestamp};

/// What is done with accepted offers, in order over what is left of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// One bad task does not spoil the others.
    Launch(Vec<TaskInfo>),
    /// Tasks that start together or not at all; when one fails or is killed, the others are killed.
    LaunchGroup(Vec<TaskInfo>),
    /// Lets suspended tasks go on, with the cpus they gave up; each by itself.
    Resume(Vec<TaskId>),
    /// Reserves, unreserves, creates, destroys, grows or shrinks.
    Change {
        /// Where absent, nobody is told what became of it.
        id: Option<OperationId>,
        change: ResourceChange,
    },
}

/// Where an operation is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationState {
    /// On its way to the agent.
    Pending,
    /// The agent has made it durable.
    Finished,
    /// The agent could not carry it out.
    Failed,
    /// It is invalid; nothing was tried.
    Error,
    /// It never reached the agent.
    Dropped,
    /// Its agent is cut off.
    Unreachable,
    /// Nobody knows it.
    Unknown,
}

impl OperationState {
    /// Every state, in the order of the wire's numbers.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Finished,
        Self::Failed,
        Self::Error,
        Self::Dropped,
        Self::Unreachable,
        Self::Unknown,
    ];

    /// Whether the state is final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Error | Self::Dropped)
    }

    /// The state as tables and logs write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Error => "ERROR",
            Self::Dropped => "DROPPED",
            Self::Unreachable => "UNREACHABLE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// One report of an operation's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationStatus {
    pub operation_id: OperationId,
    pub agent_id: Option<AgentId>,
    pub state: OperationState,
    /// For people; empty when there is nothing to add.
    pub message: String,
    /// By the clock of the source.
    pub timestamp: Timestamp,
    /// Present when, and only when, the status must be acknowledged.
    pub uuid: Option<StatusUuid>,
}
