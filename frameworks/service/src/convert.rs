//! Between the messages of `proffer.v1.Services` and the scheduler's types.

use proffer_service_core::{ReplicaState, ReplicaView, ServiceSpec, ServiceTask, ServiceView};
use proffer_types::{ContainerSpec, KillPolicy, Resources, Role};
use proffer_wire::frame::MAX_MESSAGE_BYTES;
use proffer_wire::{ConvertError, v1};
use prost::Message as _;

/// Checks what a client sent; what the scheduler checks itself is left to it.
pub(crate) fn spec(message: Option<v1::ServiceSpec>) -> Result<ServiceSpec, ConvertError> {
    let message = message.ok_or_else(|| missing("spec"))?;
    let task = message.task.ok_or_else(|| missing("task").under("spec"))?;
    Ok(ServiceSpec {
        name: message.name,
        role: role(&message.role).map_err(|error| error.under("spec"))?,
        replicas: message.replicas,
        task: service_task(task).map_err(|error| error.under("task").under("spec"))?,
    })
}

fn missing(field: &str) -> ConvertError {
    ConvertError::new(field, "is missing")
}

fn role(role: &str) -> Result<Role, ConvertError> {
    match role {
        "" => Ok(Role::default()),
        role => Role::new(role).map_err(|error| ConvertError::new("role", error)),
    }
}

fn service_task(message: v1::ServiceTask) -> Result<ServiceTask, ConvertError> {
    let resources = message.resources.unwrap_or_default();
    let container = message.container.ok_or_else(|| missing("container"))?;
    Ok(ServiceTask {
        resources: Resources::try_from(resources).map_err(|error| error.under("resources"))?,
        container: ContainerSpec::try_from(container).map_err(|error| error.under("container"))?,
        kill_policy: message.kill_policy.map(KillPolicy::from).unwrap_or_default(),
    })
}

pub(crate) fn view(view: ServiceView, framework_id: &str) -> v1::ServiceView {
    v1::ServiceView {
        spec: Some(spec_message(view.spec)),
        version: view.version,
        deleting: view.deleting,
        replicas: view.replicas.into_iter().map(replica).collect(),
        framework_id: framework_id.to_owned(),
    }
}

fn spec_message(spec: ServiceSpec) -> v1::ServiceSpec {
    v1::ServiceSpec {
        name: spec.name,
        role: spec.role.to_string(),
        replicas: spec.replicas,
        task: Some(v1::ServiceTask {
            resources: Some(spec.task.resources.into()),
            container: Some(spec.task.container.into()),
            kill_policy: Some(spec.task.kill_policy.into()),
        }),
    }
}

fn replica(replica: ReplicaView) -> v1::Replica {
    v1::Replica {
        slot: replica.slot,
        task_id: replica.task_id.map(|id| id.to_string()).unwrap_or_default(),
        version: replica.version,
        starts: replica.n_starts,
        status: replica.status.map(|status| (&status).into()),
        state: state(replica.state).into(),
    }
}

fn state(state: ReplicaState) -> v1::ReplicaState {
    match state {
        ReplicaState::Waiting => v1::ReplicaState::ReplicaWaiting,
        ReplicaState::BackingOff => v1::ReplicaState::ReplicaBackingOff,
        ReplicaState::Starting => v1::ReplicaState::ReplicaStarting,
        ReplicaState::Running => v1::ReplicaState::ReplicaRunning,
        ReplicaState::Stopping => v1::ReplicaState::ReplicaStopping,
    }
}

/// Leaves the statuses out of an answer that would be larger than what a client accepts.
pub(crate) fn fit(mut services: Vec<v1::ServiceView>) -> Vec<v1::ServiceView> {
    let bytes: usize = services.iter().map(v1::ServiceView::encoded_len).sum();
    if bytes > MAX_MESSAGE_BYTES {
        let replicas = services.iter_mut().flat_map(|service| &mut service.replicas);
        replicas.for_each(|replica| replica.status = None);
    }
    services
}
