//! Agents: sessions fence, absence has steps, and whoever comes back comes back whole.

use expect_test::expect;

use crate::script::check;

const RUNNING: &str = "framework f0 | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 600 t1@a0:cpus:1";

#[test]
fn a_lost_link_takes_offers_back_and_keeps_tasks() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | lost a0 | wait 60 | agent a0 cpus:4;mem:1GiB",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > lost a0
            f0 <- rescind o0
            > wait 60
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn a_task_that_never_reached_its_agent_is_dropped_and_its_resources_are_offered() {
    check(
        &format!("{RUNNING} | lost a0 | agent a0 cpus:4;mem:1GiB"),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > lost a0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- t1 DROPPED AGENT_DISCONNECTED (the agent was cut off before the task reached it)
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn a_task_the_agent_ran_once_and_lists_no_more_is_gone() {
    check(
        &format!("{RUNNING} | status a0 f0/t1 RUNNING | lost a0 | agent a0 cpus:4;mem:1GiB"),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > lost a0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- t1 GONE AGENT_DISCONNECTED (the agent is back without the task)
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn a_task_that_did_reach_its_agent_runs_on() {
    check(
        &format!(
            "{RUNNING} | lost a0 | agent a0 cpus:4;mem:1GiB f0/t1=STARTING | status a0 f0/t1 STARTING | ack f0 t1"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > lost a0
            > agent a0 cpus:4;mem:1GiB f0/t1=STARTING
            a0 <- registered as a0
            > status a0 f0/t1 STARTING
            f0 <- t1 STARTING #2
            > ack f0 t1
            a0 <- acknowledge f0/t1 #2
        "#]],
    );
}

#[test]
fn a_task_whose_end_its_agent_only_listed_is_unreachable_with_the_agent_and_ends_when_it_is_back() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 600 t1@a0:cpus:1 | lost a0
         agent a0 cpus:4;mem:1GiB f0/t1=FINISHED | lost a0 | reconcile f0 t1@a0 | wait 75 | reconcile f0 t1@a0
         agent a0 cpus:4;mem:1GiB f0/t1=FINISHED | status a0 f0/t1 RUNNING FINISHED",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > lost a0
            > agent a0 cpus:4;mem:1GiB f0/t1=FINISHED
            a0 <- registered as a0
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
            > lost a0
            f0 <- rescind o1
            > reconcile f0 t1@a0
            f0 <- t1 STAGING RECONCILIATION
            > wait 75
            f0 <- agent a0 lost
            f0 <- t1 UNREACHABLE AGENT_REMOVED (the agent is unreachable)
            > reconcile f0 t1@a0
            f0 <- t1 UNREACHABLE RECONCILIATION
            > agent a0 cpus:4;mem:1GiB f0/t1=FINISHED
            a0 <- registered as a0
            f0 <- offer o2 a0 * cpus:4;mem:1GiB
            > status a0 f0/t1 RUNNING FINISHED
            f0 <- t1 RUNNING #3
        "#]],
    );
}

#[test]
fn an_agent_that_stays_away_is_unreachable_and_comes_back_whole() {
    check(
        &format!(
            "{RUNNING} | show registry | status a0 f0/t1 RUNNING | lost a0 | wait 75 | kill f0 t1 | agent a0 cpus:4;mem:1GiB f0/t1=RUNNING | status a0 f0/t1 KILLED | ack f0 t1"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > show registry
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > lost a0
            > wait 75
            store agent a0 cpus:4;mem:1GiB unreachable since 75000ms
            f0 <- agent a0 lost
            f0 <- t1 UNREACHABLE AGENT_REMOVED (the agent is unreachable)
            > kill f0 t1
            > agent a0 cpus:4;mem:1GiB f0/t1=RUNNING
            store agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- t1 RUNNING AGENT_REREGISTERED
            a0 <- kill f0/t1
            f0 <- offer o1 a0 * cpus:3;mem:1GiB
            > status a0 f0/t1 KILLED
            f0 <- t1 KILLED #3
            f0 <- offer o2 a0 * cpus:1
            > ack f0 t1
            a0 <- acknowledge f0/t1 #3
        "#]],
    );
}

#[test]
fn a_second_link_of_an_agent_takes_over_and_the_first_is_fenced() {
    check(
        &format!("{RUNNING} | agent a0 cpus:4;mem:1GiB f0/t1=RUNNING | frame-of-old-session a0"),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > agent a0 cpus:4;mem:1GiB f0/t1=RUNNING
            a0(old) closed: a newer link took over
            a0 <- registered as a0
            > frame-of-old-session a0
        "#]],
    );
}

#[test]
fn a_silent_agent_is_lost_after_three_heartbeats() {
    check(
        "agent a0 cpus:4;mem:1GiB | mute a0 | wait 14 | wait 6",
        expect![[r#"
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            > mute a0
            > wait 14
            a0 closed: nothing was heard from it for three heartbeat intervals
            > wait 6
        "#]],
    );
}

#[test]
fn while_a_master_waits_for_its_store_it_takes_nobody_for_silent_and_says_that_it_is_there() {
    check(
        "agent a0 cpus:1 | agent a1 cpus:1 | framework f0 | mute a1 | deaf 20 | wait 2 | wait 1 | wait 20",
        expect![[r#"
            > agent a0 cpus:1
            a0 <- registered as a0
            > agent a1 cpus:1
            a1 <- registered as a1
            > framework f0
            f0 <- subscribed as f0
            f0 <- offer o0 a0 * cpus:1
            f0 <- offer o1 a1 * cpus:1
            > mute a1
            > deaf 20
            44 heartbeats
            > wait 2
            > wait 1
            f0 <- rescind o1
            a1 closed: nothing was heard from it for three heartbeat intervals
            > wait 20
            f0 <- rescind o0
            f0 <- offer o2 a0 * cpus:1
        "#]],
    );
}

#[test]
fn an_agent_that_shrank_is_offered_only_what_it_has_left() {
    check(
        &format!("{RUNNING} | lost a0 | agent a0 cpus:1;mem:1GiB f0/t1=RUNNING"),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > lost a0
            > agent a0 cpus:1;mem:1GiB f0/t1=RUNNING
            a0 <- registered as a0
        "#]],
    );
}

#[test]
fn an_agent_without_resources_is_refused() {
    check(
        "agent a0 cpus:0",
        expect![[r#"
        > agent a0 cpus:0
        a0 <- refused: the agent has no resources
        a0 closed: the peer was refused: the agent has no resources
    "#]],
    );
}

#[test]
fn a_registration_that_was_long_under_way_does_not_undo_a_later_one() {
    check(
        "framework f0 | dial a0 | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 600 t1@a0:cpus:1
             agent a0(late) cpus:4;mem:1GiB | lost a0 | agent a0(late) cpus:4;mem:1GiB",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > dial a0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > agent a0(late) cpus:4;mem:1GiB
            a0(late) closed: a newer link took over
            > lost a0
            > agent a0(late) cpus:4;mem:1GiB
            a0(late) closed: a newer link took over
        "#]],
    );
}

#[test]
fn an_agent_that_comes_back_smaller_than_its_tasks_offers_nothing_until_they_end() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | accept f0 o0 t1@a0:cpus:2 t2@a0:cpus:1 | status a0 f0/t1 RUNNING
         status a0 f0/t2 RUNNING | lost a0 | agent a0 cpus:2 f0/t1=RUNNING f0/t2=RUNNING | wait 6 | show roles
         status a0 f0/t2 FINISHED | wait 6 | status a0 f0/t1 FINISHED | lost a0 | agent a0 cpus:5",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 t1@a0:cpus:2 t2@a0:cpus:1
            a0 <- run f0/t1 cpus:2
            a0 <- run f0/t2 cpus:1
            f0 <- offer o1 a0 * cpus:1;mem:1GiB
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > status a0 f0/t2 RUNNING
            f0 <- t2 RUNNING #2
            > lost a0
            f0 <- rescind o1
            > agent a0 cpus:2 f0/t1=RUNNING f0/t2=RUNNING
            a0 <- registered as a0
            > wait 6
            > show roles
            role * has cpus:3
            > status a0 f0/t2 FINISHED
            f0 <- t2 FINISHED #5
            > wait 6
            > status a0 f0/t1 FINISHED
            f0 <- t1 FINISHED #6
            f0 <- offer o2 a0 * cpus:2
            > lost a0
            f0 <- rescind o2
            > agent a0 cpus:5
            a0 <- registered as a0
            f0 <- offer o3 a0 * cpus:5
        "#]],
    );
}
