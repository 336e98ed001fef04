//! The ledger: the truth about who has what. Owned by the master, lent to allocators.
//!
//! Invariant: every sum equals the sum of the claims. An agent's free resources are its total without its claims, never
//! negative: an agent that came back smaller is over-claimed and simply has less free than it lacks.
//! A change costs what it touches: the agent, the leaf and the roles above it.

mod agents;
mod check;
mod claims;
mod demand;
mod filters;
mod frameworks;
mod holds;
mod offerable;
mod roles;
mod slots;

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::{AgentId, Capabilities, FrameworkId, Role, Timestamp};

use crate::{Quantities, Share};
pub use agents::AgentEntry;
pub use claims::{Claim, ClaimKind};
pub use filters::Filter;
pub use frameworks::{FrameworkEntry, LeafEntry};
pub use holds::{Held, Hold, Waiting};
pub use offerable::Obstacle;
pub(crate) use offerable::{is_allocatable, take_tasks};
pub use roles::{DEFAULT_WEIGHT_MILLIS, RoleConfig, RoleEntry, Usage};
pub(crate) use slots::Slots;
pub use slots::{AgentIx, ClaimIx, Handle, LeafIx, RoleIx};

/// What changed in the ledger: a hint for an allocator's own indexes.
///
/// The handle may be gone, or name something else, by the time it is looked at: look at the ledger, not at the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// An agent joined, came back, left, or has another total or other attributes.
    Agent(AgentIx),
    /// A framework in a role joined, left, was suppressed or revived, or had filters dropped.
    Leaf(LeafIx),
    /// A leaf states another demand.
    Demand(LeafIx),
    /// A role has another weight, priority or quota.
    Role(RoleIx),
    Claimed(AgentIx, LeafIx),
    /// With the role of the leaf or, when both were dropped, the lowest above it that stayed.
    Released(AgentIx, LeafIx, RoleIx),
    /// What a framework refused of an agent may be offered to it again.
    FilterExpired(AgentIx, LeafIx),
}

/// Totals, claims, frameworks, roles, quota, demand and filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Where the master is: frameworks that are not region aware are offered no agents of other regions.
    region: Option<String>,
    agents: Slots<AgentIx, AgentEntry>,
    agents_by_id: BTreeMap<AgentId, AgentIx>,
    frameworks: BTreeMap<FrameworkId, FrameworkEntry>,
    leaves: Slots<LeafIx, LeafEntry>,
    leaves_by_id: BTreeMap<FrameworkId, BTreeMap<Role, LeafIx>>,
    roles: Slots<RoleIx, RoleEntry>,
    roles_by_name: BTreeMap<Role, RoleIx>,
    claims: Slots<ClaimIx, Claim>,
    /// Exactly the ends of all filters.
    filter_ends: BTreeSet<(Timestamp, AgentIx, LeafIx)>,
    total: Quantities,
    /// What active agents have free that is neither reserved nor revocable.
    free: Quantities,
    /// How many roles have a guarantee.
    n_guarantees: usize,
    /// How many agents have anything revocable.
    n_revocable: usize,
    holds: BTreeMap<LeafIx, Hold>,
    /// By agent, for whom.
    held: BTreeMap<AgentIx, LeafIx>,
}

/// Above all roles; always there.
pub const ROOT: RoleIx = RoleIx(0);

impl Default for Ledger {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Ledger {
    /// An empty ledger of a master in this region.
    #[must_use]
    pub fn new(region: Option<String>) -> Self {
        let mut roles = Slots::default();
        let root: RoleIx = roles.insert(RoleEntry::root());
        debug_assert_eq!(root, ROOT, "the root is the first role");
        Self {
            region,
            agents: Slots::default(),
            agents_by_id: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            leaves: Slots::default(),
            leaves_by_id: BTreeMap::new(),
            roles,
            roles_by_name: BTreeMap::new(),
            claims: Slots::default(),
            filter_ends: BTreeSet::new(),
            total: Quantities::default(),
            free: Quantities::default(),
            n_guarantees: 0,
            n_revocable: 0,
            holds: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// The only region of which a framework with these capabilities is offered agents, of those that say where they are.
    #[must_use]
    pub fn only_region(&self, capabilities: Capabilities) -> Option<&str> {
        self.region.as_deref().filter(|_| !capabilities.region_aware)
    }

    /// The scalars of the whole pool.
    #[must_use]
    pub fn total(&self) -> &Quantities {
        &self.total
    }

    /// A framework's largest dominant share in any of its roles, over the role's weight.
    #[must_use]
    pub fn share(&self, framework: &FrameworkId) -> Share {
        let leaves = self.leaves_of(framework);
        leaves
            .map(|(_, leaf)| self.leaf_share(leaf))
            .max()
            .unwrap_or(Share::ZERO)
    }

    /// A leaf's dominant share over the weight of its role.
    #[must_use]
    pub fn leaf_share(&self, leaf: LeafIx) -> Share {
        let entry = &self.leaves[leaf];
        let weight = self.roles[entry.role].config.weight_millis;
        Share::dominant(&entry.usage.claimed, &self.total, weight)
    }
}
