//! Agents as the rest of the cluster sees them.

use crate::{AgentId, Resources};

/// What an agent says of itself when it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentInfo {
    pub hostname: String,
    /// `host:port` of the agent's own API.
    pub address: String,
    /// What it has to offer in all.
    pub resources: Resources,
    pub attributes: Vec<Attribute>,
    pub version: String,
    /// What enforces limits there: `cgroup v2` or `cgroup v1 (hybrid)`.
    pub cgroups: String,
    /// What it shares its failures with.
    pub domain: Option<FaultDomain>,
    /// Whether it can suspend tasks.
    pub can_suspend: bool,
}

/// Where an agent is: machines of one zone fail together now and then, those of one region hardly ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultDomain {
    pub region: String,
    pub zone: String,
}

/// A fact about an agent that schedulers may constrain on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attribute {
    pub name: String,
    pub value: String,
}

/// An agent as frameworks that ask for it are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAgent {
    pub id: AgentId,
    pub info: AgentInfo,
    /// Whether it may be offered, now or when it is back: no operator took it out of use, and it was not given up.
    pub is_offered: bool,
}
