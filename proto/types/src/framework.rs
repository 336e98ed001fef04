//! Frameworks as the master sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{FrameworkId, OfferConstraints, Resources, Role};

/// How long tasks outlive a scheduler that is away, where it does not say: one week. Zero, the
/// default of Mesos, kills every task when a scheduler merely restarts.
pub const DEFAULT_FAILOVER_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a framework says of itself when it subscribes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameworkInfo {
    /// Absent on the very first subscription.
    pub id: Option<FrameworkId>,
    pub name: String,
    /// Not empty.
    pub roles: BTreeSet<Role>,
    pub failover_timeout: Duration,
    pub services: Vec<AdvertisedService>,
    pub labels: BTreeMap<String, String>,
    pub capabilities: Capabilities,
    /// By role; a role that is absent has the defaults.
    pub preferences: BTreeMap<Role, OfferPreferences>,
}

/// What a framework knows how to use; what it does not is left out of its offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Resources that may be taken back at any time.
    pub revocable: bool,
    /// Volumes that others may use at the same time.
    pub shared: bool,
    /// Agents of other regions than the master's.
    pub region_aware: bool,
    /// To be told of all agents, not only of those that are offered: whoever spreads over what there is has to know it.
    pub agents: bool,
}

/// Which offers a framework wants in one of its roles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OfferPreferences {
    /// An offer holds at least one of these; scalars only. Absent means the master's own minimum; empty, that
    /// anything will do. Says nothing of offers for stated demand, which are as large as was stated.
    pub min_allocatable: Option<Vec<Resources>>,
    pub constraints: OfferConstraints,
}

/// A gRPC service of a framework that the master's port forwards to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvertisedService {
    /// Full name, such as `proffer.v1.Jobs`.
    pub name: String,
    /// `host:port` of the live instance.
    pub address: String,
}
