//! Operations on the agent's resources: durable first, reported then.

use expect_test::expect;

use super::world::{World, check};

const UP: &str = "up | registered";
const VOLUME: &str = "up | registered | op - reserve prod disk:2GiB | op - create v disk(+prod):1GiB";

#[test]
fn an_operation_is_checkpointed_before_it_is_reported_and_forgotten_when_it_is_acknowledged() {
    check(
        UP,
        "op o reserve prod disk:2GiB | op-ack o",
        expect![[r#"
        checkpoint `disk(+prod):2GiB` o=FINISHED
        -> o FINISHED
        checkpoint `disk(+prod):2GiB`
    "#]],
    );
    check(
        UP,
        "op - reserve prod disk:2GiB",
        expect![[r#"
        checkpoint `disk(+prod):2GiB`
    "#]],
    );
}

#[test]
fn a_change_of_what_is_not_there_fails_and_the_master_is_told_the_total() {
    check(
        UP,
        "op o reserve prod cpus:5 | op - destroy v",
        expect![[r#"
            checkpoint `nothing` o=FAILED
            -> o FAILED: `cpus:5` is not there: too little cpus
            -> total cpus:4;mem:4GiB;disk:10GiB;ports:[31000-31009]
            -> total cpus:4;mem:4GiB;disk:10GiB;ports:[31000-31009]
        "#]],
    );
    check(
        UP,
        "op - reserve prod cpus:1 | op o unreserve cpus(+eng):1",
        expect![[r#"
            checkpoint `cpus(+prod):1`
            checkpoint `cpus(+prod):1` o=FAILED
            -> o FAILED: `cpus(+eng):1` is not there: too little cpus
            -> total cpus:3;mem:4GiB;disk:10GiB;ports:[31000-31009];cpus(+prod):1
        "#]],
    );
}

#[test]
fn what_a_task_holds_is_not_changed_under_it() {
    check(
        "up | registered | run t cpus:3",
        "op o reserve prod cpus:2",
        expect![[r#"
            checkpoint `nothing` o=FAILED
            -> o FAILED: `cpus:2` is not there: too little cpus
            -> total cpus:4;mem:4GiB;disk:10GiB;ports:[31000-31009]
        "#]],
    );
    let shared = "up | registered | op - reserve prod disk:1GiB | op - share v disk(+prod):1GiB";
    let script =
        "run t disk(+prod)[v:/data:shared]:1GiB | run u disk(+prod)[v:/data:shared]:1GiB | op o destroy v";
    check(
        shared,
        script,
        expect![[r#"
            checkpoint t STARTING
            launch t
            -> t STARTING
            checkpoint u STARTING
            launch u
            -> u STARTING
            checkpoint `disk(+prod)[v:/data:shared]:1GiB` o=FAILED
            -> o FAILED: volume `v` is in use by task `t`
            -> total cpus:4;mem:4GiB;disk:9GiB;ports:[31000-31009];disk(+prod)[v:/data:shared]:1GiB
        "#]],
    );
}

#[test]
fn a_volume_is_used_by_one_task_at_a_time_unless_it_is_shared() {
    let script = "run t disk(+prod)[v:/data]:1GiB | run u disk(+prod)[v:/data]:1GiB";
    check(
        VOLUME,
        script,
        expect![[r#"
            checkpoint t STARTING
            launch t
            -> t STARTING
            -> u DROPPED INVALID_OFFERS: the agent has not enough disk: `disk(+prod)[v:/data]:1GiB` wanted, `cpus:4;mem:4GiB;disk:8GiB;ports:[31000-31009];disk(+prod):1GiB` free
        "#]],
    );
}

#[test]
fn a_restarted_agent_has_its_volumes_and_reports_its_operations_again() {
    check(
        VOLUME,
        "op o grow v 1 | crash | up | registered | run t disk(+prod)[v:/data]:1073741825",
        expect![[r#"
        checkpoint `disk(+prod):1023.9MiB;disk(+prod)[v:/data]:1GiB` o=FINISHED
        -> o FINISHED
        -> register a o=FINISHED
        -> o FINISHED
        checkpoint t STARTING
        launch t
        -> t STARTING
    "#]],
    );
}

#[test]
fn a_status_is_sent_again_until_it_is_acknowledged() {
    check(
        UP,
        "op o reserve prod cpus:1 | wait 35 | op o reserve prod cpus:1 | op-ack o | wait 60",
        expect![[r#"
        checkpoint `cpus(+prod):1` o=FINISHED
        -> o FINISHED
        -> o FINISHED
        -> o FINISHED
        checkpoint `cpus(+prod):1`
    "#]],
    );
}

#[test]
fn nothing_is_reported_of_operations_while_their_checkpoint_fails() {
    let mut world = World::new();
    world.run(UP);
    world.full_for = Some("resources".into());
    expect![[""]].assert_eq(&world.run("op o reserve prod cpus:1 | wait 5"));
    world.full_for = None;
    expect![[r#"
        checkpoint `cpus(+prod):1` o=FINISHED
        -> o FINISHED
        -> total cpus:3;mem:4GiB;disk:10GiB;ports:[31000-31009];cpus(+prod):1
    "#]]
    .assert_eq(&world.run("wait 1"));
}

#[test]
fn operations_of_a_framework_that_is_gone_are_forgotten_and_what_they_did_stays() {
    check(
        UP,
        "op o reserve prod cpus:1 | shutdown",
        expect![[r#"
        checkpoint `cpus(+prod):1` o=FINISHED
        -> o FINISHED
        checkpoint `cpus(+prod):1`
    "#]],
    );
}

#[test]
fn resources_that_no_longer_cover_what_is_reserved_are_refused_by_name() {
    let restored = |stated: &str, changed: &str| {
        let restored = crate::restore(&stated.parse().unwrap(), &changed.parse().unwrap());
        restored.map_or_else(|error| error.to_string(), |total| total.to_string()) + "\n"
    };
    let texts = [
        restored(
            "cpus:4;mem:1GiB;cpus(prod):1",
            "cpus(+eng):3;cpus(prod,+prod/db):1",
        ),
        restored("cpus:2;mem:1GiB", "cpus(+eng):3"),
        restored("cpus:4;disk:1GiB", "disk(+eng)[v:/data]:2GiB"),
        restored("cpus:4", "cpus(prod,+prod/db):1"),
    ];
    expect![[r#"
        cpus:1;mem:1GiB;cpus(+eng):3;cpus(prod,+prod/db):1
        too little cpus: `cpus:3` is reserved by operations or holds volumes, and the agent has only `cpus:2;mem:1GiB`
        too little disk: `disk:2GiB` is reserved by operations or holds volumes, and the agent has only `cpus:4;disk:1GiB`
        too little cpus: `cpus(prod):1` is reserved by operations or holds volumes, and the agent has only `cpus:4`
    "#]].assert_eq(&texts.concat());
}
