//! What an operator may tune.

use std::time::Duration;

use proffer_types::FaultDomain;

/// A master's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How often a heartbeat is sent on each link; three missed ones end it.
    pub heartbeat_interval: Duration,
    /// How long an agent may be away, or take to come back after a master's start, before it is unreachable.
    pub agent_reregister_timeout: Duration,
    /// How many agents may become unreachable in any span of a length; absent means as many as do.
    pub removal_limit: Option<RemovalLimit>,
    /// When more than this share of the agents that a starting master expects does not come back in time, none of them
    /// is given up: an operator has to look. In percent; 100 means that there is no such share.
    pub recovery_removal_percent: u32,
    /// How long an offer may go unanswered; absent means for ever.
    pub offer_timeout: Option<Duration>,
    /// The most (agent, framework) pairs one step may examine; the rest waits for the next.
    pub allocation_budget: u64,
    /// How long a gang or a large task waits before what ends is held for it.
    pub hold_after: Duration,
    /// Where the master is. Frameworks that are not region aware are offered no agents of other regions.
    pub domain: Option<FaultDomain>,
    /// With quota set, a starting master makes no offers before this share of the agents it knows is back: what is
    /// free of those that are not cannot be told apart from what is used. In percent.
    pub recovery_percent: u32,
    /// The longest time it waits for them.
    pub recovery_timeout: Duration,
}

/// So many in any span of that length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovalLimit {
    /// At least 1, at most [`crate::limits::MAX_REMOVALS`].
    pub n: u32,
    pub per: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(5),
            agent_reregister_timeout: Duration::from_secs(75),
            // Neither, as in Mesos.
            removal_limit: None,
            recovery_removal_percent: 100,
            offer_timeout: Some(Duration::from_secs(30)),
            // A few milliseconds of work: heartbeats are never starved by scheduling.
            allocation_budget: 20_000,
            hold_after: proffer_allocator::HOLD_AFTER,
            domain: None,
            // As in Mesos.
            recovery_percent: 80,
            recovery_timeout: Duration::from_secs(10 * 60),
        }
    }
}
