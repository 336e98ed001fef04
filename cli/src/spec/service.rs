//! Service files.

use proffer_wire::v1;
use serde::Deserialize;

use super::Whole;
use super::task::with_task_fields;

/// A service file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceFile {
    name: String,
    #[serde(default)]
    role: String,
    replicas: Whole<u32>,
    task: ServiceTaskFile,
}

with_task_fields! {
    /// What every replica runs.
    struct ServiceTaskFile {}
}

impl From<ServiceFile> for v1::ServiceSpec {
    fn from(service: ServiceFile) -> Self {
        let task = service.task.task();
        Self {
            name: service.name,
            role: service.role,
            replicas: service.replicas.0,
            task: Some(v1::ServiceTask {
                resources: Some(task.resources()),
                container: Some(task.container()),
                kill_policy: task.kill_policy(),
                limits: task.limits.message(),
                rules: task.rules(),
            }),
        }
    }
}
