//! Service files.

use proffer_wire::v1;
use serde::Deserialize;

use super::task::Check;
use super::task::ServiceTaskFile;
use super::{Condition, Span, Whole};

/// A service file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceFile {
    name: String,
    #[serde(default)]
    role: String,
    replicas: Whole<u32>,
    task: ServiceTaskFile,
    /// For how long nothing is heard of an agent before its replicas are started elsewhere.
    lost_after: Option<Span>,
    /// As in the task.
    health: Option<Check>,
    /// Beside those of the task.
    #[serde(default)]
    constraints: Vec<Condition>,
}

impl From<ServiceFile> for v1::ServiceSpec {
    fn from(service: ServiceFile) -> Self {
        let mut task = service.task.task();
        task.health = task.health.or(service.health);
        task.constraints.extend(service.constraints);
        Self {
            name: service.name,
            role: service.role,
            replicas: service.replicas.0,
            lost_after_ms: service.lost_after.map(Span::millis),
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
