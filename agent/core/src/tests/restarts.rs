//! Restart in place, as text.

use expect_test::expect;

use super::world::{World, check};

const RUNNING: &str =
    "up | registered | run t cpus:1 restart=failure max=2 health=1 | ack t | launched t | ack t";

#[test]
fn a_failed_task_is_launched_again_after_a_pause_that_doubles_until_its_restarts_are_used_up() {
    check(
        RUNNING,
        "exit t 3 | ack t | wait 1 | launched t | ack t | exit t 4 | ack t | wait 1 | wait 1 | launched t | ack t | exit t 5",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING TASK_RESTARTED: command exited with code 3; restart 1 in 1s
            checkpoint t STARTING
            renew t STARTING
            launch t again
            checkpoint t RUNNING
            check t up 0ns
            -> t RUNNING TASK_RESTARTED restarts=1
            checkpoint t RUNNING
            checkpoint t STARTING
            -> t STARTING TASK_RESTARTED restarts=1: command exited with code 4; restart 2 in 2s
            checkpoint t STARTING
            renew t STARTING
            launch t again
            checkpoint t RUNNING
            check t up 0ns
            -> t RUNNING TASK_RESTARTED restarts=2
            checkpoint t RUNNING
            checkpoint t FAILED
            destroy t
            -> t FAILED COMMAND_FAILED restarts=2: command exited with code 5
        "#]],
    );
}

#[test]
fn a_task_that_finishes_is_launched_again_only_where_its_policy_says_always() {
    check(
        RUNNING,
        "exit t 0",
        expect![[r#"
        checkpoint t FINISHED
        destroy t
        -> t FINISHED
    "#]],
    );
    check(
        "up | registered | run t cpus:1 restart=always | ack t | launched t | ack t",
        "exit t 0 | wait 1",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING TASK_RESTARTED: command exited with code 0; restart 1 in 1s
            renew t STARTING
            launch t again
        "#]],
    );
}

#[test]
fn after_a_long_run_the_pause_is_the_first_one_again() {
    check(
        "up | registered | run t cpus:1 restart=always backoff=2 | launched t | exit t 1 | wait 2 | launched t | ack t | ack t | ack t | ack t",
        "wait 301 | exit t 1",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING TASK_RESTARTED restarts=1: command exited with code 1; restart 2 in 2s
        "#]],
    );
}

#[test]
fn a_kill_in_the_pause_ends_the_task_at_once() {
    check(
        RUNNING,
        "exit t 3 | ack t | kill t | ack t | wait 9",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING TASK_RESTARTED: command exited with code 3; restart 1 in 1s
            checkpoint t STARTING
            checkpoint t KILLED
            destroy t
            -> t KILLED
            forget t
        "#]],
    );
}

#[test]
fn an_unhealthy_task_is_launched_again_unless_somebody_wants_it_dead_meanwhile() {
    check(
        RUNNING,
        "health t refused | ack t | exit t 0 | ack t | wait 1",
        expect![[r#"
            checkpoint t KILLING
            SIGTERM t
            -> t KILLING TASK_UNHEALTHY unhealthy: its health check failed: refused
            checkpoint t KILLING
            checkpoint t STARTING
            -> t STARTING TASK_RESTARTED: its health check failed: refused; restart 1 in 1s
            checkpoint t STARTING
            renew t STARTING
            launch t again
        "#]],
    );
    check(
        RUNNING,
        "health t refused | ack t | kill t | exit t 0",
        expect![[r#"
        checkpoint t KILLING
        SIGTERM t
        -> t KILLING TASK_UNHEALTHY unhealthy: its health check failed: refused
        checkpoint t KILLING
        checkpoint t KILLING
        checkpoint t KILLED
        destroy t
        -> t KILLED unhealthy
    "#]],
    );
}

#[test]
fn a_restart_that_cannot_be_built_ends_the_task() {
    check(
        RUNNING,
        "exit t 3 | ack t | wait 1 | fail t boom",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING TASK_RESTARTED: command exited with code 3; restart 1 in 1s
            checkpoint t STARTING
            renew t STARTING
            launch t again
            checkpoint t FAILED
            destroy t
            -> t FAILED CONTAINER_LAUNCH_FAILED restarts=1: boom
        "#]],
    );
}

#[test]
fn the_max_completion_time_counts_from_the_first_start_and_goes_on_in_the_pause() {
    check(
        "up | registered | run t cpus:1 restart=always time=5 backoff=4 | ack t | launched t | ack t",
        "wait 3 | exit t 1 | ack t | wait 2",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING TASK_RESTARTED: command exited with code 1; restart 1 in 4s
            checkpoint t STARTING
            checkpoint t FAILED
            destroy t
            -> t FAILED MAX_COMPLETION_TIME_REACHED: ran longer than its max_completion_time of 5s
        "#]],
    );
}

#[test]
fn a_restarted_agent_goes_on_with_the_pause_or_the_launch() {
    check(
        RUNNING,
        "exit t 3 | ack t | crash | wait 1 | launched t | up | registered",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING TASK_RESTARTED: command exited with code 3; restart 1 in 1s
            checkpoint t STARTING
            renew t STARTING
            launch t again
            checkpoint t RUNNING
            check t up 0ns
            -> register a t=RUNNING
            -> t RUNNING TASK_RESTARTED restarts=1
        "#]],
    );
    // It died in the launch: there may be a container, or none.
    check(
        RUNNING,
        "exit t 3 | ack t | wait 1 | crash | launched t | up | registered",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING TASK_RESTARTED: command exited with code 3; restart 1 in 1s
            checkpoint t STARTING
            renew t STARTING
            launch t again
            adopt launch of t
            checkpoint t RUNNING
            check t up 0ns
            -> register a t=RUNNING
            -> t RUNNING TASK_RESTARTED restarts=1
        "#]],
    );
    check(
        RUNNING,
        "exit t 3 | ack t | wait 1 | crash | gone t | wait 0 | launched t | up | registered",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING TASK_RESTARTED: command exited with code 3; restart 1 in 1s
            checkpoint t STARTING
            renew t STARTING
            launch t again
            adopt launch of t
            checkpoint t STARTING
            renew t STARTING
            launch t again
            checkpoint t RUNNING
            check t up 0ns
            -> register a t=RUNNING
            -> t RUNNING TASK_RESTARTED restarts=1
        "#]],
    );
}

#[test]
fn a_restart_whose_checkpoint_fails_is_tried_again() {
    let mut world = World::new();
    world.run(RUNNING);
    world.run("exit t 3 | ack t");
    world.full_for = Some("t".into());
    expect![[""]].assert_eq(&world.run("wait 3"));
    world.full_for = None;
    expect![[r#"
        renew t STARTING
        launch t again
    "#]]
    .assert_eq(&world.run("wait 1"));
}

#[test]
fn a_member_that_restarts_does_not_end_its_group_until_it_gives_up() {
    check(
        "up | registered | group t cpus:1 u cpus:1 restart=failure max=1 | ack t | ack u | launched t | launched u | ack t | ack u",
        "exit t 1 | ack t | wait 1 | launched t | ack t | exit t 1",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING TASK_RESTARTED: command exited with code 1; restart 1 in 1s
            checkpoint t STARTING
            renew t STARTING
            launch t again
            checkpoint t RUNNING
            -> t RUNNING TASK_RESTARTED restarts=1
            checkpoint t RUNNING
            checkpoint t FAILED
            destroy t
            -> t FAILED COMMAND_FAILED restarts=1: command exited with code 1
            checkpoint u KILLING
            SIGTERM u
            -> u KILLING
        "#]],
    );
}
