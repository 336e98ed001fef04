//! Service specs as messages: what a client sends and what is kept of a service are the same `v1::ServiceSpec`.
//!
//! What the wire can check is checked here; what only the scheduler knows is left to `spec`.

use std::time::Duration;

use proffer_types::{ContainerSpec, KillPolicy, Limits, PlacementRules, Resources};
use proffer_wire::container::check_memory;
use proffer_wire::demand::{Budget, placement_rules};
use proffer_wire::task::limits;
use proffer_wire::text::role;
use proffer_wire::{ConvertError, v1};

use crate::spec::{ServiceSpec, ServiceTask};

impl TryFrom<v1::ServiceSpec> for ServiceSpec {
    type Error = ConvertError;

    fn try_from(message: v1::ServiceSpec) -> Result<Self, ConvertError> {
        let task = message.task.ok_or_else(|| missing("task"))?;
        Ok(Self {
            name: message.name,
            role: role(&message.role)?,
            replicas: message.replicas,
            task: service_task(task).map_err(|error| error.under("task"))?,
            lost_after: message.lost_after_ms.map(Duration::from_millis),
        })
    }
}

fn service_task(message: v1::ServiceTask) -> Result<ServiceTask, ConvertError> {
    let in_container = |error: ConvertError| error.under("container");
    let resources = message.resources.unwrap_or_default();
    let resources = Resources::try_from(resources).map_err(|error| error.under("resources"))?;
    let limits = limits(message.limits.unwrap_or_default(), &resources);
    let rules = placement_rules(message.rules, &mut Budget::default());
    let container = message.container.ok_or_else(|| missing("container"))?;
    let container: ContainerSpec = container.try_into().map_err(in_container)?;
    check_memory(&container, &resources).map_err(in_container)?;
    Ok(ServiceTask {
        resources,
        limits: limits.map_err(|error| error.under("limits"))?,
        rules: rules.map_err(|error| error.under("rules"))?,
        container,
        kill_policy: message.kill_policy.map(KillPolicy::from).unwrap_or_default(),
    })
}

fn missing(field: &str) -> ConvertError {
    ConvertError::new(field, "is missing")
}

impl From<&ServiceSpec> for v1::ServiceSpec {
    fn from(spec: &ServiceSpec) -> Self {
        Self {
            name: spec.name.clone(),
            role: spec.role.to_string(),
            replicas: spec.replicas,
            task: Some(task_message(&spec.task)),
            lost_after_ms: spec.lost_after.map(millis),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn task_message(task: &ServiceTask) -> v1::ServiceTask {
    v1::ServiceTask {
        limits: (task.limits != Limits::default()).then(|| task.limits.into()),
        rules: (task.rules != PlacementRules::default()).then(|| (&task.rules).into()),
        resources: Some((&task.resources).into()),
        container: Some((&task.container).into()),
        kill_policy: Some(task.kill_policy.into()),
    }
}
