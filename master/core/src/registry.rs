//! The few facts that outlive a master, as plain data: the shell only encodes them.
//!
//! A record is replaced whole; the key is the id within it.

use proffer_allocator::RoleConfig;
use proffer_types::{AgentId, AgentInfo, FrameworkId, FrameworkInfo, Role, Timestamp};

use crate::Upkeep;

/// Everything a starting master reads from its store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registry {
    pub agents: Vec<AgentRecord>,
    pub frameworks: Vec<FrameworkRecord>,
    pub roles: Vec<RoleRecord>,
}

/// An admitted agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    pub agent_id: AgentId,
    pub info: AgentInfo,
    /// Present while the agent is unreachable.
    pub unreachable_since: Option<Timestamp>,
    /// Present when an operator declared it gone: the id is spent.
    pub gone_since: Option<Timestamp>,
    /// What operators decided of it.
    pub upkeep: Upkeep,
}

/// A framework that subscribed at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameworkRecord {
    pub framework_id: FrameworkId,
    /// `info.id` is always present and equal to `framework_id`.
    pub info: FrameworkInfo,
    /// Order of first registration; breaks ties between equal shares.
    pub order: u64,
    /// Present while the framework is away.
    pub failover_deadline: Option<Timestamp>,
    /// The id is spent.
    pub completed: bool,
    /// Present while only its tasks are known.
    pub orphaned_since: Option<Timestamp>,
}

/// A role of which an operator set something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRecord {
    pub role: Role,
    pub config: RoleConfig,
}

/// One change of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryChange {
    PutAgent(AgentRecord),
    DeleteAgent(AgentId),
    PutFramework(FrameworkRecord),
    DeleteFramework(FrameworkId),
    PutRole(RoleRecord),
    DeleteRole(Role),
}

impl Registry {
    /// Applies one change, as a store would. For tests and the simulator; linear in the registry's size.
    pub fn apply(&mut self, change: &RegistryChange) {
        match change {
            RegistryChange::PutAgent(record) => {
                self.agents.retain(|old| old.agent_id != record.agent_id);
                self.agents.push(record.clone());
            }
            RegistryChange::DeleteAgent(id) => self.agents.retain(|old| old.agent_id != *id),
            RegistryChange::PutFramework(record) => {
                self.frameworks
                    .retain(|old| old.framework_id != record.framework_id);
                self.frameworks.push(record.clone());
            }
            RegistryChange::DeleteFramework(id) => self.frameworks.retain(|old| old.framework_id != *id),
            RegistryChange::PutRole(record) => {
                self.roles.retain(|old| old.role != record.role);
                self.roles.push(record.clone());
            }
            RegistryChange::DeleteRole(role) => self.roles.retain(|old| old.role != *role),
        }
    }
}
