//! Offers as a scheduler sees them, and the filter it answers with.

use std::time::Duration;

use crate::{
    AgentId, AgentInfo, Attribute, FaultDomain, FrameworkId, GangId, OfferConstraints, OfferId, Resources,
    Role, ShapeId, Unavailability,
};

/// Resources of one agent, promised to one framework in one of its roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub id: OfferId,
    pub framework_id: FrameworkId,
    pub agent_id: AgentId,
    pub hostname: String,
    /// `host:port` of the agent: tasks in its host's network, and published ports, are reached at that host.
    pub address: String,
    pub role: Role,
    pub resources: Resources,
    pub attributes: Vec<Attribute>,
    pub domain: Option<FaultDomain>,
    /// The stated shapes that the offer has room for, and how many tasks of each; empty where none was stated.
    pub shapes: Vec<(ShapeId, u32)>,
    /// Present when the offer is one of several that are answered together.
    pub gang: Option<OfferGang>,
    /// The agent's next maintenance window: at its start, what still runs there is killed.
    pub unavailability: Option<Unavailability>,
}

impl Offer {
    /// Whether the agent behind it satisfies constraints.
    #[must_use]
    pub fn meets(&self, constraints: &OfferConstraints) -> bool {
        constraints.is_empty() || constraints.hold(&self.agent_info())
    }

    /// The agent behind it, as far as it tells.
    #[must_use]
    pub fn agent_info(&self) -> AgentInfo {
        AgentInfo {
            hostname: self.hostname.clone(),
            address: self.address.clone(),
            resources: Resources::new(),
            attributes: self.attributes.clone(),
            version: String::new(),
            cgroups: String::new(),
            domain: self.domain.clone(),
            can_suspend: false,
        }
    }
}

/// The bundle of offers for one gang: accepted whole in one call, or declined or rescinded whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferGang {
    pub id: GangId,
    /// How many offers make up the bundle.
    pub n_offers: u32,
}

/// What a scheduler does not want of an agent, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filters {
    /// Zero means no filter; at most [`Filters::MAX`].
    pub refuse: Duration,
    /// Nothing less than this of the agent; scalars only. Absent means nothing but noticeably more than is refused.
    pub at_least: Option<Resources>,
}

impl Filters {
    /// Where a scheduler does not say: 5 s.
    pub const DEFAULT: Self = Self {
        refuse: Duration::from_secs(5),
        at_least: None,
    };
    /// The longest filter: 365 days.
    pub const MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    /// No filter: the same resources may be offered again at once.
    pub const NONE: Self = Self {
        refuse: Duration::ZERO,
        at_least: None,
    };

    /// Nothing like what is refused for so long.
    #[must_use]
    pub fn refuse(refuse: Duration) -> Self {
        Self {
            refuse,
            at_least: None,
        }
    }
}

impl Default for Filters {
    fn default() -> Self {
        Self::DEFAULT
    }
}
