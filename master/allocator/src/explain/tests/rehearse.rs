//! What would be offered for more, in the words of a dry run.

use expect_test::{Expect, expect};
use proffer_types::{GangId, Placement, Shape, ShapeId};

use super::super::rehearse;
use super::{NOW, World};

fn shape(id: u64, n: u32, each: &str) -> Shape {
    Shape::new(ShapeId(id), each.parse().unwrap(), n)
}

fn check(world: &str, role: &str, demand: &[Shape], expected: Expect) {
    let world = World::of(world);
    let before = world.ledger.clone();
    let framework = "batch".parse().unwrap();
    let rehearsal = rehearse(&world.ledger, &framework, &role.parse().unwrap(), demand, NOW).unwrap();
    assert_eq!(before, world.ledger, "nothing is changed");
    let mut text = String::new();
    for found in &rehearsal.shapes {
        let places: Vec<_> = found
            .places
            .iter()
            .map(|(_, host, n)| format!("{n} on {host}"))
            .collect();
        text += &format!("{}: {}", found.shape.0, places.join(", "));
        if let Some(part) = &found.missing {
            let reasons: Vec<_> = part.reasons.iter().map(ToString::to_string).collect();
            let n = part.shape.as_ref().map_or(0, |(_, n)| *n);
            text += &format!("; {n} wait: {}", reasons.join(" / "));
        }
        text += "\n";
    }
    expected.assert_eq(&text);
}

const TWO_NODES: &str = "agent a cpus:4;mem:8GiB
                         agent b cpus:2;mem:8GiB
                         framework batch * ";

#[test]
fn a_rehearsal_says_where_tasks_would_start_and_why_others_would_wait() {
    let demand = [
        shape(0, 5, "cpus:1;mem:1GiB"),
        shape(1, 2, "cpus:1;mem:1GiB"),
        shape(2, 1, "cpus:9;mem:1GiB"),
    ];
    check(
        TWO_NODES,
        "*",
        &demand,
        expect![[r#"
        0: 4 on a, 1 on b
        1: 1 on b; 1 wait: 2 agents lack cpus beside its own tasks: nearest is a, by 1
        2: ; 1 wait: 2 agents are too small in cpus, even idle: nearest is a, by 5
    "#]],
    );
}

#[test]
fn what_others_use_and_what_is_offered_is_not_there_for_a_rehearsal() {
    check(
        "agent a cpus:4;mem:8GiB
         agent b cpus:4;mem:8GiB
         framework other *
         framework batch *
         wants other * 9 cpus:8;mem:1GiB
         holds other * a cpus:3;mem:1GiB
         offered batch * b cpus:2;mem:1GiB",
        "*",
        &[shape(0, 9, "cpus:1;mem:1GiB")],
        expect![[r#"
            0: 1 on a, 2 on b; 6 wait: 1 agent lacks cpus: a, by 1; other in role *, with a share of 37.5% against 62.5%, has it / 1 agent lacks cpus beside its own tasks: b, by 1
        "#]],
    );
}

#[test]
fn what_a_framework_wants_already_comes_before_a_rehearsal() {
    check(
        "agent a cpus:4;mem:8GiB
         framework batch *
         wants batch * 3 cpus:1;mem:1GiB",
        "*",
        &[shape(1, 2, "cpus:1;mem:1GiB")],
        expect![[r#"
            1: 1 on a; 1 wait: 1 agent lacks cpus beside its own tasks: a, by 1
        "#]],
    );
}

#[test]
fn a_gang_starts_whole_in_a_rehearsal_and_a_role_need_not_be_the_frameworks_yet() {
    let gang = |n| Shape {
        gang: Some(GangId(7)),
        placement: Placement::Spread,
        ..shape(0, n, "cpus:1;mem:1GiB")
    };
    check(
        TWO_NODES,
        "science",
        &[gang(6)],
        expect![[r#"
        0: 4 on a, 2 on b
    "#]],
    );
    check(
        TWO_NODES,
        "science",
        &[gang(7)],
        expect![[r#"
        0: ; 7 wait: 2 agents have room for a part of its gang, which is offered whole or not at all
    "#]],
    );
}

#[test]
fn a_framework_that_is_away_is_offered_nothing_in_a_rehearsal() {
    let away = "agent a cpus:4;mem:8GiB
                framework batch * away";
    check(
        away,
        "*",
        &[shape(0, 1, "cpus:1;mem:1GiB")],
        expect![[r#"
        0: ; 1 wait: the framework is not connected
    "#]],
    );
}
