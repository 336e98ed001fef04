//! Frameworks as the master sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{FrameworkId, Role};

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
}

/// A gRPC service of a framework that the master's port forwards to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvertisedService {
    /// Full name, such as `proffer.v1.Jobs`.
    pub name: String,
    /// `host:port` of the live instance.
    pub address: String,
}
