//! What the autoscaler of agents decides, without a clock, a network or a process.
//!
//! Whoever runs it shows it the cluster now and then ([`Autoscaler::step`]), does what it says, and tells it how that ended
//! ([`Autoscaler::ended`]). What has to outlive a restart is its [`Memory`], which is written down before anything is done.

mod autoscaler;
mod config;
mod memory;
mod pack;
mod view;

#[cfg(test)]
mod tests;

pub use self::autoscaler::{Action, Autoscaler, Decision, Ended};
pub use self::config::{AgentShape, Config, ConfigError, MAX_AGENTS, MAX_SHAPES};
pub use self::memory::{Machine, Memory, Phase};
pub use self::view::{
    AgentSeen, Drain, MACHINE_ATTRIBUTE, Presence, SHAPE_ATTRIBUTE, Unmet, View, membership_attributes,
};
