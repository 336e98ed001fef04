//! What an agent wants done, as plain data.
//!
//! Effects are carried out in order. When a checkpoint fails, the later effects for the same container in
//! the same output are skipped, except signals, and the agent is told ([`crate::Command::CheckpointFailed`]):
//! that is how only checkpointed facts are reported. Likewise operation statuses and totals are skipped after a
//! failed checkpoint of the resources ([`crate::Command::ResourcesFailed`]).

use std::sync::Arc;
use std::time::Duration;

use proffer_types::{
    AgentId, ExecutorEvent, ExecutorInfo, FrameworkId, GroupId, OperationId, OperationState, Resources,
    Session, StatusReason, TaskInfo, TaskState, Usage, agent_link::AgentMessage,
};

use crate::{
    ConnectionId, ContainerId, ExecutorRecord, LinkId, Process, ResourcesRecord, StateRecord, TaskKey,
    TaskRecord,
};

/// What one step produced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// For logs and metrics; nothing depends on them.
    pub events: Vec<Event>,
    /// To be carried out in order.
    pub effects: Vec<Effect>,
}

impl Output {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// A signal to a container's first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: asks the command to end.
    Term,
    /// SIGKILL to every process of the container.
    Kill,
}

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Keeps the id under which the agent registers from now on.
    SaveAgentId(AgentId),
    /// Writes what never changes of a task; first of all for a task.
    CheckpointTask {
        container_id: ContainerId,
        task: TaskRecord,
    },
    /// Replaces what changes of a task.
    CheckpointState {
        container_id: ContainerId,
        state: StateRecord,
    },
    /// Gives both records to another container of the task, and replaces what changes. When it fails, they may be
    /// either container's, and the state that of before or after.
    Renew {
        old: ContainerId,
        container_id: ContainerId,
        state: StateRecord,
    },
    /// Removes both records.
    Forget { container_id: ContainerId },
    /// Replaces what is kept of the agent's resources. A volume that is new in it gets its directory before, one
    /// that is gone from it loses its directory after.
    CheckpointResources(ResourcesRecord),
    /// Prepares, builds and starts a container. Answered by any number of `Preparing`, then `Launched` (then later
    /// `Exited`) or `LaunchFailed`.
    Launch {
        container_id: ContainerId,
        framework_id: FrameworkId,
        /// Whose containers share network, ipc and volumes with it.
        group: Option<GroupId>,
        info: TaskInfo,
        /// The task's container before. What is left of it is removed when this one has entered their group, and
        /// before this one is prepared; the sandbox stays.
        replaces: Option<ContainerId>,
    },
    /// Ends the preparation of a container. Where that is over, `Launched` comes all the same.
    AbortLaunch { container_id: ContainerId },
    /// Runs the task's checks until the container ends. Each result is a `CheckResult`.
    RunChecks {
        container_id: ContainerId,
        info: TaskInfo,
        /// Since the container was launched.
        running_for: Duration,
    },
    /// Freezes the processes of a running container, whose checks end, or thaws them; the newest is in force. Freezing is
    /// answered by `Frozen`. Thawing comes before the checks that follow it, and is not skipped after a failed checkpoint.
    Freezer { container_id: ContainerId, freeze: bool },
    /// Takes back the container of an earlier life of the agent, and freezes or thaws it, whatever it was when that ended.
    /// `process` is absent when the agent died during the launch. Answered by `Launched` (when `process` was absent) and later `Exited`, or `Exited`.
    Adopt {
        container_id: ContainerId,
        process: Option<Process>,
        frozen: bool,
    },
    Signal {
        container_id: ContainerId,
        signal: Signal,
    },
    /// Removes what is left of a container: what was prepared for it, cgroup, exit record. May come more than once.
    Destroy { container_id: ContainerId },
    /// Replaces what is kept of an executor. [`Effect::Forget`] removes it.
    CheckpointExecutor {
        container_id: ContainerId,
        executor: ExecutorRecord,
    },
    Executor {
        container_id: ContainerId,
        order: ExecutorOrder,
    },
    /// Sends one message; those for one link and session may share a frame.
    Send {
        link: LinkId,
        /// 0 before the agent is registered.
        session: Session,
        message: AgentMessage,
    },
    /// Ends a stream; `LinkDown` may or may not follow.
    CloseLink { link: LinkId },
    /// Ends the process; with an error it must not be restarted unchanged.
    Exit { error: Option<String> },
}

/// What is to be done about an executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecutorOrder {
    /// As [`Effect::Launch`], with a socket; what comes from it is a `Command::Executor`.
    Launch {
        /// Names its files and output.
        key: TaskKey,
        info: Arc<ExecutorInfo>,
        agent_id: AgentId,
        resources: Resources,
    },
    /// As [`Effect::Adopt`] without a process, with a socket.
    Adopt {
        key: TaskKey,
        info: Arc<ExecutorInfo>,
        agent_id: AgentId,
        resources: Resources,
    },
    /// Limits its container to these resources, before anything that follows is told.
    Resize { resources: Resources },
    /// Tells it something on that connection, if that is the present one. What is about a task is skipped after a failed
    /// checkpoint of it, which is under `record`.
    Tell {
        connection: ConnectionId,
        record: Option<ContainerId>,
        event: ExecutorEvent,
    },
    /// Ends the connection, with the reason for it.
    Disconnect { connection: ConnectionId, why: String },
    /// As [`Effect::Destroy`].
    Destroy { key: TaskKey },
}

/// One thing worth a log line or a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Registered {
        agent_id: AgentId,
        session: Session,
    },
    SessionLost {
        why: &'static str,
    },
    /// A frame of another link or session.
    FrameDropped {
        session: Session,
        n_messages: usize,
    },
    TaskAccepted {
        key: TaskKey,
        container_id: ContainerId,
    },
    /// A task waits for, or is launched in, another container than before.
    ContainerReplaced {
        key: TaskKey,
        container_id: ContainerId,
    },
    /// An executor is launched, or found again.
    ExecutorStarted {
        key: TaskKey,
        container_id: ContainerId,
    },
    /// An executor has subscribed.
    ExecutorSubscribed {
        key: TaskKey,
        n_tasks: usize,
    },
    /// An executor said what it must not, and its connection ends.
    ExecutorRefused {
        key: TaskKey,
        why: String,
    },
    /// An executor's container is gone.
    ExecutorEnded {
        key: TaskKey,
        message: String,
    },
    TaskRefused {
        key: TaskKey,
        message: String,
    },
    /// A launch for a task id that is in use here.
    DuplicateIgnored {
        key: TaskKey,
    },
    /// A kill or an acknowledgement that fits nothing here.
    UnknownIgnored {
        key: TaskKey,
        what: &'static str,
    },
    TaskState {
        key: TaskKey,
        state: TaskState,
        reason: Option<StatusReason>,
        message: String,
        usage: Option<Usage>,
    },
    CheckpointFailed {
        container_id: ContainerId,
        error: String,
    },
    UpdateRetried {
        key: TaskKey,
    },
    TaskForgotten {
        key: TaskKey,
    },
    /// An operation was carried out or refused.
    OperationEnded {
        framework_id: FrameworkId,
        /// Absent where nobody wants to know.
        operation_id: Option<OperationId>,
        state: OperationState,
        message: String,
    },
    /// The agent's total is another.
    ResourcesChanged {
        total: Resources,
    },
    /// The checkpoint of the resources failed; it is tried again.
    ResourcesFailed {
        error: String,
    },
    /// An operation that is here already, or an acknowledgement of one that is not.
    OperationIgnored {
        framework_id: FrameworkId,
        operation_id: OperationId,
        what: &'static str,
    },
}
