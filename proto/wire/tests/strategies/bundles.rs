//! Arbitrary bundles of resources of every kind.

use proffer_types::*;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::{TEXT, id};

fn plain_resources() -> impl Strategy<Value = Resources> {
    let millis = 0..=1_u64 << 51;
    let bytes = 0..=resources::MAX_SCALAR;
    let ports = vec((any::<u64>(), 0..1000_u64), 0..5);
    let zones = btree_set("[a-c]", 0..3);
    let scalars = (millis.clone(), bytes.clone(), bytes, millis.clone(), millis);
    (scalars, ports, zones).prop_map(|((cpus, mem, disk, net, gpus), ports, zones)| {
        let ports = ports
            .into_iter()
            .map(|(begin, len)| (begin, begin.saturating_add(len)));
        Resources::of(cpus, mem, disk)
            .with(ResourceName::new("gpus").unwrap(), gpus)
            .with(ResourceName::NetMbps, net)
            .with_ranges(ResourceName::Ports, Ranges::new(ports))
            .with_set(
                ResourceName::new("zones").unwrap(),
                Set::new(zones.iter().map(String::as_str)).unwrap(),
            )
    })
}

fn reservation() -> impl Strategy<Value = Reservation> {
    let labels = btree_map(TEXT, TEXT, 0..3);
    ("[a-z]{1,4}(/[a-z]{1,4}){0,2}", any::<bool>(), labels).prop_map(|(role, is_static, labels)| {
        Reservation {
            role: Role::new(role).unwrap(),
            is_static,
            labels,
        }
    })
}

fn volume() -> impl Strategy<Value = Volume> {
    (id(), "/[a-zA-Z0-9 é:]{0,20}", any::<bool>()).prop_map(|(id, container_path, shared)| Volume {
        id,
        container_path,
        shared,
    })
}

/// A refinement goes one role down and is dynamic.
fn stack() -> impl Strategy<Value = Kind> {
    (reservation(), option::of("[a-z]{1,4}")).prop_map(|(bottom, part)| {
        let below = |part| Role::new(format!("{}/{part}", bottom.role)).unwrap();
        let top = part.map(|part| Reservation::dynamic(below(part)));
        Kind::reserved([bottom].into_iter().chain(top))
    })
}

fn held() -> impl Strategy<Value = (Kind, Resources)> {
    let volume = (stack(), volume(), 1..1_u64 << 50);
    prop_oneof![
        plain_resources().prop_map(|bundle| (Kind::revocable(), bundle)),
        (stack(), plain_resources()),
        volume.prop_map(|(kind, volume, bytes)| (kind.with_volume(volume), Resources::of(0, 0, bytes))),
    ]
}

/// With up to three other kinds; one that cannot join the rest is left out.
pub(crate) fn resources() -> impl Strategy<Value = Resources> {
    (plain_resources(), vec(held(), 0..4)).prop_map(|(plain, held)| {
        held.into_iter().fold(plain, |all, (kind, bundle)| {
            let rest = bundle.minus(&all.flattened());
            all.clone().with_kind(kind, rest).unwrap_or(all)
        })
    })
}
