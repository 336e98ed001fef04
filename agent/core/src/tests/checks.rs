//! Preparation, checks and limits, as text.

use expect_test::expect;

use super::world::{World, check};

const UP: &str = "up | registered";
const CHECKED: &str = "up | registered | run t cpus:1 health=2 ready=1 grace=5 | ack t | launched t | ack t";

#[test]
fn of_what_a_preparation_says_only_the_newest_word_waits() {
    check(
        UP,
        "run t cpus:1 | preparing t layer 1 | preparing t layer 2 | preparing t layer 3 | ack t | ack t | launched t | ack t",
        expect![[r#"
            checkpoint t STARTING
            launch t
            -> t STARTING
            checkpoint t STARTING
            checkpoint t STARTING
            checkpoint t STARTING
            checkpoint t STARTING
            -> t STARTING CONTAINER_PREPARING: layer 3
            checkpoint t STARTING
            checkpoint t RUNNING
            -> t RUNNING
            checkpoint t RUNNING
        "#]],
    );
}

#[test]
fn a_kill_aborts_a_preparation_and_what_it_says_afterwards_is_not_told() {
    check(
        "up | registered | run t cpus:1 | ack t",
        "kill t | preparing t layer 1 | fail t aborted",
        expect![[r#"
            checkpoint t STARTING
            abort t
            checkpoint t KILLED
            destroy t
            -> t KILLED TASK_KILLED_DURING_LAUNCH: killed while its container was being launched
        "#]],
    );
    // The preparation was over.
    check(
        "up | registered | run t cpus:1 | ack t",
        "kill t | launched t | gone t",
        expect![[r#"
        checkpoint t STARTING
        abort t
        checkpoint t KILLING
        SIGKILL t
        -> t KILLING
        checkpoint t KILLED
        destroy t
    "#]],
    );
}

#[test]
fn an_agent_that_leaves_its_tasks_aborts_preparations_and_their_tasks_are_dropped() {
    check(
        "up | registered | run t cpus:1 | ack t",
        "stop | fail t aborted",
        expect![[r#"
        abort t
        checkpoint t DROPPED
        destroy t
        -> t DROPPED AGENT_RESTARTED: the agent restarted before its container was launched
        close link
        end
    "#]],
    );
}

#[test]
fn changes_of_health_and_readiness_are_told_once_and_failures_in_the_grace_period_do_not_count() {
    check(
        CHECKED,
        "health t refused | health t refused | health t | health t | ack t | ready t | ack t | ready t refused | ack t | ready t refused | ready t",
        expect![[r#"
            checkpoint t RUNNING
            -> t RUNNING TASK_HEALTH_CHECK_STATUS_UPDATED healthy
            checkpoint t RUNNING
            checkpoint t RUNNING
            -> t RUNNING TASK_CHECK_STATUS_UPDATED healthy ready
            checkpoint t RUNNING
            checkpoint t RUNNING
            -> t RUNNING TASK_CHECK_STATUS_UPDATED healthy not-ready: its readiness check failed: refused
            checkpoint t RUNNING
            checkpoint t RUNNING
            -> t RUNNING TASK_CHECK_STATUS_UPDATED healthy ready
        "#]],
    );
}

#[test]
fn a_task_that_is_unhealthy_often_enough_in_a_row_is_killed_and_fails() {
    check(
        CHECKED,
        "wait 5 | health t refused | health t | ack t | health t refused | health t timed-out | ack t | health t late | exit t 0",
        expect![[r#"
            checkpoint t RUNNING
            -> t RUNNING TASK_HEALTH_CHECK_STATUS_UPDATED healthy
            checkpoint t RUNNING
            checkpoint t KILLING
            SIGTERM t
            -> t KILLING TASK_UNHEALTHY unhealthy: its health check failed 2 times in a row: timed-out
            checkpoint t KILLING
            checkpoint t FAILED
            destroy t
            -> t FAILED TASK_UNHEALTHY unhealthy: its health check failed 2 times in a row: timed-out
        "#]],
    );
}

#[test]
fn findings_that_nobody_acknowledges_take_one_place_in_the_queue() {
    let mut world = World::new();
    world.run("up | registered | run t cpus:1 health=3 ready=1 | launched t");
    for _ in 0..100 {
        world.run("ready t | ready t refused | health t");
    }
    let pending: Vec<usize> = world.agent.tasks().map(|task| task.n_updates_pending).collect();
    assert_eq!(pending, [3], "STARTING, RUNNING, and what was found");
}

#[test]
fn checks_go_on_after_a_restart_of_the_agent_and_what_was_found_stands() {
    check(
        CHECKED,
        "wait 3 | health t | ack t | crash | health t refused | health t refused",
        expect![[r#"
            checkpoint t RUNNING
            -> t RUNNING TASK_HEALTH_CHECK_STATUS_UPDATED healthy
            checkpoint t RUNNING
            adopt process of t
            check t up 3s
            checkpoint t KILLING
            SIGTERM t
        "#]],
    );
}

#[test]
fn a_task_over_a_limit_of_the_agent_is_killed_soon_and_fails_with_the_figures() {
    check(
        "up | registered | run t cpus:1 restart=always | ack t | launched t | ack t",
        "limit t | ack t | wait 1 | gone t",
        expect![[r#"
            checkpoint t KILLING
            SIGTERM t
            -> t KILLING CONTAINER_LIMITATION_DISK: 2MiB in its sandbox of 1MiB
            checkpoint t KILLING
            SIGKILL t
            checkpoint t FAILED
            destroy t
            -> t FAILED CONTAINER_LIMITATION_DISK: 2MiB in its sandbox of 1MiB
        "#]],
    );
}
