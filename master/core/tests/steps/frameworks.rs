//! Frameworks: they fail over, they are taken over, and one day they are completed.

use expect_test::expect;

use crate::script::check;

const RUNNING: &str =
    "framework f0 failover 100 | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 600 t1@a0:cpus:1";

#[test]
fn a_framework_that_comes_back_in_time_keeps_its_tasks_and_loses_its_filters() {
    check(
        &format!("{RUNNING} | lost f0 | wait 99 | framework f0 failover 100"),
        expect![[r#"
            > framework f0 failover 100
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > lost f0
            > wait 99
            > framework f0 failover 100
            f0 <- subscribed as f0
            f0 <- offer o1 a0 * cpus:3;mem:1GiB
        "#]],
    );
}

#[test]
fn a_framework_that_stays_away_is_completed_and_its_tasks_hold_resources_until_dead() {
    check(
        &format!(
            "{RUNNING} | framework f1 | decline f1 o1 refuse 6000 | lost f0 | show registry | wait 100 | framework f0 | status a0 f0/t1 KILLED"
        ),
        expect![[r#"
            > framework f0 failover 100
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > framework f1
            f1 <- subscribed as f1
            f1 <- offer o1 a0 * cpus:3;mem:1GiB
            > decline f1 o1 refuse 6000
            > lost f0
            > show registry
            > wait 100
            store framework f0 order 0 completed
            a0 <- shut down f0
            > framework f0
            f0 <- error: framework `f0` is completed (torn down, or away for longer than its failover timeout) and its id is spent; to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
            f0 closed: the peer was refused: framework `f0` is completed (torn down, or away for longer than its failover timeout) and its id is spent; to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
            > status a0 f0/t1 KILLED
            a0 <- acknowledge f0/t1 #1
            f1 <- offer o2 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn a_torn_down_framework_has_its_waiting_statuses_acknowledged_by_the_master() {
    check(
        &format!("{RUNNING} | status a0 f0/t1 RUNNING | teardown f0 | status a0 f0/t1 KILLED"),
        expect![[r#"
            > framework f0 failover 100
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > teardown f0
            a0 <- shut down f0
            a0 <- acknowledge f0/t1 #1
            f0 closed: the framework is completed
            > status a0 f0/t1 KILLED
            a0 <- acknowledge f0/t1 #2
        "#]],
    );
}

#[test]
fn tasks_of_a_framework_torn_down_while_their_agent_was_away_are_shut_down_when_it_is_back() {
    check(
        &format!(
            "{RUNNING} | lost a0 | operator-teardown f0 | operator-teardown f0 | agent a0 cpus:4;mem:1GiB f0/t1=RUNNING | status a0 f0/t1 KILLED"
        ),
        expect![[r#"
            > framework f0 failover 100
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > lost a0
            > operator-teardown f0
            f0 <- error: an operator tore the framework down
            f0 closed: the framework is completed
            operator <- done
            > operator-teardown f0
            operator <- no framework `f0`
            > agent a0 cpus:4;mem:1GiB f0/t1=RUNNING
            a0 <- registered as a0
            a0 <- shut down f0
            > status a0 f0/t1 KILLED
            a0 <- acknowledge f0/t1 #2
        "#]],
    );
}

#[test]
fn a_second_subscription_takes_over_from_the_first() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | framework f0",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > framework f0
            f0(old) <- error: another instance of the framework subscribed
            f0(old) closed: a newer link took over
            f0 <- subscribed as f0
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn an_id_without_a_record_cannot_subscribe_without_asking_for_adoption() {
    check(
        "framework f0 id f7",
        expect![[r#"
            > framework f0 id f7
            f0 <- error: the master has no record of framework id `f7`; if this is its cluster all the same, subscribe with adoption (--adopt f7); to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
            f0 closed: the peer was refused: the master has no record of framework id `f7`; if this is its cluster all the same, subscribe with adoption (--adopt f7); to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
        "#]],
    );
}

#[test]
fn without_a_failover_timeout_a_lost_link_is_the_end() {
    check(
        "framework f0 failover 0 | lost f0 | framework f0",
        expect![[r#"
            > framework f0 failover 0
            f0 <- subscribed as f0
            > lost f0
            > framework f0
            f0 <- error: framework `f0` is completed (torn down, or away for longer than its failover timeout) and its id is spent; to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
            f0 closed: the peer was refused: framework `f0` is completed (torn down, or away for longer than its failover timeout) and its id is spent; to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
        "#]],
    );
}

#[test]
fn a_silent_framework_is_lost_after_three_heartbeats() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | mute f0 | wait 14 | wait 6",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > mute f0
            > wait 14
            > wait 6
            f0 closed: nothing was heard from it for three heartbeat intervals
        "#]],
    );
}

#[test]
fn tasks_of_a_framework_torn_down_while_their_agent_was_unreachable_hold_resources_again_until_dead() {
    check(
        &format!(
            "{RUNNING} | status a0 f0/t1 RUNNING | ack f0 t1 | lost a0 | wait 75 | operator-teardown f0 | show roles
             agent a0 cpus:4;mem:1GiB f0/t1=RUNNING | show roles | status a0 f0/t1 KILLED | show roles"
        ),
        expect![[r#"
            > framework f0 failover 100
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > lost a0
            > wait 75
            f0 <- agent a0 lost
            f0 <- t1 UNREACHABLE AGENT_REMOVED (the agent is unreachable)
            > operator-teardown f0
            f0 <- error: an operator tore the framework down
            f0 closed: the framework is completed
            operator <- done
            > show roles
            > agent a0 cpus:4;mem:1GiB f0/t1=RUNNING
            a0 <- registered as a0
            a0 <- shut down f0
            > show roles
            role * has cpus:1
            > status a0 f0/t1 KILLED
            a0 <- acknowledge f0/t1 #3
            > show roles
        "#]],
    );
}

#[test]
fn a_framework_that_is_not_back_since_the_masters_start_is_torn_down_with_its_tasks() {
    check(
        &format!(
            "{RUNNING} | status a0 f0/t1 RUNNING | restart | agent a0 cpus:4;mem:1GiB f0/t1=RUNNING
             operator-teardown f0 | show roles | status a0 f0/t1 KILLED | show roles | framework f0"
        ),
        expect![[r#"
            > framework f0 failover 100
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > restart
            > agent a0 cpus:4;mem:1GiB f0/t1=RUNNING
            a0 <- registered as a0
            > operator-teardown f0
            a0 <- shut down f0
            operator <- done
            > show roles
            role * has cpus:1
            > status a0 f0/t1 KILLED
            a0 <- acknowledge f0/t1 #3
            > show roles
            > framework f0
            f0 <- error: framework `f0` is completed (torn down, or away for longer than its failover timeout) and its id is spent; to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
            f0 closed: the peer was refused: framework `f0` is completed (torn down, or away for longer than its failover timeout) and its id is spent; to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
        "#]],
    );
}
