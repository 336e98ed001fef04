//! What an operator may tune.

use std::time::Duration;

/// A master's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How often a heartbeat is sent on each link; three missed ones end it.
    pub heartbeat_interval: Duration,
    /// How long an agent may be away, or take to come back after a master's start, before it is unreachable.
    pub agent_reregister_timeout: Duration,
    /// How long an offer may go unanswered; absent means for ever.
    pub offer_timeout: Option<Duration>,
    /// The most (agent, framework) pairs one step may examine; the rest waits for the next.
    pub allocation_budget: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(5),
            agent_reregister_timeout: Duration::from_secs(75),
            offer_timeout: Some(Duration::from_secs(30)),
            // A few milliseconds of work: heartbeats are never starved by scheduling.
            allocation_budget: 20_000,
        }
    }
}
