//! The life of tasks and sessions, as text.

use expect_test::expect;

use proffer_types::TaskExit;

use super::world::{World, check};

const UP: &str = "up | registered";
const RUNNING: &str = "up | registered | run t cpus:1;mem:64MiB | ack t | launched t | ack t";

#[test]
fn a_task_is_checkpointed_before_it_is_launched_or_reported_and_forgotten_after_its_last_acknowledgement() {
    check(
        UP,
        "run t cpus:1 | launched t | ack t | ack t | exit t 0 | ack t",
        expect![[r#"
            checkpoint t STARTING
            launch t
            -> t STARTING
            checkpoint t RUNNING
            checkpoint t RUNNING
            -> t RUNNING
            checkpoint t RUNNING
            checkpoint t FINISHED
            destroy t
            -> t FINISHED
            forget t
        "#]],
    );
}

#[test]
fn a_launch_that_does_not_fit_what_is_free_is_dropped_whatever_the_master_says() {
    check(
        RUNNING,
        "run u cpus:3.5",
        expect![[r#"
        -> u DROPPED INVALID_OFFERS: the agent has not enough cpus: 3.5 wanted, 3 free
    "#]],
    );
    check(
        "up | registered | run t ports:[31000-31004]",
        "run u ports:[31004-31005]",
        expect![[r#"
            -> u DROPPED INVALID_OFFERS: the agent has not enough ports: [31004-31005] wanted, [31005-31009] free
        "#]],
    );
}

#[test]
fn a_second_launch_of_a_task_id_in_use_changes_nothing() {
    check(RUNNING, "run t cpus:1", expect![[""]]);
}

#[test]
fn a_frame_of_an_earlier_session_changes_nothing() {
    check(
        "up | registered | down | up | registered",
        "stale run t cpus:1",
        expect![[""]],
    );
    check(
        "up | registered | down | up",
        "stale run t cpus:1 | run u cpus:1",
        expect![[""]],
    );
}

#[test]
fn how_a_container_ended_decides_what_is_reported() {
    check(
        RUNNING,
        "exit t 3",
        expect![[r#"
        checkpoint t FAILED
        destroy t
        -> t FAILED COMMAND_FAILED: command exited with code 3
    "#]],
    );
    check(
        RUNNING,
        "oom t",
        expect![[r#"
        checkpoint t FAILED
        destroy t
        -> t FAILED CONTAINER_LIMITATION_MEMORY: killed by the kernel at its memory limit of 64MiB (peak 64MiB)
    "#]],
    );
    check(
        RUNNING,
        "host-oom t",
        expect![[r#"
            checkpoint t FAILED
            destroy t
            -> t FAILED COMMAND_FAILED: killed by the kernel when the host ran out of memory (peak 1MiB)
        "#]],
    );
    check(
        RUNNING,
        "gone t",
        expect![[r#"
        checkpoint t FAILED
        destroy t
        -> t FAILED CONTAINER_STATUS_UNKNOWN: its container is gone and left no exit status
    "#]],
    );
    check(
        "up | registered | run t cpus:1 | ack t",
        "fail t boom",
        expect![[r#"
            checkpoint t FAILED
            destroy t
            -> t FAILED CONTAINER_LAUNCH_FAILED: boom
        "#]],
    );
    let mut world = World::new();
    world.run("up | registered | run t cpus:1 | ack t | fail t not-found");
    let task = world.agent.tasks().next().unwrap();
    assert_eq!(task.latest.exit, Some(TaskExit::Code(127)));
}

#[test]
fn a_kill_terminates_then_kills_after_the_grace_period_and_a_later_kill_only_shortens_it() {
    check(
        RUNNING,
        "kill t 10 | ack t | wait 2 | kill t 60 | kill t 1 | wait 1 | exit t 0",
        expect![[r#"
            checkpoint t KILLING
            SIGTERM t
            -> t KILLING
            checkpoint t KILLING
            checkpoint t KILLING
            SIGKILL t
            checkpoint t KILLED
            destroy t
            -> t KILLED
        "#]],
    );
}

#[test]
fn a_task_killed_during_its_launch_is_killed_as_soon_as_it_runs() {
    check(
        "up | registered | run t cpus:1 | ack t",
        "kill t | launched t | ack t | gone t",
        expect![[r#"
            checkpoint t STARTING
            abort t
            checkpoint t KILLING
            SIGKILL t
            -> t KILLING
            checkpoint t KILLING
            checkpoint t KILLED
            destroy t
            -> t KILLED TASK_KILLED_DURING_LAUNCH: killed while its container was being launched
        "#]],
    );
}

#[test]
fn a_task_that_runs_longer_than_its_max_completion_time_fails() {
    check(
        "up | registered | run t cpus:1 time=5 | ack t | launched t | ack t",
        "wait 5 | ack t | wait 3 | gone t",
        expect![[r#"
            checkpoint t KILLING
            SIGTERM t
            -> t KILLING
            checkpoint t KILLING
            SIGKILL t
            checkpoint t FAILED
            destroy t
            -> t FAILED MAX_COMPLETION_TIME_REACHED: ran longer than its max_completion_time of 5s
        "#]],
    );
}

#[test]
fn only_the_oldest_update_is_sent_and_it_is_retried_with_the_newest_state_until_it_is_acknowledged() {
    check(
        UP,
        "run t cpus:1 | launched t | wait 30 | wait 5 | exit t 0 | wait 1 | ack t",
        expect![[r#"
            checkpoint t STARTING
            launch t
            -> t STARTING
            checkpoint t RUNNING
            -> t STARTING (now RUNNING)
            -> t STARTING (now RUNNING)
            checkpoint t FINISHED
            destroy t
            -> t STARTING (now FINISHED)
            checkpoint t FINISHED
            -> t RUNNING (now FINISHED)
        "#]],
    );
}

#[test]
fn a_new_session_starts_with_all_tasks_and_the_updates_that_wait() {
    check(
        RUNNING,
        "down | exit t 0 | up | registered",
        expect![[r#"
        checkpoint t FINISHED
        destroy t
        -> register a t=FINISHED
        -> t FINISHED
    "#]],
    );
}

#[test]
fn a_restarted_agent_takes_its_tasks_back_and_reports_what_ended_meanwhile() {
    check(
        RUNNING,
        "crash | exit t 4 | up | registered",
        expect![[r#"
        adopt process of t
        checkpoint t FAILED
        destroy t
        -> register a t=FAILED
        -> t FAILED COMMAND_FAILED: command exited with code 4
    "#]],
    );
    check(
        "up | registered | run t cpus:1",
        "crash | gone t | up | registered",
        expect![[r#"
            adopt launch of t
            checkpoint t DROPPED
            destroy t
            -> register a t=DROPPED
            -> t STARTING (now DROPPED)
        "#]],
    );
    check(
        "up | registered | run t cpus:1",
        "crash | launched t | up | registered",
        expect![[r#"
            adopt launch of t
            checkpoint t RUNNING
            -> register a t=RUNNING
            -> t STARTING (now RUNNING)
        "#]],
    );
    check(
        RUNNING,
        "kill t 5 | crash | wait 5",
        expect![[r#"
        checkpoint t KILLING
        SIGTERM t
        -> t KILLING
        adopt process of t
        SIGTERM t
        SIGKILL t
    "#]],
    );
}

#[test]
fn a_new_task_whose_checkpoint_fails_is_dropped() {
    let mut world = World::new();
    world.run(UP);
    world.full_for = Some("t".into());
    expect![[r#"
        forget t
        -> t DROPPED CONTAINER_LAUNCH_FAILED: the agent could not write its checkpoint: no space left on device
        checkpoint u STARTING
        launch u
        -> u STARTING
    "#]].assert_eq(&world.run("run t cpus:1 | ack t | run u cpus:4"));
}

#[test]
fn nothing_is_reported_of_a_task_while_its_checkpoint_fails() {
    let mut world = World::new();
    world.run(RUNNING);
    world.full_for = Some("t".into());
    expect![[""]].assert_eq(&world.run("exit t 0 | wait 5"));
    world.full_for = None;
    expect![[r#"
        checkpoint t FINISHED
        destroy t
        -> t FINISHED
    "#]]
    .assert_eq(&world.run("wait 1"));
}

#[test]
fn a_container_whose_last_checkpoint_failed_is_removed_with_whatever_writes_it_next() {
    let mut world = World::new();
    world.run(UP);
    world.run("run t cpus:1 | launched t");
    world.full_for = Some("t".into());
    world.run("exit t 0");
    world.full_for = None;
    expect![[r#"
        checkpoint t FINISHED
        destroy t
        -> t RUNNING (now FINISHED)
    "#]]
    .assert_eq(&world.run("ack t"));
}

#[test]
fn a_silent_master_loses_its_session() {
    let mut world = World::new();
    world.run(UP);
    world.now = world.now.after(super::world::HEARTBEAT * 3);
    world.step(crate::Command::Tick);
    assert!(!world.agent.is_registered());
    expect![[r#"
        close link
    "#]]
    .assert_eq(&world.run(""));
}

#[test]
fn another_interval_is_confirmed_at_once_and_the_master_may_be_silent_for_three_of_it() {
    let mut world = World::new();
    world.run(UP);
    expect![[r#"
        -> a heartbeat each 20s
    "#]]
    .assert_eq(&world.run("interval 20 | wait 0"));
    world.now = world.now.after(super::world::HEARTBEAT * 3);
    world.step(crate::Command::Tick);
    assert!(world.agent.is_registered());
    world.now = world.now.after(super::world::HEARTBEAT * 9);
    world.step(crate::Command::Tick);
    assert!(!world.agent.is_registered());
}

#[test]
fn an_agent_that_stops_with_its_tasks_ends_after_the_last_of_them() {
    check(
        RUNNING,
        "stop with tasks | run u cpus:1 | wait 3 | gone t | ack t | wait 1",
        expect![[r#"
            checkpoint t KILLING
            SIGTERM t
            -> t KILLING
            -> u DROPPED AGENT_DISCONNECTED: the agent is stopping
            SIGKILL t
            checkpoint t KILLED
            destroy t
            checkpoint t KILLED
            -> t KILLED: the agent was stopped together with its tasks
            close link
            end
        "#]],
    );
}

#[test]
fn a_refused_agent_ends_with_the_masters_words() {
    check(
        "up",
        "refused gone",
        expect![[r#"
            close link
            end with gone
        "#]],
    );
}

#[test]
fn an_agent_that_is_gone_by_an_operators_word_kills_its_tasks_and_ends_with_the_masters_words() {
    check(
        RUNNING,
        "declared-gone spent | up | declared-gone spent | wait 3 | gone t",
        expect![[r#"
            close link
            checkpoint t KILLING
            SIGTERM t
            -> register a t=KILLING
            close link
            SIGKILL t
            checkpoint t KILLED
            destroy t
            end with spent
        "#]],
    );
}

#[test]
fn an_agent_that_leaves_its_tasks_ends_after_the_launches_under_way() {
    check(
        RUNNING,
        "stop",
        expect![[r#"
        close link
        end
    "#]],
    );
    check(
        "up | registered | run t cpus:1",
        "stop | launched t",
        expect![[r#"
            abort t
            checkpoint t RUNNING
            close link
            end
        "#]],
    );
}

#[test]
fn what_a_reboot_took_is_gone_and_not_restarted_but_an_exit_code_stands() {
    check(
        RUNNING,
        "reboot | gone t | up | registered",
        expect![[r#"
            adopt launch of t
            checkpoint t GONE
            destroy t
            -> register a t=GONE
            -> t GONE AGENT_REBOOTED: its host was rebooted
        "#]],
    );
    check(
        RUNNING,
        "reboot | exit t 0",
        expect![[r#"
        adopt launch of t
        checkpoint t FINISHED
        destroy t
    "#]],
    );
    check(
        RUNNING,
        "kill t 5 | reboot | gone t",
        expect![[r#"
        checkpoint t KILLING
        SIGTERM t
        -> t KILLING
        adopt launch of t
        checkpoint t KILLED
        destroy t
    "#]],
    );
    check(
        "up | registered | run t cpus:1",
        "reboot | gone t | up | registered",
        expect![[r#"
            adopt launch of t
            checkpoint t GONE
            destroy t
            -> register a t=GONE
            -> t STARTING (now GONE)
        "#]],
    );
    check(
        "up | registered | run t cpus:1 restart=always | launched t",
        "reboot | gone t",
        expect![[r#"
            adopt launch of t
            checkpoint t GONE
            destroy t
        "#]],
    );
    check(
        "up | registered | run t cpus:1 restart=always | launched t | exit t 1",
        "reboot | wait 10",
        expect![[r#"
            checkpoint t GONE
            destroy t
        "#]],
    );
}
