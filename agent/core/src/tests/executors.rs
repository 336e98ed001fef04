//! Executors: many tasks in one container, as text.

use expect_test::expect;

use super::world::{World, check};

const UP: &str = "up | registered";
/// An executor that is subscribed and runs task `t`, everything acknowledged.
const RUNNING: &str = "up | registered | executor e run t cpus:1;mem:64MiB | executor e launched \
    | executor e subscribe | ack t | executor e says t RUNNING | ack t";

#[test]
fn the_first_task_launches_the_executor_and_is_handed_over_once_it_has_subscribed() {
    check(
        UP,
        "executor e run t cpus:1;mem:64MiB | ack t | executor e launched | executor e subscribe \
         | executor e says t RUNNING | ack t | executor e says t FINISHED 42 | ack t",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING
            checkpoint executor e
            launch e cpus:1;mem:64MiB
            checkpoint t STARTING
            checkpoint executor e subscribed
            e <- subscribed e
            e <- launch t
            checkpoint t RUNNING
            -> t RUNNING
            e <- acknowledged t RUNNING
            checkpoint t RUNNING
            checkpoint t FINISHED
            -> t FINISHED: 42
            e <- acknowledged t FINISHED42
            forget t
        "#]],
    );
}

#[test]
fn the_limits_grow_before_a_task_is_handed_over_and_shrink_after_its_end() {
    check(
        RUNNING,
        "executor e run u cpus:2;mem:64MiB | executor e says t FINISHED",
        expect![[r#"
            checkpoint u STARTING
            -> u STARTING
            resize e cpus:3;mem:128MiB
            e <- launch u
            checkpoint t FINISHED
            -> t FINISHED
            resize e cpus:2;mem:64MiB
            e <- acknowledged t FINISHED
        "#]],
    );
}

#[test]
fn an_executor_without_a_task_is_shut_down_after_a_while_and_killed_when_it_stays() {
    check(
        RUNNING,
        "executor e says t FINISHED | ack t | wait 1 | wait 1 | wait 5 | executor e exit 0",
        expect![[r#"
            checkpoint t FINISHED
            -> t FINISHED
            e <- acknowledged t FINISHED
            forget t
            e <- shutdown in 5s
            SIGKILL e
            destroy e
            forget e
        "#]],
    );
}

#[test]
fn a_task_that_comes_while_its_executor_ends_gets_another_one() {
    check(
        &format!("{RUNNING} | executor e says t FINISHED | ack t | wait 2"),
        "executor e run u cpus:1;mem:64MiB | executor e exit 0 | executor e launched | executor e subscribe",
        expect![[r#"
            checkpoint u STARTING
            -> u STARTING
            destroy e
            forget e
            checkpoint executor e
            launch e cpus:1;mem:64MiB
            checkpoint executor e subscribed
            e <- subscribed e
            e <- launch u
        "#]],
    );
}

#[test]
fn tasks_of_an_executor_that_does_not_subscribe_in_time_fail() {
    check(
        UP,
        "executor e run t cpus:1;mem:64MiB | ack t | executor e launched | wait 59 | wait 1 | executor e exit 9",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING
            checkpoint executor e
            launch e cpus:1;mem:64MiB
            checkpoint t STARTING
            SIGKILL e
            checkpoint t FAILED
            -> t FAILED EXECUTOR_REGISTRATION_TIMEOUT: its executor `e` did not subscribe within 60s
            destroy e
            forget e
        "#]],
    );
}

#[test]
fn a_kill_is_asked_for_and_an_executor_that_does_not_answer_is_killed_with_all_of_its_tasks() {
    check(
        RUNNING,
        "kill t 2 | executor e says t KILLED stopped | ack t",
        expect![[r#"
            checkpoint t KILLING
            e <- kill t in 2s
            -> t KILLING
            checkpoint t KILLED
            e <- acknowledged t KILLEDstopp
            checkpoint t KILLED
            -> t KILLED: stopped
        "#]],
    );
    check(
        &format!("{RUNNING} | executor e run u cpus:1;mem:64MiB | ack u"),
        "kill t 2 | ack t | kill t 1 | wait 5 | wait 1 | executor e exit 137",
        expect![[r#"
            checkpoint t KILLING
            e <- kill t in 2s
            -> t KILLING
            checkpoint t KILLING
            checkpoint t KILLING
            e <- kill t in 1s
            SIGKILL e
            checkpoint t KILLED
            -> t KILLED
            checkpoint u FAILED
            -> u FAILED EXECUTOR_TERMINATED: its executor `e` was killed: it did not end task `t` in time
            destroy e
            forget e
        "#]],
    );
}

#[test]
fn a_task_that_is_killed_before_its_executor_has_it_never_reaches_it() {
    check(
        UP,
        "executor e run t cpus:1;mem:64MiB | ack t | kill t | executor e launched | executor e subscribe | wait 2",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING
            checkpoint executor e
            launch e cpus:1;mem:64MiB
            checkpoint t STARTING
            checkpoint t KILLED
            -> t KILLED TASK_KILLED_DURING_LAUNCH: killed while its container was being launched
            checkpoint executor e subscribed
            e <- subscribed e
            e <- shutdown in 5s
        "#]],
    );
}

#[test]
fn how_an_executor_ended_is_told_of_each_of_its_tasks() {
    let both = format!("{RUNNING} | executor e run u cpus:1;mem:64MiB | ack u");
    check(
        &both,
        "executor e exit 3",
        expect![[r#"
        checkpoint t FAILED
        -> t FAILED EXECUTOR_TERMINATED: its executor `e` exited with code 3
        checkpoint u FAILED
        -> u FAILED EXECUTOR_TERMINATED: its executor `e` exited with code 3
        destroy e
        forget e
    "#]],
    );
    check(
        &both,
        "executor e oom",
        expect![[r#"
        checkpoint t FAILED
        -> t FAILED CONTAINER_LIMITATION_MEMORY: its executor `e` was killed by the kernel at its memory limit of 128MiB (peak 128MiB)
        checkpoint u FAILED
        -> u FAILED CONTAINER_LIMITATION_MEMORY: its executor `e` was killed by the kernel at its memory limit of 128MiB (peak 128MiB)
        destroy e
        forget e
    "#]],
    );
    check(
        UP,
        "executor e run t cpus:1;mem:64MiB | ack t | executor e fail no-image",
        expect![[r#"
            checkpoint t STARTING
            -> t STARTING
            checkpoint executor e
            launch e cpus:1;mem:64MiB
            checkpoint t STARTING
            checkpoint t FAILED
            -> t FAILED CONTAINER_LAUNCH_FAILED: no-image
            destroy e
            forget e
        "#]],
    );
}

#[test]
fn a_restarted_agent_takes_executors_back_and_hands_over_what_they_never_had() {
    check(
        &format!("{RUNNING} | executor e run u cpus:1;mem:64MiB | executor e run v cpus:1;mem:64MiB"),
        "crash | executor e launched | executor e subscribe t u | executor e says t RUNNING \
         | executor e says t FINISHED | up | registered",
        expect![[r#"
            adopt e
            resize e cpus:3;mem:192MiB
            e <- subscribed e
            e <- launch v
            e <- acknowledged t RUNNING
            checkpoint t FINISHED
            resize e cpus:2;mem:128MiB
            e <- acknowledged t FINISHED
            -> register a t=FINISHED u=STARTING v=STARTING
            -> t FINISHED
            -> u STARTING
            -> v STARTING
        "#]],
    );
}

#[test]
fn a_task_that_ran_and_that_its_executor_does_not_know_any_more_has_failed() {
    check(
        RUNNING,
        "executor e lose | executor e subscribe",
        expect![[r#"
            e <- subscribed e
            checkpoint t FAILED
            -> t FAILED EXECUTOR_TERMINATED: its executor does not know it
        "#]],
    );
}

#[test]
fn an_executor_that_does_not_come_back_is_killed() {
    check(
        RUNNING,
        "crash | executor e launched | wait 14 | wait 1 | executor e exit 137 | up | registered",
        expect![[r#"
            adopt e
            resize e cpus:1;mem:64MiB
            SIGKILL e
            checkpoint t FAILED
            destroy e
            forget e
            -> register a t=FAILED
            -> t FAILED EXECUTOR_REREGISTRATION_TIMEOUT: its executor `e` did not subscribe again within 15s
        "#]],
    );
}

#[test]
fn an_executor_whose_agent_died_during_its_launch_never_had_its_tasks() {
    check(
        "up | registered | executor e run t cpus:1;mem:64MiB",
        "crash | executor e gone | up | registered | ack t",
        expect![[r#"
            adopt e
            checkpoint t DROPPED
            destroy e
            forget e
            -> register a t=DROPPED
            -> t STARTING (now DROPPED)
            checkpoint t DROPPED
            -> t DROPPED AGENT_RESTARTED: the agent restarted before its executor was launched
        "#]],
    );
}

#[test]
fn an_executor_speaks_only_of_tasks_that_were_handed_to_it() {
    let other = "run own cpus:0.1;mem:1MiB | executor f run x cpus:0.1;mem:1MiB";
    check(
        &format!("{RUNNING} | {other}"),
        "executor e says own FINISHED",
        expect![[r#"
            disconnect e: task `own` is not one of it
        "#]],
    );
    check(
        &format!("{RUNNING} | {other}"),
        "executor e says x FINISHED | executor e says t FINISHED | executor e subscribe t",
        expect![[r#"
            disconnect e: task `x` is not one of it
            e <- subscribed e
        "#]],
    );
}

#[test]
fn an_update_that_comes_again_or_too_late_is_acknowledged_and_changes_nothing() {
    check(
        RUNNING,
        "executor e says t RUNNING | executor e says t FINISHED | executor e says t FINISHED | ack t \
         | executor e says t FAILED | executor e says gone FINISHED",
        expect![[r#"
            e <- acknowledged t RUNNING
            checkpoint t FINISHED
            -> t FINISHED
            e <- acknowledged t FINISHED
            e <- acknowledged t FINISHED
            forget t
            e <- acknowledged t FAILED
            e <- acknowledged gone FINISHED
        "#]],
    );
}

#[test]
fn tasks_that_describe_one_executor_differently_are_refused() {
    check(
        RUNNING,
        "executor e run u cpus:1;mem:64MiB other-program | run executor:e cpus:1;mem:64MiB \
         | executor e run w cpus:1;mem:64MiB;gpus:1",
        expect![[r#"
            -> u ERROR TASK_INVALID: executor `e` is there already, and not as this task describes it
            -> executor:e ERROR TASK_INVALID: the task's id `executor:e` is that of an executor
            -> w ERROR TASK_INVALID: a task with an executor cannot have `gpus`
        "#]],
    );
}

#[test]
fn an_executor_is_not_told_what_is_not_on_disk() {
    let mut world = World::new();
    world.run(RUNNING);
    world.full_for = Some("t".to_owned());
    let mut text = world.run("executor e says t FINISHED");
    world.full_for = None;
    text += &world.run("wait 1");
    expect![[r#"
        checkpoint t FINISHED
        destroy t
        -> t FINISHED
        e <- acknowledged t FINISHED
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_task_and_an_executor_that_cannot_be_written_down_are_not_launched() {
    let mut world = World::new();
    world.run(UP);
    world.full_for = Some("e".to_owned());
    let mut text = world.run("executor e run t cpus:1;mem:64MiB");
    world.run("ack t");
    world.full_for = Some("u".to_owned());
    text += &world.run("executor e run u cpus:1;mem:64MiB");
    expect![[r#"
        checkpoint t STARTING
        -> t STARTING
        checkpoint t FAILED
        destroy e
        forget e
        checkpoint executor e
        launch e cpus:1;mem:64MiB
        forget u
        -> u DROPPED CONTAINER_LAUNCH_FAILED: the agent could not write its checkpoint: no space left on device
    "#]].assert_eq(&text);
}

#[test]
fn an_agent_that_stops_with_its_tasks_ends_its_executors() {
    check(
        RUNNING,
        "stop with tasks | executor e says t KILLED | ack t | ack t | wait 0 | executor e exit 0",
        expect![[r#"
            checkpoint t KILLING
            e <- kill t in 3s
            -> t KILLING
            checkpoint t KILLED
            e <- acknowledged t KILLED
            checkpoint t KILLED
            -> t KILLED: the agent was stopped together with its tasks
            forget t
            e <- shutdown in 5s
            destroy e
            forget e
            close link
            end
        "#]],
    );
}
