//! What the master is told: by agents, schedulers, operators and the clock.
//!
//! Everything in a command was decoded and checked for form; whether it makes sense now is the master's to judge.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_types::agent_link::{AgentMessage, RegisteredOperation, RegisteredTask};
use proffer_types::scheduler_link::Call;
use proffer_types::{
    AgentId, AgentInfo, FrameworkId, KillPolicy, ResourceName, Resources, Role, Session, TaskId, Timestamp,
};

/// One incoming stream, of an agent or a scheduler; minted by the shell when the stream is accepted, never used twice in
/// a process. Greater means accepted later: of two links of one peer the greater one is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One request of an operator; minted by the shell, answered by exactly one [`crate::Effect::Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One input of the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The first message of an agent's stream, whole (the shell joins its chunks).
    AgentRegister {
        link: LinkId,
        info: AgentInfo,
        agent_id: Option<AgentId>,
        tasks: Vec<RegisteredTask>,
        operations: Vec<RegisteredOperation>,
    },
    /// Later messages of an agent's stream, in order.
    AgentFrame {
        link: LinkId,
        session: Session,
        messages: Vec<AgentMessage>,
    },
    /// An agent's stream ended, whoever ended it. Telling it of a link the master closed is harmless.
    AgentLinkLost { link: LinkId },
    /// Messages of a scheduler's stream, in order; the first one ever must be `Subscribe`.
    SchedulerCalls { link: LinkId, calls: Vec<Call> },
    /// A scheduler's stream ended, whoever ended it.
    SchedulerLinkLost { link: LinkId },
    /// An operator asks for a change.
    Operator {
        request: RequestId,
        operation: OperatorRequest,
    },
    /// The deadline given by [`crate::Master::next_deadline`] has come, or any time has passed.
    Tick,
}

/// When a maintenance window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowStart {
    At(Timestamp),
    /// So long after it is asked for.
    After(Duration),
}

/// A change an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorRequest {
    /// Changes what is set of a role; what is absent stays.
    SetRole {
        role: Role,
        /// Among its siblings, in thousandths: 1 to [`crate::limits::MAX_WEIGHT_MILLIS`].
        weight_millis: Option<u64>,
        /// Higher goes first under the `priority` allocator.
        priority: Option<i32>,
        /// Scalars only.
        guarantee: Option<Resources>,
        /// In the unit of each name. A name that is absent is not limited.
        limit: Option<BTreeMap<ResourceName, u64>>,
        /// Not to check that guarantees can be met and that limits hold what is used now.
        force: bool,
    },
    /// Reserves unreserved resources of one agent.
    Reserve {
        agent_id: AgentId,
        /// As they are to be: each with the reservation that is put on top.
        resources: Resources,
    },
    /// Takes the top reservation off resources of one agent.
    Unreserve {
        agent_id: AgentId,
        /// As they are, with their reservations.
        resources: Resources,
    },
    /// The agent is not offered until further notice; its tasks stay.
    DeactivateAgent { agent_id: AgentId },
    /// The agent is offered again; whatever drain it is in ends.
    ReactivateAgent { agent_id: AgentId },
    /// The agent is dead, and its id spent.
    MarkAgentGone { agent_id: AgentId },
    /// Agents are not offered, frameworks asked to leave them, and the tasks left then killed; a few agents at a time.
    DrainAgents {
        /// In the order of their turns; at most [`crate::limits::MAX_AGENTS_PER_REQUEST`].
        agent_ids: Vec<AgentId>,
        /// The longest that a task is given to end. Absent means what it asks for itself.
        max_grace: Option<Duration>,
        /// How long frameworks have to leave an agent from its turn on; zero means that its tasks are killed at once. At most
        /// [`crate::limits::MAX_DRAIN_NOTICE`].
        notice: Duration,
        /// Whether each is gone once it is drained.
        mark_gone: bool,
        /// The most of them that are draining or drained at a time; absent means all.
        at_once: Option<u32>,
    },
    /// Ends the drains of agents; what was killed stays killed.
    UndrainAgents { agent_ids: Vec<AgentId> },
    /// Announces a time in which agents are not offered and run no tasks.
    ScheduleMaintenance {
        name: String,
        agent_ids: Vec<AgentId>,
        start: WindowStart,
        duration: Duration,
        /// The longest that a task is given to end at the start. Absent means what it asks for itself.
        max_grace: Option<Duration>,
    },
    /// Takes a window back, or ends it.
    CancelMaintenance { name: String },
    KillTask {
        framework_id: FrameworkId,
        task_id: TaskId,
        kill_policy: KillPolicy,
    },
    /// Kills all tasks of the framework and ends its id.
    TeardownFramework { framework_id: FrameworkId },
}
