//! Groups: all or none, and one fate.

use expect_test::expect;

use super::world::{World, check};

const UP: &str = "up | registered";
const RUNNING: &str =
    "up | registered | group t cpus:1 u cpus:1 | ack t | ack u | launched t | launched u | ack t | ack u";

#[test]
fn a_group_is_checkpointed_whole_before_any_of_it_is_launched() {
    check(
        UP,
        "group t cpus:1 u cpus:2",
        expect![[r#"
        checkpoint t STARTING
        checkpoint u STARTING
        launch t
        -> t STARTING
        launch u
        -> u STARTING
    "#]],
    );
}

#[test]
fn a_group_of_which_one_task_does_not_fit_beside_the_others_is_dropped_whole() {
    check(
        UP,
        "group t cpus:2 u cpus:3",
        expect![[r#"
            -> t DROPPED TASK_GROUP_INVALID: task `u` of its group: the agent has not enough cpus: 3 wanted, 2 free
            -> u DROPPED INVALID_OFFERS: the agent has not enough cpus: 3 wanted, 2 free
        "#]],
    );
    check(
        "up | registered | run t cpus:1",
        "group t cpus:1 u cpus:1",
        expect![[r#"
        -> u ERROR TASK_GROUP_INVALID: task `t` of its group: its id is in use
    "#]],
    );
}

#[test]
fn when_one_of_a_group_fails_or_is_killed_the_others_are_killed() {
    check(
        RUNNING,
        "exit t 1 | exit u 0",
        expect![[r#"
        checkpoint t FAILED
        destroy t
        -> t FAILED COMMAND_FAILED: command exited with code 1
        checkpoint u KILLING
        SIGTERM u
        -> u KILLING
        checkpoint u KILLED
        destroy u
    "#]],
    );
    check(
        RUNNING,
        "kill t 0 | gone t | gone u",
        expect![[r#"
            checkpoint t KILLING
            SIGKILL t
            -> t KILLING
            checkpoint u KILLING
            SIGTERM u
            -> u KILLING
            checkpoint t KILLED
            destroy t
            checkpoint u KILLED
            destroy u
        "#]],
    );
}

#[test]
fn when_one_of_a_group_has_finished_the_others_go_on() {
    check(
        RUNNING,
        "exit t 0 | exit u 0",
        expect![[r#"
        checkpoint t FINISHED
        destroy t
        -> t FINISHED
        checkpoint u FINISHED
        destroy u
        -> u FINISHED
    "#]],
    );
}

#[test]
fn when_one_of_a_group_cannot_be_launched_or_checkpointed_the_others_are_killed() {
    check(
        UP,
        "group t cpus:1 u cpus:1 | launched u | fail t boom",
        expect![[r#"
        checkpoint t STARTING
        checkpoint u STARTING
        launch t
        -> t STARTING
        launch u
        -> u STARTING
        checkpoint u RUNNING
        checkpoint t FAILED
        destroy t
        checkpoint u KILLING
        SIGTERM u
    "#]],
    );
    let mut world = World::new();
    world.run(UP);
    world.full_for = Some("t".into());
    expect![[r#"
        checkpoint u STARTING
        launch u
        -> u STARTING
        forget t
        -> t DROPPED CONTAINER_LAUNCH_FAILED: the agent could not write its checkpoint: no space left on device
        checkpoint u STARTING
        abort u
        checkpoint u KILLING
        SIGKILL u
    "#]].assert_eq(&world.run("group t cpus:1 u cpus:1 | launched u"));
}

#[test]
fn a_group_keeps_its_fate_over_a_restart() {
    check(
        RUNNING,
        "crash | gone t",
        expect![[r#"
        adopt process of t
        adopt process of u
        checkpoint t FAILED
        destroy t
        checkpoint u KILLING
        SIGTERM u
    "#]],
    );
    // The agent died between what happened to one and what follows for the other.
    check(
        "up | registered | group t cpus:1 u cpus:1 | launched u",
        "crash | gone t",
        expect![[r#"
        adopt launch of t
        adopt process of u
        checkpoint t DROPPED
        destroy t
        checkpoint u KILLING
        SIGTERM u
    "#]],
    );
}
