//! What can happen to an agent.

use std::net::IpAddr;

use proffer_types::{
    ExecutorUpdate, Session, StatusReason, TaskExit, TaskId, Usage, agent_link::MasterMessage,
};

use crate::{ConnectionId, ContainerId, Process};

/// One stream to a master; the shell gives each stream it opens a greater one. What a stream left in a
/// queue is told from what the next one brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One thing that happened, in the order in which the shell saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A stream to a master is open; the agent registers on it.
    LinkUp { link: LinkId },
    /// The stream is lost, and the session with it.
    LinkDown { link: LinkId },
    /// A frame of the master. Dropped unless it is of the present link and session.
    MasterFrame {
        link: LinkId,
        session: Session,
        messages: Vec<MasterMessage>,
    },
    /// What the container's preparation is at, for people; at most once a second.
    Preparing {
        container_id: ContainerId,
        message: String,
    },
    /// The container's first process runs. Also the answer to [`crate::Effect::Adopt`] when it does.
    Launched {
        container_id: ContainerId,
        process: Process,
        /// Where it is reached, when it has a network of its own.
        addresses: Vec<IpAddr>,
    },
    /// The container was not built; nothing of it is left. Also the answer to [`crate::Effect::AbortLaunch`].
    LaunchFailed {
        container_id: ContainerId,
        error: String,
        /// What a shell would exit with, where the command itself could not be executed.
        exit: Option<TaskExit>,
    },
    /// The container's processes are all gone. Also the answer to [`crate::Effect::Adopt`] when they are.
    Exited {
        container_id: ContainerId,
        end: ContainerEnd,
        usage: Option<Usage>,
    },
    /// A check of a running container was made. The error says what was wrong.
    CheckResult {
        container_id: ContainerId,
        which: CheckRole,
        ok: Result<(), String>,
    },
    /// The container that was to be frozen is, or why it is not: it may be in part.
    Frozen {
        container_id: ContainerId,
        result: Result<(), String>,
    },
    /// The container is over a limit that the agent watches itself. The message has the figures.
    LimitExceeded {
        container_id: ContainerId,
        reason: StatusReason,
        message: String,
    },
    /// An executor was heard of.
    Executor {
        container_id: ContainerId,
        connection: ConnectionId,
        news: ExecutorNews,
    },
    /// A checkpoint was not written. The rest of what the same output wanted for this container was skipped,
    /// signals excepted.
    CheckpointFailed {
        container_id: ContainerId,
        /// Whether a launch, or handing a task over, was among what was skipped.
        launch_skipped: bool,
        error: String,
    },
    /// The checkpoint of the agent's resources was not written, or a volume's directory not made. What the same
    /// output wanted to report of operations was skipped.
    ResourcesFailed { error: String },
    /// A deadline may have come.
    Tick,
    /// The process is asked to end.
    Stop { kill_tasks: bool },
}

/// What comes of an executor's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecutorNews {
    /// It has subscribed, with these tasks. A connection before this one is over.
    Subscribed {
        tasks: Vec<TaskId>,
    },
    Update(ExecutorUpdate),
    Disconnected,
}

/// What a check decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckRole {
    /// Whether the task lives.
    Health,
    /// Whether it can take work.
    Readiness,
}

/// What is known of how a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerEnd {
    /// Its exit record was read.
    Exit(TaskExit),
    /// Its exit record says that the command could not be started.
    NotStarted { error: String, exit: Option<TaskExit> },
    /// There is no process and no exit record.
    Unknown,
}
