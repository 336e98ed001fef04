//! What monitors are told of each service: a few numbers.

use proffer_types::Timestamp;

use crate::discovery::namespace;
use crate::instance::{CRASH_LOOP, Instance, STEADY};
use crate::service::Service;
use crate::services::Services;
use crate::slot::Slot;

/// One service in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    pub namespace: String,
    /// In its namespace.
    pub name: String,
    pub wanted: u32,
    /// Of the slots, those with a replica that can be counted on.
    pub available: u32,
    /// Replicas that failed quickly again and again, and have not run for long enough since.
    pub crash_looping: u32,
    /// Whether the latest deployment failed, or takes back one that did.
    pub deployment_failed: bool,
}

impl Services {
    /// Each service in numbers, by name; at most [`MAX_SERVICES`](crate::MAX_SERVICES).
    #[must_use]
    pub fn tallies(&self, now: Timestamp) -> Vec<Tally> {
        self.services.values().map(|service| service.tally(now)).collect()
    }
}

impl Service {
    fn tally(&self, now: Timestamp) -> Tally {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let instances = self.slots.values().flat_map(Slot::instances);
        let loops = instances.filter(|(_, instance)| instance.is_in_crash_loop(now));
        let failed = |deployment: &crate::deployment::Deployment| {
            deployment.has_failed() || deployment.rolls_back.is_some()
        };
        let name = &self.spec.name;
        Tally {
            namespace: namespace(name).to_owned(),
            name: name.split('.').next().unwrap_or(name).to_owned(),
            wanted: self.n_wanted(),
            available: count(self.index.available.len()),
            crash_looping: count(loops.count()),
            deployment_failed: self.deployment.as_ref().is_some_and(failed),
        }
    }
}

impl Instance {
    fn is_in_crash_loop(&self, now: Timestamp) -> bool {
        let is_steady = self
            .running_since()
            .is_some_and(|since| now.since(since) >= STEADY);
        self.n_failures >= CRASH_LOOP && !is_steady
    }
}
