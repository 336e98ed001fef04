//! What a service ran, runs, and is to run: the versions of its role and task.

use std::collections::BTreeMap;

use proffer_types::{Role, ShapeId, Timestamp};

use crate::spec::{ServiceSpec, ServiceTask};

/// How many versions of a service are remembered, beside those that still run and the last good one.
pub const MAX_VERSIONS: usize = 10;

/// One version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Counts them, from 1.
    pub number: u64,
    pub role: Role,
    pub task: ServiceTask,
    pub created: Timestamp,
    pub outcome: Outcome,
    /// Revisions of the configs that its tasks restart for, by name.
    pub configs: BTreeMap<String, u64>,
    /// Not that of another version, of whichever service.
    pub(crate) shape: u64,
}

/// What became of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Is being deployed.
    Deploying,
    /// All replicas were available with it.
    Good,
    /// It could not be deployed; in words.
    Failed(String),
    /// Another one took its place before all replicas were available.
    Superseded,
}

impl Version {
    pub(crate) fn new(
        number: u64,
        shape: u64,
        spec: &ServiceSpec,
        configs: BTreeMap<String, u64>,
        created: Timestamp,
    ) -> Self {
        Self {
            number,
            shape,
            role: spec.role.clone(),
            task: spec.task.clone(),
            configs,
            created,
            outcome: Outcome::Deploying,
        }
    }

    pub(crate) fn shape_id(&self) -> ShapeId {
        ShapeId(self.shape)
    }
}

/// The versions to forget, oldest first: all but the latest few and those in use.
pub(crate) fn forgettable(versions: &BTreeMap<u64, Version>, in_use: impl Fn(u64) -> bool) -> Vec<u64> {
    let unused = versions.keys().copied().filter(|number| !in_use(*number));
    let too_many = versions.len().saturating_sub(MAX_VERSIONS);
    unused.take(too_many).collect()
}
