//! Facts: every change of the master's state, as plain data.
//!
//! The state is the fold of these. The durable ones are committed before anybody is told.

use std::collections::BTreeSet;

use proffer_types::{
    AgentId, AgentInfo, FrameworkId, FrameworkInfo, KillPolicy, OfferId, Resources, Role, Session, TaskId,
    TaskInfo, TaskState, TaskStatus, Timestamp,
};

use crate::LinkId;

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The first step after a start: agents of the registry have until `deadline` to come back.
    Started {
        at: Timestamp,
        deadline: Timestamp,
    },

    /// A new agent, or one that came back with other facts, or from being unreachable.
    AgentAdmitted {
        agent_id: AgentId,
        info: AgentInfo,
    },
    /// An agent's session is open.
    AgentRegistered {
        agent_id: AgentId,
        link: LinkId,
        session: Session,
    },
    /// An agent's session ended; it has until `deadline` to come back.
    AgentDisconnected {
        agent_id: AgentId,
        deadline: Timestamp,
    },
    /// An agent stayed away too long; its tasks are unreachable and its resources leave the pool.
    AgentUnreachable {
        agent_id: AgentId,
        since: Timestamp,
    },
    /// An agent was unreachable for so long that its id is dropped.
    AgentForgotten {
        agent_id: AgentId,
    },

    /// A framework subscribed, for the first time or again.
    FrameworkSubscribed {
        framework_id: FrameworkId,
        info: FrameworkInfo,
        suppressed_roles: BTreeSet<Role>,
        link: LinkId,
    },
    /// Agents run tasks of a framework the master had no record of; it has until `deadline` to subscribe.
    FrameworkRecovered {
        framework_id: FrameworkId,
        info: FrameworkInfo,
        deadline: Timestamp,
    },
    /// A framework is away; its tasks are killed at `deadline`.
    FrameworkDisconnected {
        framework_id: FrameworkId,
        deadline: Timestamp,
    },
    /// A framework was torn down or stayed away too long; its id is spent.
    FrameworkCompleted {
        framework_id: FrameworkId,
    },
    /// A completed framework was dropped from the bounded list.
    FrameworkForgotten {
        framework_id: FrameworkId,
    },
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
    /// A role's weight among its siblings.
    RoleWeightSet {
        role: Role,
        weight_millis: u64,
    },

    OfferMade {
        offer_id: OfferId,
        framework_id: FrameworkId,
        agent_id: AgentId,
        role: Role,
        resources: Resources,
        expires: Option<Timestamp>,
    },
    OfferEnded {
        offer_id: OfferId,
        end: OfferEnd,
    },
    /// A framework does not want less than this of that agent for a while.
    FilterSet {
        framework_id: FrameworkId,
        role: Role,
        agent_id: AgentId,
        refused: Resources,
        until: Timestamp,
    },
    /// Filters with a deadline up to `at` are gone.
    FiltersExpired {
        at: Timestamp,
    },

    /// A task was accepted; it goes to its agent.
    TaskLaunched {
        framework_id: FrameworkId,
        role: Role,
        info: TaskInfo,
        at: Timestamp,
    },
    /// An agent runs a task the master did not have: after a master's start, or back from unreachable.
    TaskAdded {
        framework_id: FrameworkId,
        role: Role,
        info: TaskInfo,
        status: TaskStatus,
    },
    /// An agent listed a live task at registration; its statuses follow.
    TaskReported {
        framework_id: FrameworkId,
        task_id: TaskId,
        state: TaskState,
    },
    /// A status came by; `latest_state` is the newest state known at its source.
    TaskUpdated {
        framework_id: FrameworkId,
        status: TaskStatus,
        latest_state: TaskState,
    },
    /// A kill is wanted; it is repeated when the agent comes back.
    TaskKillRequested {
        framework_id: FrameworkId,
        task_id: TaskId,
        kill_policy: KillPolicy,
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

/// How an offer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferEnd {
    Accepted,
    Declined,
    /// It timed out, its agent or framework left, or a weight changed.
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
            | Self::FrameworkSubscribed { .. }
            | Self::FrameworkRecovered { .. }
            | Self::FrameworkDisconnected { .. }
            | Self::FrameworkCompleted { .. }
            | Self::FrameworkForgotten { .. }
            | Self::RoleWeightSet { .. } => true,
            Self::Started { .. }
            | Self::AgentRegistered { .. }
            | Self::AgentDisconnected { .. }
            | Self::RolesSuppressed { .. }
            | Self::RolesRevived { .. }
            | Self::OfferMade { .. }
            | Self::OfferEnded { .. }
            | Self::FilterSet { .. }
            | Self::FiltersExpired { .. }
            | Self::TaskLaunched { .. }
            | Self::TaskAdded { .. }
            | Self::TaskReported { .. }
            | Self::TaskUpdated { .. }
            | Self::TaskKillRequested { .. }
            | Self::TaskAcknowledged { .. }
            | Self::TaskCompleted { .. } => false,
        }
    }
}
