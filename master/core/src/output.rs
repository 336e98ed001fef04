//! What a step asks of the shell, as plain data.
//!
//! The shell commits `registry` first, in one fenced write; only then performs `effects`, in order.

use std::time::Duration;

use proffer_types::agent_link::MasterMessage;
use proffer_types::{AgentId, FrameworkId, ResourceName, Resources, Role, Session, TaskId, scheduler_link};
use thiserror::Error;

use crate::limits::{MAX_DRAIN_NOTICE, MAX_WINDOW, MAX_WINDOW_AHEAD, MAX_WINDOW_NAME_BYTES};
use crate::{Event, LinkId, RegistryChange, RequestId};

/// Everything that came of the steps since it was last emptied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Every change of state, in order: the state is their fold.
    pub events: Vec<Event>,
    /// What the durable events among them mean for the store, in order.
    pub registry: Vec<RegistryChange>,
    pub effects: Vec<Effect>,
}

/// One thing for the shell to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    ToAgent {
        link: LinkId,
        session: Session,
        message: MasterMessage,
    },
    ToFramework {
        link: LinkId,
        event: scheduler_link::Event,
    },
    /// Ends a stream after what was sent to it before. The master has forgotten the link already.
    CloseLink { link: LinkId, reason: CloseReason },
    Reply {
        request: RequestId,
        result: Result<(), OperatorError>,
    },
}

/// Why the master ends a stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloseReason {
    #[error("nothing was heard from it for three heartbeat intervals")]
    Silent,
    #[error("a newer link took over")]
    TakenOver,
    #[error("the first message must open the session")]
    NotRegistered,
    #[error("a session is opened once per link")]
    AlreadyRegistered,
    #[error("the message belongs to another session")]
    WrongSession,
    #[error("the peer was refused: {0}")]
    Refused(String),
    #[error("the framework is completed")]
    FrameworkCompleted,
}

/// Seconds.
const DAY: u64 = 24 * 60 * 60;

fn ago(late: Duration) -> String {
    match late.as_secs() {
        0 => "at once".to_owned(),
        seconds => format!("{seconds} seconds ago"),
    }
}

/// Why an operator's request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OperatorError {
    #[error("no framework `{0}`")]
    UnknownFramework(FrameworkId),
    #[error("framework `{framework_id}` has no running task `{task_id}`")]
    UnknownTask {
        framework_id: FrameworkId,
        task_id: TaskId,
    },
    #[error("weight of role `{role}` must be 0.001 to 1000000")]
    WeightOutOfRange { role: Role },
    #[error("there are {limit} roles with a setting already")]
    TooManyRoles { limit: usize },
    #[error("the quota of role `{role}` must be of scalars; `{resource}` is none")]
    QuotaNotScalar { role: Role, resource: String },
    #[error("the quota of role `{role}` names more than {limit} resources")]
    TooManyNames { role: Role, limit: usize },
    #[error("role `{role}` is guaranteed {guarantee}, beyond its limit of {limit}")]
    GuaranteeBeyondLimit {
        role: Role,
        guarantee: Resources,
        limit: Resources,
    },
    /// Offers do not count, for they can be taken back.
    #[error("role `{role}` uses {consumed} already, and its limit would be {limit}")]
    LimitBelowConsumption {
        role: Role,
        limit: Resources,
        consumed: Resources,
    },
    #[error("guarantees come to {guaranteed}, and the cluster has {capacity}")]
    GuaranteesBeyondCapacity {
        guaranteed: Resources,
        capacity: Resources,
    },
    /// Of roles right below one that states a quota itself.
    #[error("the roles below `{parent}` are guaranteed {guaranteed}, and it has {stated}")]
    GuaranteesBeyondParent {
        parent: Role,
        guaranteed: Resources,
        stated: Resources,
    },
    #[error("no agent `{0}`")]
    NoSuchAgent(AgentId),
    #[error("agent `{0}` is gone, and its id is spent")]
    AgentGone(AgentId),
    #[error("agent `{0}` is named twice")]
    AgentTwice(AgentId),
    #[error("1 to {limit} agents can be named at once")]
    WrongNumberOfAgents { limit: usize },
    #[error("at least one agent must be allowed to drain at once")]
    NoneAtOnce,
    #[error("the deadline of a drain is within {} days: deactivate agents whose tasks may run for longer", MAX_DRAIN_NOTICE.as_secs() / DAY)]
    DrainDeadline,
    #[error("`{0}` cannot name a maintenance window: 1 to {limit} letters, digits, `.`, `_` and `-` can", limit = MAX_WINDOW_NAME_BYTES)]
    WindowName(String),
    #[error("there is a maintenance window `{0}` already; cancel it first, or take another name")]
    WindowExists(String),
    #[error("no maintenance window `{0}`")]
    NoSuchWindow(String),
    #[error("a maintenance window must begin later than now, not {}", ago(*.0))]
    WindowPast(Duration),
    #[error("a maintenance window begins within {} days", MAX_WINDOW_AHEAD.as_secs() / DAY)]
    WindowTooFar,
    #[error("a maintenance window takes 1 second to {} days: deactivate agents that are away for longer", MAX_WINDOW.as_secs() / DAY)]
    WindowDuration,
    #[error("agent `{agent_id}` is in maintenance window `{name}` at that time")]
    WindowOverlaps { agent_id: AgentId, name: String },
    #[error("agent `{agent_id}` has {limit} maintenance windows already")]
    TooManyWindows { agent_id: AgentId, limit: usize },
    #[error("no agent `{0}` is connected")]
    UnknownAgent(AgentId),
    #[error("agent `{agent_id}` has {free} that no task holds, and that is too little {name}")]
    NotFree {
        agent_id: AgentId,
        name: ResourceName,
        free: Resources,
    },
    #[error("the resources of agent `{agent_id}` cannot change so: {why}")]
    Change { agent_id: AgentId, why: String },
    #[error(
        "the agent was cut off before it said that it has the change on disk; its resources show whether it has"
    )]
    CutOff,
}
