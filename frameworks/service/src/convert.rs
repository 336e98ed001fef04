//! Between the messages of `proffer.v1.Services` and the scheduler's types.

use proffer_service_core::{ReplicaState, ReplicaView, ServiceSpec, ServiceView};
use proffer_wire::frame::MAX_MESSAGE_BYTES;
use proffer_wire::{ConvertError, v1};
use prost::Message as _;

/// What an answer may take: a little less than what a client accepts, for the tags around each service.
const MAX_ANSWER_BYTES: usize = MAX_MESSAGE_BYTES - (16 << 10);

/// Checks what a client sent; what the scheduler checks itself is left to it.
pub(crate) fn spec(message: Option<v1::ServiceSpec>) -> Result<ServiceSpec, ConvertError> {
    let message = message.ok_or_else(|| ConvertError::new("spec", "is missing"))?;
    ServiceSpec::try_from(message).map_err(|error| error.under("spec"))
}

pub(crate) fn view(view: ServiceView, framework_id: &str) -> v1::ServiceView {
    v1::ServiceView {
        spec: Some((&view.spec).into()),
        version: view.version,
        deleting: view.deleting,
        replicas: view.replicas.into_iter().map(replica).collect(),
        framework_id: framework_id.to_owned(),
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

/// Makes an answer small enough for a client: where it would be too large, the replicas' statuses are left
/// out, then their task ids, then the last services.
pub(crate) fn fit(mut services: Vec<v1::ServiceView>) -> Vec<v1::ServiceView> {
    let leave_out: [fn(&mut v1::Replica); 2] =
        [|replica| replica.status = None, |replica| replica.task_id.clear()];
    for leave_out in leave_out {
        if bytes(&services) > MAX_ANSWER_BYTES {
            let replicas = services.iter_mut().flat_map(|service| &mut service.replicas);
            replicas.for_each(leave_out);
        }
    }
    let mut excess = bytes(&services).saturating_sub(MAX_ANSWER_BYTES);
    while excess > 0
        && let Some(dropped) = services.pop()
    {
        excess = excess.saturating_sub(dropped.encoded_len());
    }
    services
}

fn bytes(services: &[v1::ServiceView]) -> usize {
    services.iter().map(v1::ServiceView::encoded_len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(n_services: usize, n_replicas: usize, message_bytes: usize) -> Vec<v1::ServiceView> {
        let status = v1::TaskStatus {
            message: "x".repeat(message_bytes),
            ..v1::TaskStatus::default()
        };
        let replica = v1::Replica {
            task_id: "x".repeat(70),
            status: Some(status),
            ..v1::Replica::default()
        };
        let service = v1::ServiceView {
            framework_id: "x".repeat(1000),
            replicas: vec![replica; n_replicas],
            ..v1::ServiceView::default()
        };
        vec![service; n_services]
    }

    #[test]
    fn an_answer_that_is_too_large_loses_statuses_first_then_task_ids_then_services() {
        let small = services(10, 10, 100);
        assert_eq!(fit(small.clone()), small);

        let no_statuses = fit(services(10, 1000, 1000));
        assert!(
            no_statuses[9]
                .replicas
                .iter()
                .all(|replica| replica.status.is_none())
        );
        assert_eq!(no_statuses[9].replicas[0].task_id.len(), 70);

        let no_ids = fit(services(10, 10_000, 0));
        assert!(no_ids.iter().all(|service| service.replicas.len() == 10_000));
        assert_eq!(no_ids[0].replicas[0].task_id, "");

        let no_room = fit(services(10_000, 0, 0));
        assert!(no_room.len() < 10_000 && bytes(&no_room) <= MAX_ANSWER_BYTES);
    }
}
