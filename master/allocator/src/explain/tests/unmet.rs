//! What no agent has room for, in the words of whoever adds agents.

use expect_test::{Expect, expect};

use super::super::unmet_demand;
use super::World;

fn check(world: &str, expected: Expect) {
    let world = World::of(world);
    let found = unmet_demand(&world.ledger);
    let mut text = String::new();
    for unmet in &found.unmet {
        text += &format!(
            "{} in {}: {} of {}",
            unmet.framework, unmet.role, unmet.n, unmet.shape.resources
        );
        if let Some((n, role, name)) = &unmet.over_limit {
            text += &format!(", {n} over the limit of {role} in {name}");
        }
        if let Some(region) = &unmet.region {
            text += &format!(", region {region}");
        }
        text += "\n";
    }
    let needed: Vec<_> = found.needed.iter().map(ToString::to_string).collect();
    text += &format!("needed: {}\n", needed.join(" "));
    if !found.held_for_guarantees.is_empty() {
        text += &format!("held for guarantees: {}\n", found.held_for_guarantees);
    }
    expected.assert_eq(&text);
}

#[test]
fn what_fits_somewhere_is_met_and_only_the_rest_is_told() {
    check(
        "agent a cpus:4;mem:8GiB
         agent b cpus:4;mem:8GiB
         agent c cpus:4;mem:8GiB inactive
         framework f eng
         wants f eng 9 cpus:1;mem:1GiB
         holds f eng a cpus:3;mem:1GiB",
        expect![[r#"
            f in eng: 4 of cpus:1;mem:1GiB, region eu
            needed: a b
        "#]],
    );
}

#[test]
fn nobody_waits_for_what_is_offered_declined_or_held() {
    check(
        "agent a cpus:4;mem:8GiB
         agent b cpus:4;mem:8GiB
         framework f eng
         framework g eng
         wants f eng 3 cpus:2;mem:1GiB
         offered f eng a cpus:2;mem:1GiB
         declined f eng b cpus:4;mem:8GiB 60
         held g eng b cpus:4;mem:8GiB 60",
        expect![[r#"
            needed: a b
        "#]],
    );
}

#[test]
fn the_large_has_its_room_before_the_small() {
    check(
        "agent a cpus:4;mem:8GiB
         framework f eng
         framework g eng
         wants f eng 1 cpus:1;mem:1GiB
         wants g eng 1 cpus:4;mem:1GiB",
        expect![[r#"
            f in eng: 1 of cpus:1;mem:1GiB, region eu
            needed: a
        "#]],
    );
}

#[test]
fn what_a_limit_forbids_is_told_apart() {
    check(
        "agent a cpus:4;mem:8GiB
         framework f eng/web
         quota eng limit cpus:6
         wants f eng/web 9 cpus:1;mem:1GiB",
        expect![[r#"
            f in eng/web: 2 of cpus:1;mem:1GiB, 3 over the limit of eng in cpus, region eu
            needed: a
        "#]],
    );
}

#[test]
fn what_is_guaranteed_to_others_is_no_room() {
    check(
        "agent a cpus:4;mem:8GiB
         framework f eng
         framework g ops
         quota ops guarantee cpus:3;mem:1GiB
         wants f eng 3 cpus:1;mem:1GiB",
        expect![[r#"
            f in eng: 2 of cpus:1;mem:1GiB, region eu
            needed: a
            held for guarantees: cpus:3;mem:1GiB
        "#]],
    );
}

#[test]
fn constraints_and_how_many_may_be_on_one_agent_hold() {
    check(
        "agent a cpus:8;mem:8GiB disk=ssd
         agent b cpus:8;mem:8GiB disk=hdd
         framework f eng
         wants f eng 4 cpus:1;mem:1GiB disk=ssd max=3",
        expect![[r#"
            f in eng: 1 of cpus:1;mem:1GiB, region eu
            needed: a
        "#]],
    );
}

#[test]
fn who_listens_to_no_offers_wants_nothing() {
    check(
        "agent a cpus:1;mem:8GiB
         framework f eng suppressed
         wants f eng 4 cpus:2;mem:1GiB",
        expect![[r#"
            needed: 
        "#]],
    );
}
