//! Facts: every change of the master's state, as plain data.
//!
//! The state is the fold of these. The durable ones are committed before anybody is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use proffer_allocator::{Held, RoleConfig, Waiting};
use proffer_types::{
    AgentId, AgentInfo, Demand, FrameworkId, FrameworkInfo, GangId, KillPolicy, OfferId, OperationId,
    OperationStatus, ResourceChange, Resources, Role, Session, ShapeId, TaskId, TaskInfo, TaskState,
    TaskStatus, Timestamp,
};

use crate::state::Withheld;
use crate::{LinkId, RemovalDelay, Upkeep};

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The first step after a start: agents of the registry have until `deadline` to come back.
    Started { at: Timestamp, deadline: Timestamp },
    /// Quota is set: no offers before enough agents are back.
    OffersWithheld(Withheld),
    /// Offers are made again.
    OffersResumed,

    /// A new agent, or one that came back with other facts, or from being unreachable.
    AgentAdmitted { agent_id: AgentId, info: Arc<AgentInfo> },
    /// An agent's session is open.
    AgentRegistered {
        agent_id: AgentId,
        link: LinkId,
        session: Session,
    },
    /// An agent's session ended; it has until `deadline` to come back.
    AgentDisconnected { agent_id: AgentId, deadline: Timestamp },
    /// An agent stayed away too long; its tasks are unreachable and its resources leave the pool.
    AgentUnreachable { agent_id: AgentId, since: Timestamp },
    /// An agent stayed away too long, but too many would be given up at a time: it is asked about again at `until`.
    AgentRemovalDelayed {
        agent_id: AgentId,
        why: RemovalDelay,
        until: Timestamp,
    },
    /// So many agents did not come back after the start that none is given up before an operator looks.
    RemovalsHeld { n_away: u32, n_expected: u32 },
    /// An agent was unreachable for so long that its id is dropped.
    AgentForgotten { agent_id: AgentId },
    /// An operator took an agent out of use or back, or a drain went on; `upkeep` is all of it.
    AgentUpkeep { agent_id: AgentId, upkeep: Upkeep },
    /// An operator declared an agent gone: its id is spent. Nothing is left of its tasks, offers and operations.
    AgentGone { agent_id: AgentId, since: Timestamp },

    /// Operations changed an agent's total, or the agent said that it is another than it seemed.
    ResourcesChanged { agent_id: AgentId, total: Resources },

    /// A framework subscribed, for the first time or again.
    FrameworkSubscribed {
        framework_id: FrameworkId,
        info: FrameworkInfo,
        suppressed_roles: BTreeSet<Role>,
        link: LinkId,
    },
    /// A framework that is subscribed says something else of itself.
    FrameworkUpdated {
        framework_id: FrameworkId,
        info: FrameworkInfo,
        suppressed_roles: BTreeSet<Role>,
    },
    /// An agent runs tasks of a framework the master has no record of. They go on until it subscribes or is torn down.
    FrameworkOrphaned {
        framework_id: FrameworkId,
        info: FrameworkInfo,
        since: Timestamp,
    },
    /// No task of an orphaned framework is known to run: unless one is at `deadline`, it is forgotten then.
    OrphanIdle {
        framework_id: FrameworkId,
        deadline: Timestamp,
    },
    /// A framework is away; its tasks are killed at `deadline`.
    FrameworkDisconnected {
        framework_id: FrameworkId,
        deadline: Timestamp,
    },
    /// A framework was torn down or stayed away too long; its id is spent.
    FrameworkCompleted { framework_id: FrameworkId },
    /// A completed framework was dropped from the bounded list, or an orphaned one whose tasks have ended.
    FrameworkForgotten { framework_id: FrameworkId },
    /// No offers for these roles until revived.
    RolesSuppressed {
        framework_id: FrameworkId,
        roles: BTreeSet<Role>,
    },
    /// Offers again for these roles; their filters are gone.
    RolesRevived {
        framework_id: FrameworkId,
        roles: BTreeSet<Role>,
    },
    /// What a framework would run in a role; `None` takes an earlier statement back.
    DemandStated {
        framework_id: FrameworkId,
        role: Role,
        demand: Option<Demand>,
        at: Timestamp,
    },
    /// An operator set a role's weight, priority or quota; `config` is all of it.
    RoleSet { role: Role, config: RoleConfig },

    OfferMade {
        offer_id: OfferId,
        framework_id: FrameworkId,
        agent_id: AgentId,
        role: Role,
        resources: Resources,
        /// Which stated shapes it has room for, and for how many tasks of each.
        shapes: Vec<(ShapeId, u32)>,
        gang: Option<Bundle>,
        expires: Option<Timestamp>,
    },
    /// An offer that nobody heard of yet has room for more tasks of a shape.
    OfferGrown {
        offer_id: OfferId,
        more: Resources,
        shape: (ShapeId, u32),
    },
    OfferEnded {
        offer_id: OfferId,
        end: OfferEnd,
        at: Timestamp,
    },
    /// A framework with tasks on an agent is asked to leave it before its first maintenance window.
    InverseOfferMade {
        offer_id: OfferId,
        framework_id: FrameworkId,
        agent_id: AgentId,
    },
    InverseOfferEnded {
        offer_id: OfferId,
        end: InverseEnd,
        at: Timestamp,
    },
    /// A framework that declined may be asked again.
    InverseRefusalOver {
        framework_id: FrameworkId,
        agent_id: AgentId,
    },
    /// What ends on some agents is kept for who has waited longest, in place of what was kept for it before.
    HoldSet {
        framework_id: FrameworkId,
        role: Role,
        waiting: Waiting,
        agents: Vec<(AgentId, Held)>,
        since: Timestamp,
        until: Timestamp,
    },
    /// Nothing more is kept.
    HoldEnded { framework_id: FrameworkId, role: Role },
    /// A framework does not want less than this of that agent for a while.
    FilterSet {
        framework_id: FrameworkId,
        role: Role,
        agent_id: AgentId,
        refused: Resources,
        /// What would do, where the framework said so.
        at_least: Option<Resources>,
        until: Timestamp,
    },
    /// Filters with a deadline up to `at` are gone.
    FiltersExpired { at: Timestamp },

    /// An operation is on its way to its agent; the master's picture of the agent has followed it already.
    OperationSent {
        framework_id: FrameworkId,
        operation_id: OperationId,
        agent_id: AgentId,
        change: ResourceChange,
        at: Timestamp,
    },
    /// A status of an operation, from its agent or concluded from the agent's fate.
    OperationUpdated {
        framework_id: FrameworkId,
        agent_id: AgentId,
        status: OperationStatus,
    },
    /// An operation was acknowledged, or nobody waits for it.
    OperationForgotten {
        framework_id: FrameworkId,
        operation_id: OperationId,
    },

    /// A task was accepted; it goes to its agent.
    TaskLaunched {
        framework_id: FrameworkId,
        role: Role,
        info: Arc<TaskInfo>,
        at: Timestamp,
    },
    /// An agent runs a task the master did not have: after a master's start, or back from unreachable.
    TaskAdded {
        framework_id: FrameworkId,
        role: Role,
        info: Arc<TaskInfo>,
        status: TaskStatus,
    },
    /// An agent listed a live task at registration; its statuses follow.
    TaskReported {
        framework_id: FrameworkId,
        task_id: TaskId,
        state: TaskState,
        suspension: u32,
    },
    /// A status came by; `latest_state` is the newest state known at its source, and so is `latest_suspension`.
    TaskUpdated {
        framework_id: FrameworkId,
        status: TaskStatus,
        latest_state: TaskState,
        latest_suspension: u32,
    },
    /// A suspension is wanted; it is repeated when the agent comes back.
    TaskSuspendRequested {
        framework_id: FrameworkId,
        task_id: TaskId,
    },
    /// A suspended task has its cpus again, and is to go on.
    TaskResumed {
        framework_id: FrameworkId,
        task_id: TaskId,
        at: Timestamp,
    },
    /// A kill is wanted; it is repeated when the agent comes back.
    TaskKillRequested {
        framework_id: FrameworkId,
        task_id: TaskId,
        kill_policy: KillPolicy,
        /// That its agent is drained is why.
        by_drain: bool,
    },
    /// The framework's acknowledgement of the newest status passed by.
    TaskAcknowledged {
        framework_id: FrameworkId,
        task_id: TaskId,
    },
    /// A terminal task needs nothing more; it moves to the bounded list.
    TaskCompleted {
        framework_id: FrameworkId,
        task_id: TaskId,
    },
}

/// The offers made for one gang at one time, which are answered together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bundle {
    pub gang: GangId,
    /// The first of them stands for all.
    pub first: OfferId,
}

/// How an offer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferEnd {
    Accepted,
    Declined,
    /// It timed out, its agent or framework left, or a weight changed.
    Rescinded,
}

/// How an inverse offer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InverseEnd {
    Accepted,
    Declined {
        /// When the framework may be asked again.
        until: Timestamp,
    },
    /// The window was changed, has begun, or the framework has nothing there any more.
    Rescinded,
}

impl Event {
    /// Whether the fact must be in the store before anybody is told.
    #[must_use]
    pub fn durable(&self) -> bool {
        match self {
            Self::AgentAdmitted { .. }
            | Self::AgentUnreachable { .. }
            | Self::AgentForgotten { .. }
            | Self::AgentUpkeep { .. }
            | Self::AgentGone { .. }
            | Self::FrameworkSubscribed { .. }
            | Self::FrameworkUpdated { .. }
            | Self::FrameworkOrphaned { .. }
            | Self::OrphanIdle { .. }
            | Self::FrameworkDisconnected { .. }
            | Self::FrameworkCompleted { .. }
            | Self::FrameworkForgotten { .. }
            | Self::RoleSet { .. } => true,
            Self::Started { .. }
            | Self::OffersWithheld(_)
            | Self::OffersResumed
            | Self::AgentRegistered { .. }
            | Self::AgentDisconnected { .. }
            | Self::AgentRemovalDelayed { .. }
            | Self::RemovalsHeld { .. }
            | Self::ResourcesChanged { .. }
            | Self::DemandStated { .. }
            | Self::OperationSent { .. }
            | Self::OperationUpdated { .. }
            | Self::OperationForgotten { .. }
            | Self::RolesSuppressed { .. }
            | Self::RolesRevived { .. }
            | Self::OfferMade { .. }
            | Self::OfferGrown { .. }
            | Self::HoldSet { .. }
            | Self::HoldEnded { .. }
            | Self::OfferEnded { .. }
            | Self::InverseOfferMade { .. }
            | Self::InverseOfferEnded { .. }
            | Self::InverseRefusalOver { .. }
            | Self::FilterSet { .. }
            | Self::FiltersExpired { .. }
            | Self::TaskLaunched { .. }
            | Self::TaskAdded { .. }
            | Self::TaskReported { .. }
            | Self::TaskUpdated { .. }
            | Self::TaskSuspendRequested { .. }
            | Self::TaskResumed { .. }
            | Self::TaskKillRequested { .. }
            | Self::TaskAcknowledged { .. }
            | Self::TaskCompleted { .. } => false,
        }
    }
}
