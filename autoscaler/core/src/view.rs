//! What is seen of the cluster at one moment.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_types::{AgentId, AgentInfo, Attribute, FrameworkId, OfferConstraints, Resources, Role, Shape};

/// The attribute by which an agent says of which shape it is.
pub const SHAPE_ATTRIBUTE: &str = "shape";
/// The attribute by which an agent says which machine it is, as the provider was told. Agents without it are left alone.
pub const MACHINE_ATTRIBUTE: &str = "machine";

/// The cluster at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// Those that are not gone.
    pub agents: Vec<AgentSeen>,
    pub unmet: Vec<Unmet>,
    /// Agents that are offered to somebody who asked for it, or have room for what is wanted.
    pub needed: BTreeSet<AgentId>,
    /// What of all agents together has to stay free for the guarantees of roles.
    pub held_for_guarantees: Resources,
    /// The master did not look at everything that is wanted.
    pub is_cut: bool,
    /// The master waits for agents to come back before it offers anything.
    pub is_withheld: bool,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSeen {
    pub id: AgentId,
    pub info: AgentInfo,
    pub presence: Presence,
    pub used: Resources,
    /// Besides those that come with every agent.
    pub n_tasks: u32,
    pub drain: Option<Drain>,
    /// Deactivated by an operator.
    pub is_deactivated: bool,
}

/// Whether an agent is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Active,
    /// Its link is down, or it is not back since the master started; it has some time.
    Away,
    /// Given up, for so long.
    Unreachable(Duration),
}

/// How far a drain is, whoever asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    Draining,
    Drained,
}

/// Tasks of one shape for which no agent has room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    pub framework_id: FrameworkId,
    pub framework: String,
    pub role: Role,
    /// Its count is of how many tasks there is no room though quota allows them.
    pub shape: Shape,
    /// How many further tasks a limit forbids, of which role and resource.
    pub over_limit: Option<(u32, String, String)>,
    pub constraints: OfferConstraints,
    /// The only region whose agents will do, of those that say where they are.
    pub region: Option<String>,
    pub waiting: Duration,
}

/// The attributes by which an agent of a shape says so, and which machine it is.
#[must_use]
pub fn membership_attributes(shape: &str, machine: &str) -> Vec<Attribute> {
    let attribute = |name: &str, value: &str| Attribute {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    vec![
        attribute(SHAPE_ATTRIBUTE, shape),
        attribute(MACHINE_ATTRIBUTE, machine),
    ]
}

impl AgentSeen {
    fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.info.attributes.iter();
        attributes
            .find(|attribute| attribute.name == name)
            .map(|attribute| &attribute.value[..])
    }

    /// The shape and the machine of an agent that was added by an autoscaler.
    pub(crate) fn membership(&self) -> Option<(&str, &str)> {
        self.attribute(SHAPE_ATTRIBUTE)
            .zip(self.attribute(MACHINE_ATTRIBUTE))
    }

    /// What its tasks leave.
    pub(crate) fn free(&self) -> Resources {
        self.info.resources.plain().minus(&self.used)
    }
}
