//! What has to outlive a restart: the machines that are being added or removed. All others are the master's to tell.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The machines that are being added or removed, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    pub machines: BTreeMap<String, Machine>,
}

/// One machine on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    pub shape: String,
    pub phase: Phase,
    /// Since when it is in this phase, in milliseconds since 1970; an addition, since it began.
    pub since_ms: u64,
    /// Its agent, if one ever registered.
    pub agent: Option<String>,
}

/// How far a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The provider is asked to add it.
    Adding,
    /// The provider added it; its agent has not registered yet.
    Registering,
    /// Its agent is drained, and may be taken back.
    Draining,
    /// The provider is asked to remove it.
    Removing,
    /// It is removed; the master is to know that its agent is gone.
    Leaving,
}

impl Machine {
    /// Whether it is on its way in.
    pub(crate) fn is_coming(&self) -> bool {
        match self.phase {
            Phase::Adding | Phase::Registering => true,
            Phase::Draining | Phase::Removing | Phase::Leaving => false,
        }
    }
}
