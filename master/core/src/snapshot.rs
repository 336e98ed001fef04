//! What readers see: a copy of the state for lists, tables and metrics, taken between steps.

use std::sync::Arc;

use proffer_allocator::{Counted, Reason};
use proffer_types::{
    AgentId, AgentInfo, FrameworkId, FrameworkInfo, MasterId, Offer, Resources, Role, TaskInfo, TaskState,
    TaskStatus, Timestamp,
};

/// The cluster at one moment. Tasks are shared, not copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub master_id: MasterId,
    /// The allocator's name.
    pub allocator: &'static str,
    pub agents: Vec<AgentView>,
    /// Those not completed.
    pub frameworks: Vec<FrameworkView>,
    /// Those a framework has not seen the end of, by framework and id.
    pub tasks: Vec<Arc<TaskView>>,
    /// Those that ended, oldest first per framework; a bounded number of each.
    pub completed_tasks: Vec<Arc<TaskView>>,
    pub offers: Vec<Offer>,
    pub roles: Vec<RoleView>,
}

/// Where an agent is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentState {
    Active,
    /// Its link is down; it has until the re-registration timeout.
    Disconnected,
    /// Known from the registry, not back since the master started.
    Recovered,
    Unreachable,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView {
    pub agent_id: AgentId,
    pub info: AgentInfo,
    pub state: AgentState,
    pub used: Resources,
    pub offered: Resources,
    /// Those that hold resources there.
    pub n_tasks: u32,
}

/// Where a framework is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameworkState {
    Active,
    Disconnected,
    /// Known from the registry or from agents, not back since the master started.
    Recovered,
}

/// One framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameworkView {
    pub framework_id: FrameworkId,
    pub info: FrameworkInfo,
    pub state: FrameworkState,
    pub used: Resources,
    pub offered: Resources,
    pub n_tasks: u32,
    /// The largest share of any one resource, in thousandths of the cluster, over the role's weight.
    pub dominant_share_permille: u32,
    /// When its tasks are killed if it stays away.
    pub failover_deadline: Option<Timestamp>,
    /// Why it was passed over since its last offer.
    pub reasons: Vec<Counted<Reason>>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    pub framework_id: FrameworkId,
    pub role: Role,
    pub info: TaskInfo,
    /// The newest state known.
    pub state: TaskState,
    /// The newest status that came by; may lag behind `state`.
    pub status: TaskStatus,
}

/// One role that has a weight, a framework or a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleView {
    pub role: Role,
    pub weight_millis: u64,
    /// Claimed by this role and those below it.
    pub allocated: Resources,
    /// Those subscribed in this very role.
    pub n_frameworks: u32,
}
