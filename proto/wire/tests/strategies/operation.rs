//! Arbitrary operations, changes of resources and operation statuses.

use proffer_types::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{TEXT, id, resources, role, task_info, uuid};

fn reservation() -> impl Strategy<Value = Reservation> {
    (role(), any::<bool>())
        .prop_filter("nothing can be reserved to `*`", |(role, _)| {
            *role != Role::default()
        })
        .prop_map(|(role, is_static)| Reservation {
            is_static,
            ..Reservation::dynamic(role)
        })
}

fn volume() -> impl Strategy<Value = Volume> {
    (id(), "(/[a-z]{1,4}){1,3}", any::<bool>()).prop_map(|(id, container_path, shared)| Volume {
        id,
        container_path,
        shared,
    })
}

pub(super) fn change() -> impl Strategy<Value = ResourceChange> {
    prop_oneof![
        (resources(), reservation()).prop_map(|(resources, reservation)| ResourceChange::Reserve {
            resources,
            reservation
        }),
        resources().prop_map(|resources| ResourceChange::Unreserve { resources }),
        (resources(), volume()).prop_map(|(disk, volume)| ResourceChange::Create { disk, volume }),
        id().prop_map(|volume| ResourceChange::Destroy { volume }),
        (id(), any::<u64>()).prop_map(|(volume, addition_bytes)| ResourceChange::Grow {
            volume,
            addition_bytes
        }),
        (id(), any::<u64>()).prop_map(|(volume, subtract_bytes)| ResourceChange::Shrink {
            volume,
            subtract_bytes
        }),
    ]
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        vec(task_info(), 0..3).prop_map(Operation::Launch),
        vec(task_info(), 0..3).prop_map(Operation::LaunchGroup),
        vec(id(), 0..3).prop_map(Operation::Resume),
        (option::of(id()), change()).prop_map(|(id, change)| Operation::Change { id, change }),
    ]
}

pub(super) fn status() -> impl Strategy<Value = OperationStatus> {
    (
        (id(), option::of(id()), select(OperationState::ALL.to_vec())),
        (TEXT, any::<u64>(), option::of(uuid())),
    )
        .prop_map(
            |((operation_id, agent_id, state), (message, ms, uuid))| OperationStatus {
                operation_id,
                agent_id,
                state,
                message,
                timestamp: Timestamp(ms),
                uuid,
            },
        )
}
