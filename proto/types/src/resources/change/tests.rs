//! The laws of changes: totals stay, each change has an inverse, a refusal names its reason.

use proptest::prelude::*;

use super::*;
use crate::resources::tests::bundle;

fn role(role: &str) -> Role {
    Role::new(role).unwrap()
}

fn volume(id: &str, shared: bool) -> Volume {
    Volume {
        id: id.parse().unwrap(),
        container_path: "/data".to_owned(),
        shared,
    }
}

fn change() -> impl Strategy<Value = ResourceChange> {
    let role = prop_oneof![Just("prod"), Just("prod/db"), Just("prod/db/main")].prop_map(role);
    let id = || prop_oneof![Just("data"), Just("new")].prop_map(|id| id.parse::<VolumeId>().unwrap());
    prop_oneof![
        (bundle(), role.clone()).prop_map(|(resources, role)| ResourceChange::Reserve {
            resources,
            reservation: Reservation::dynamic(role),
        }),
        bundle().prop_map(|resources| ResourceChange::Unreserve {
            resources: resources.reserved(),
        }),
        (role, 1..20_u64, any::<bool>()).prop_map(|(role, bytes, shared)| ResourceChange::Create {
            disk: disk(role, bytes),
            volume: volume("new", shared),
        }),
        id().prop_map(|volume| ResourceChange::Destroy { volume }),
        (id(), 0..9_u64).prop_map(|(volume, addition_bytes)| ResourceChange::Grow {
            volume,
            addition_bytes
        }),
        (id(), 0..9_u64).prop_map(|(volume, subtract_bytes)| ResourceChange::Shrink {
            volume,
            subtract_bytes
        }),
    ]
}

fn disk(role: Role, bytes: u64) -> Resources {
    let kind = Kind::reserved([Reservation::dynamic(role)]);
    Resources::new()
        .with_kind(kind, Resources::of(0, 0, bytes))
        .unwrap()
}

/// What undoes a change that gave `produced`.
fn inverse(change: &ResourceChange, of: &Resources, produced: &Resources) -> ResourceChange {
    match change.clone() {
        ResourceChange::Reserve { .. } => ResourceChange::Unreserve {
            resources: produced.clone(),
        },
        ResourceChange::Unreserve { resources } => ResourceChange::Reserve {
            reservation: resources
                .kinds()
                .next()
                .unwrap()
                .0
                .reservations
                .last()
                .unwrap()
                .clone(),
            resources: produced.clone(),
        },
        ResourceChange::Create { volume, .. } => ResourceChange::Destroy { volume: volume.id },
        ResourceChange::Destroy { volume } => ResourceChange::Create {
            volume: of.volume(&volume).unwrap().1.clone(),
            disk: produced.clone(),
        },
        ResourceChange::Grow {
            volume,
            addition_bytes,
        } => ResourceChange::Shrink {
            volume,
            subtract_bytes: addition_bytes,
        },
        ResourceChange::Shrink {
            volume,
            subtract_bytes,
        } => ResourceChange::Grow {
            volume,
            addition_bytes: subtract_bytes,
        },
    }
}

/// Whether one reservation was popped everywhere, so that one reservation can push it back.
fn has_one_top(change: &ResourceChange) -> bool {
    let ResourceChange::Unreserve { resources } = change else {
        return true;
    };
    let mut tops = resources.kinds().map(|(kind, _)| kind.reservations.last());
    let first = tops.next();
    tops.all(|top| Some(top) == first)
}

proptest! {
    #[test]
    fn totals_stay_and_the_inverse_restores(rest in bundle(), change in change()) {
        let needed = match &change {
            ResourceChange::Reserve { resources, .. } | ResourceChange::Unreserve { resources } => resources.clone(),
            ResourceChange::Create { disk, .. } => disk.clone(),
            ResourceChange::Grow { .. } => disk(role("prod"), 20),
            ResourceChange::Destroy { .. } | ResourceChange::Shrink { .. } => Resources::new(),
        };
        let held = rest.kinds().map(|(kind, bundle)| (kind.clone(), bundle.clone()));
        let before = held.chain([(Kind::default(), rest.plain())]).fold(needed, |all, (kind, bundle)| {
            all.clone().with_kind(kind, bundle).unwrap_or(all)
        });
        if let Ok(after) = change.apply(&before) {
            prop_assert_eq!(after.flattened(), before.flattened());
            prop_assert_ne!(&after, &before);
            if has_one_top(&change) {
                let produced = change.conversion(&before).unwrap().produced;
                prop_assert_eq!(inverse(&change, &before, &produced).apply(&after), Ok(before));
            }
        }
    }
}

const HELD: &str = "cpus:2;cpus{rev}:2;disk:5B;cpus(prod):4;disk(prod):8B;disk(+prod):9B;mem(prod,+prod/db):6B;\
                    disk(+prod)[data:/data]:10B;disk(+prod)[logs:/logs:shared]:7B";

fn apply(change: &ResourceChange) -> String {
    match change.apply(&HELD.parse().unwrap()) {
        Ok(after) => after.to_string(),
        Err(error) => format!("refused: {error}"),
    }
}

fn reserve(resources: &str, to: &str) -> String {
    apply(&ResourceChange::Reserve {
        resources: resources.parse().unwrap(),
        reservation: Reservation::dynamic(role(to)),
    })
}

fn unreserve(resources: &str) -> String {
    apply(&ResourceChange::Unreserve {
        resources: resources.parse().unwrap(),
    })
}

fn create(disk: &str, volume: Volume) -> String {
    apply(&ResourceChange::Create {
        disk: disk.parse().unwrap(),
        volume,
    })
}

#[test]
fn a_reservation_is_made_refined_and_taken_away() {
    assert!(reserve("cpus:2", "dev").contains("cpus(+dev):2"));
    assert!(reserve("cpus(prod):1", "prod/web").contains(";cpus(prod,+prod/web):1"));
    assert!(unreserve("mem(prod,+prod/db):6B").contains("mem(prod):6B"));
    assert!(unreserve("disk(+prod):9B").starts_with("cpus:2;disk:14B;"));
}

#[test]
fn a_volume_is_made_resized_and_unmade() {
    assert!(create("disk(+prod):4B", volume("new", true)).contains("disk(+prod)[new:/data:shared]:4B"));
    let volume = || "data".parse().unwrap();
    let grown = apply(&ResourceChange::Grow {
        volume: volume(),
        addition_bytes: 9,
    });
    assert!(
        grown.contains("[data:/data]:19B") && !grown.contains("disk(+prod):"),
        "{grown}"
    );
    let shrunk = apply(&ResourceChange::Shrink {
        volume: volume(),
        subtract_bytes: 9,
    });
    assert!(
        shrunk.contains("disk(+prod):18B") && shrunk.contains("[data:/data]:1B"),
        "{shrunk}"
    );
    let unmade = apply(&ResourceChange::Destroy {
        volume: "logs".parse().unwrap(),
    });
    assert!(
        unmade.contains("disk(+prod):16B") && !unmade.contains("logs"),
        "{unmade}"
    );
}

#[test]
fn a_change_that_breaks_a_rule_is_refused_with_its_reason() {
    let resize = |id: &str, by: u64| {
        let volume = || id.parse().unwrap();
        let grow = apply(&ResourceChange::Grow {
            volume: volume(),
            addition_bytes: by,
        });
        (
            grow,
            apply(&ResourceChange::Shrink {
                volume: volume(),
                subtract_bytes: by,
            }),
        )
    };
    let (grow_shared, shrink_shared) = resize("logs", 1);
    let (grow_by_0, shrink_by_0) = resize("data", 0);
    let (grow_by_10, shrink_to_0) = resize("data", 10);
    let refused = [
        reserve("cpus:3", "prod"),
        reserve("cpus:1", "*"),
        reserve("", "prod"),
        reserve("cpus{rev}:1", "prod"),
        reserve("cpus(prod):1", "prod"),
        reserve("cpus(prod):1", "dev"),
        reserve("disk(+prod)[data:/data]:10B", "prod/db"),
        apply(&ResourceChange::Reserve {
            resources: "cpus:1".parse().unwrap(),
            reservation: Reservation::fixed(role("prod")),
        }),
        unreserve("cpus:1"),
        unreserve("cpus(prod):1"),
        unreserve("disk(+prod)[data:/data]:10B"),
        create("disk:1B", volume("new", false)),
        create("cpus(prod):1", volume("new", false)),
        create("disk(prod):1B;disk(+prod):1B", volume("new", false)),
        create("disk(prod):1B", volume("data", false)),
        grow_shared,
        shrink_shared,
        grow_by_0,
        shrink_by_0,
        grow_by_10,
        shrink_to_0,
        resize("none", 1).0,
    ];
    expect_test::expect![[r#"
        refused: `cpus:3` is not there: too little cpus
        refused: nothing can be reserved to role `*`
        refused: no resources are named
        refused: revocable resources cannot be reserved
        refused: role `prod` is not below `prod`, whose reservation it would refine
        refused: role `dev` is not below `prod`, whose reservation it would refine
        refused: `data` is a volume; destroy it first
        refused: no operation can make or take away the reservation to `prod`: it is static
        refused: `cpus:1` is not reserved
        refused: no operation can make or take away the reservation to `prod`: it is static
        refused: `data` is a volume; destroy it first
        refused: volume `new` is on disk that is not reserved
        refused: volume `new` must be disk and nothing else
        refused: volume `new` must be made of disk under one stack of reservations, and nothing else
        refused: volume `data` is there already
        refused: volume `logs` is shared and keeps its size
        refused: volume `logs` is shared and keeps its size
        refused: volume `data` of 10 bytes cannot change by 0
        refused: volume `data` of 10 bytes cannot change by 0
        refused: `disk(+prod):10B;disk(+prod)[data:/data]:10B` is not there: too little disk
        refused: volume `data` of 10 bytes cannot change by 10
        refused: volume `none` is not there"#]]
    .assert_eq(&refused.join("\n"));
}
