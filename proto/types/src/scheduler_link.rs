//! The messages between the master and a framework's scheduler.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{
    AgentId, Demand, Filters, FrameworkId, FrameworkInfo, InverseOffer, KillPolicy, KnownAgent, MasterId,
    Offer, OfferId, Operation, OperationId, OperationStatus, Resources, Role, StatusReason, StatusUuid,
    TaskId, TaskStatus,
};

/// What a scheduler asks of the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// First on every stream. A second subscription of a framework takes over from the first.
    Subscribe {
        info: FrameworkInfo,
        suppressed_roles: BTreeSet<Role>,
        /// Takes the id of `info` over although the master has no record of it: whatever runs under it is the
        /// framework's from now on.
        adopt: bool,
    },
    /// Changes what the framework said of itself, without a new subscription: its name, roles, services, labels,
    /// capabilities and preferences. Whole or not at all.
    Update {
        info: FrameworkInfo,
        suppressed_roles: BTreeSet<Role>,
    },
    /// Replaces the demand of one role. `None` takes the statement back: the role is offered whole remainders.
    Demand {
        role: Role,
        demand: Option<Demand>,
    },
    /// Uses offers of one agent and one role, or all offers of one gang. Offer validity is all or nothing; what the
    /// operations leave is declined with `filters`; no operation at all is a decline.
    Accept {
        offers: Vec<OfferId>,
        operations: Vec<Operation>,
        /// Of the launches: found on the way in; a scheduler has none to send.
        refused: Vec<RefusedTask>,
        filters: Filters,
    },
    Decline {
        offers: Vec<OfferId>,
        filters: Filters,
    },
    /// The agents can be had: what runs there will have ended, or may be killed. Not asked again about the same window.
    AcceptInverse {
        offers: Vec<OfferId>,
    },
    /// The agents are still needed; asked again after `refuse`.
    DeclineInverse {
        offers: Vec<OfferId>,
        refuse: Duration,
    },
    /// Clears filters and suppression; no role means all.
    Revive {
        roles: BTreeSet<Role>,
    },
    /// Stops offers; no role means all.
    Suppress {
        roles: BTreeSet<Role>,
    },
    Kill {
        task_id: TaskId,
        agent_id: Option<AgentId>,
        kill_policy: KillPolicy,
    },
    /// Freezes a running task; once its status says so, its cpus are free. [`Operation::Resume`] lets it go on.
    Suspend {
        task_id: TaskId,
        agent_id: Option<AgentId>,
    },
    Acknowledge {
        agent_id: AgentId,
        task_id: TaskId,
        uuid: StatusUuid,
    },
    AcknowledgeOperation {
        agent_id: AgentId,
        operation_id: OperationId,
        uuid: StatusUuid,
    },
    /// Empty means implicit: every known task that is not terminal.
    Reconcile {
        tasks: Vec<(TaskId, Option<AgentId>)>,
    },
    /// Empty means implicit: every known operation.
    ReconcileOperations {
        operations: Vec<(OperationId, Option<AgentId>)>,
    },
    /// Kills all tasks of the framework and ends its id.
    Teardown,
    Ping,
}

/// A task that has an id but no valid description: it is not launched, and its scheduler is told so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedTask {
    pub id: TaskId,
    /// Absent when that is what is wrong.
    pub agent_id: Option<AgentId>,
    /// That it is invalid, or that its group is.
    pub reason: StatusReason,
    /// What is wrong, for people.
    pub message: String,
}

/// What the master tells a scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Subscribed {
        framework_id: FrameworkId,
        master_id: MasterId,
        heartbeat_interval: Duration,
    },
    Offers(Vec<Offer>),
    Rescind(OfferId),
    /// An agent with tasks of the framework has a maintenance window: stands until it is answered or rescinded.
    InverseOffers(Vec<InverseOffer>),
    /// An inverse offer is void: the drain was called off or its deadline has come; the window was changed or has begun; or the
    /// framework has no task there any more. Also said of one that was accepted, but for the last.
    RescindInverse(OfferId),
    Update(TaskStatus),
    OperationUpdate(OperationStatus),
    /// A hint: updates of the agent's tasks follow.
    AgentLost(AgentId),
    /// An agent with tasks of the framework was cut off, and was silent for so long before: nothing is known of them
    /// since. No state changes; that comes when the agent is given up.
    AgentAway {
        agent_id: AgentId,
        away_for: Duration,
    },
    /// It is connected again. What became of its tasks follows, where anything did.
    AgentBack(AgentId),
    /// The largest agents: every admitted agent fits in one of these. Sent after `Subscribed` and on change.
    Shapes {
        n_agents: u32,
        largest: Vec<Resources>,
    },
    /// Agents that are new, or of which something changed, and those that are no more. For frameworks with
    /// [`Capabilities::agents`](crate::Capabilities) only: all of them after `Subscribed`, and what changes from then on.
    Agents {
        agents: Vec<KnownAgent>,
        gone: Vec<AgentId>,
    },
    /// The subscription is over, and retrying it unchanged will not help.
    Error {
        message: String,
    },
    Heartbeat,
}
