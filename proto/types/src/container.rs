//! What runs in a container, and how it is confined; the part of a task the agent's isolators read.

use std::collections::BTreeMap;

/// One container. Resource limits are not here: they follow from the task's resources.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerSpec {
    /// The program and its arguments; looked up on the task's PATH when it holds no slash. Not empty,
    /// no NUL bytes.
    pub command: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Absolute; absent means the task's sandbox.
    pub working_directory: Option<String>,
    /// The most processes and threads at once; absent means the agent's default.
    pub pids_limit: Option<u64>,
}
