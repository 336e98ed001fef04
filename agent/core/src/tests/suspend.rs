//! Tasks that are suspended, and go on, as text.

use expect_test::expect;

use super::world::{World, check};

const RUNNING: &str = "up | registered | run t cpus:4 | ack t | launched t | ack t";
const SUSPENDED: &str = "up | registered | run t cpus:4 time=100 health=1 | ack t | launched t | ack t | wait 10 | suspend t | frozen t | ack t";

#[test]
fn a_task_is_suspended_once_its_processes_are_frozen_and_its_cpus_are_anothers_then() {
    check(
        RUNNING,
        "suspend t | suspend t | run u cpus:1 | frozen t | ack t | run v cpus:4;mem:1GiB | resume t 1 | ack t | exit v 0 | gone v | resume t 1 | resume t 2 | ack t | run w cpus:1",
        expect![[r#"
            freeze t
            -> u DROPPED INVALID_OFFERS: the agent has not enough cpus: 1 wanted, 0 free
            checkpoint t RUNNING
            -> t RUNNING TASK_SUSPENDED suspension=1
            checkpoint t RUNNING
            checkpoint v STARTING
            launch v
            -> v STARTING
            checkpoint t RUNNING
            -> t RUNNING TASK_RESUME_FAILED suspension=2: the task gave up `cpus:4`, and the agent has `mem:3GiB;disk:10GiB;ports:[31000-31009]` free
            checkpoint t RUNNING
            checkpoint v FINISHED
            destroy v
            checkpoint t RUNNING
            thaw t
            -> t RUNNING TASK_RESUMED
            checkpoint t RUNNING
            -> w DROPPED INVALID_OFFERS: the agent has not enough cpus: 1 wanted, 0 free
        "#]],
    );
}

#[test]
fn the_time_that_a_task_is_suspended_for_does_not_count_and_nothing_is_checked_meanwhile() {
    check(
        SUSPENDED,
        "health t refused | wait 1000 | resume t 1 | ack t | wait 89 | wait 1",
        expect![[r#"
            checkpoint t RUNNING
            thaw t
            check t up 10s
            -> t RUNNING TASK_RESUMED
            checkpoint t RUNNING
            checkpoint t KILLING
            SIGTERM t
            -> t KILLING
        "#]],
    );
}

#[test]
fn a_suspended_task_is_thawed_to_be_killed_and_the_kill_escalates_as_always() {
    check(
        SUSPENDED,
        "kill t 5 | ack t | resume t 1 | wait 5 | gone t",
        expect![[r#"
            checkpoint t KILLING
            thaw t
            SIGTERM t
            -> t KILLING suspension=1
            checkpoint t KILLING
            SIGKILL t
            checkpoint t KILLED
            destroy t
            -> t KILLED
        "#]],
    );
    // What is being frozen, too; the answer comes too late to mean anything.
    check(
        RUNNING,
        "suspend t | kill t 0 | frozen t | gone t",
        expect![[r#"
        freeze t
        checkpoint t KILLING
        thaw t
        SIGKILL t
        -> t KILLING
        checkpoint t KILLED
        destroy t
    "#]],
    );
}

#[test]
fn what_cannot_be_frozen_goes_on_and_is_told_so() {
    check(
        "up | registered | run t cpus:1 health=1 | ack t | suspend t | ack t | launched t | ack t",
        "suspend t | frozen t it is stuck in the kernel | ack t | suspend t | frozen t",
        expect![[r#"
            freeze t
            thaw t
            check t up 0ns
            checkpoint t RUNNING
            -> t RUNNING TASK_SUSPEND_FAILED: it is stuck in the kernel
            checkpoint t RUNNING
            freeze t
            checkpoint t RUNNING
            -> t RUNNING TASK_SUSPENDED suspension=1
        "#]],
    );
}

#[test]
fn a_restart_of_the_agent_freezes_what_is_known_as_suspended_and_thaws_what_is_not() {
    check(
        SUSPENDED,
        "crash | up | registered | wait 1000 | resume t 1 | ack t | suspend t | crash | up | registered | suspend t | frozen t | kill t | crash",
        expect![[r#"
            adopt process of t, frozen
            -> register a t=RUNNING*
            checkpoint t RUNNING
            thaw t
            check t up 10s
            -> t RUNNING TASK_RESUMED
            checkpoint t RUNNING
            freeze t
            adopt process of t
            check t up 10s
            -> register a t=RUNNING
            freeze t
            checkpoint t RUNNING
            -> t RUNNING TASK_SUSPENDED suspension=2
            checkpoint t KILLING
            thaw t
            SIGTERM t
            adopt process of t
            SIGTERM t
        "#]],
    );
}

#[test]
fn a_task_that_ends_while_it_is_suspended_is_not_started_again_in_place() {
    check(
        "up | registered | run t cpus:4 restart=always | ack t | launched t | ack t | suspend t | frozen t | ack t",
        "oom t | ack t",
        expect![[r#"
            checkpoint t FAILED
            destroy t
            -> t FAILED CONTAINER_LIMITATION_MEMORY: killed by the kernel at its memory limit of 0B (peak 64MiB)
            forget t
        "#]],
    );
}

#[test]
fn the_newest_suspension_travels_with_the_head_of_the_queue() {
    check(
        "up | registered | run t cpus:4 | ack t | launched t",
        "suspend t | frozen t | wait 1 | ack t",
        expect![[r#"
            freeze t
            checkpoint t RUNNING
            -> t RUNNING (now suspension=1)
            checkpoint t RUNNING
            -> t RUNNING TASK_SUSPENDED suspension=1
        "#]],
    );
}

#[test]
fn a_suspension_that_cannot_be_checkpointed_is_not_told() {
    let mut world = World::new();
    world.run(RUNNING);
    world.run("suspend t");
    world.full_for = Some("t".into());
    assert_eq!(world.run("frozen t"), "");
    world.full_for = None;
    expect![[r#"
        checkpoint t RUNNING
        -> t RUNNING TASK_SUSPENDED suspension=1
    "#]]
    .assert_eq(&world.run("wait 1"));
}
