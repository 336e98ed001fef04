//! The master dies and another one starts on its store: everybody comes back by themselves.

use expect_test::expect;

use crate::script::check;

const RUNNING: &str =
    "framework f0 failover 100 role eng | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 600 t1@a0:cpus:1
     status a0 f0/t1 RUNNING | weight eng 2000 | restart";

#[test]
fn agents_and_frameworks_come_back_with_their_ids_and_tasks() {
    check(
        &format!(
            "{RUNNING} | framework f0 role eng | agent a0 cpus:4;mem:1GiB f0/t1=RUNNING | status a0 f0/t1 RUNNING | ack f0 t1 | agent a1 cpus:1"
        ),
        expect![[r#"
            > framework f0 failover 100 role eng
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > weight eng 2000
            operator <- done
            > restart
            > framework f0 role eng
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB f0/t1=RUNNING
            a0 <- registered as a0
            f0 <- offer m2-o0 a0 eng cpus:3;mem:1GiB
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #3
            > ack f0 t1
            a0 <- acknowledge f0/t1 #3
            > agent a1 cpus:1
            a1 <- registered as m2-a0
            f0 <- offer m2-o1 m2-a0 eng cpus:1
        "#]],
    );
}

#[test]
fn a_task_stays_in_the_role_it_was_launched_in() {
    check(
        "framework f0 role a role b | agent a0 cpus:4 | decline f0 o0 refuse 600
         accept f0 o1 refuse 600 t1@a0:cpus:1 | status a0 f0/t1 RUNNING | show roles | restart
         agent a0 cpus:4 f0/t1=RUNNING | show roles | framework f0 role a | restart
         framework f0 role a | agent a0 cpus:4 f0/t1=RUNNING | show roles",
        expect![[r#"
            > framework f0 role a role b
            f0 <- subscribed as f0
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 a cpus:4
            > decline f0 o0 refuse 600
            f0 <- offer o1 a0 b cpus:4
            > accept f0 o1 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > show roles
            role a has nothing
            role b has cpus:1
            > restart
            > agent a0 cpus:4 f0/t1=RUNNING
            a0 <- registered as a0
            > show roles
            role b has cpus:1
            > framework f0 role a
            f0 <- subscribed as f0
            f0 <- offer m2-o0 a0 a cpus:3
            > restart
            > framework f0 role a
            f0 <- subscribed as f0
            > agent a0 cpus:4 f0/t1=RUNNING
            a0 <- registered as a0
            f0 <- offer m3-o0 a0 a cpus:3
            > show roles
            role a has cpus:3
            role b has cpus:1
        "#]],
    );
}

#[test]
fn reconciliation_is_silent_while_an_agent_is_expected_back() {
    check(
        &format!(
            "{RUNNING} | framework f0 role eng | reconcile f0 t1@a0 t1 | wait 75 | reconcile f0 t1@a0 t1"
        ),
        expect![[r#"
            > framework f0 failover 100 role eng
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > weight eng 2000
            operator <- done
            > restart
            > framework f0 role eng
            f0 <- subscribed as f0
            > reconcile f0 t1@a0 t1
            > wait 75
            f0 <- agent a0 lost
            > reconcile f0 t1@a0 t1
            f0 <- t1 UNREACHABLE RECONCILIATION
            f0 <- t1 UNKNOWN RECONCILIATION
        "#]],
    );
}

#[test]
fn an_end_listed_at_registration_is_told_in_order_by_its_statuses() {
    check(
        &format!(
            "{RUNNING} | framework f0 role eng | agent a0 cpus:4;mem:1GiB f0/t1=FINISHED | reconcile f0 t1@a0 | status a0 f0/t1 RUNNING FINISHED | ack f0 t1 | status a0 f0/t1 FINISHED | ack f0 t1"
        ),
        expect![[r#"
            > framework f0 failover 100 role eng
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > weight eng 2000
            operator <- done
            > restart
            > framework f0 role eng
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB f0/t1=FINISHED
            a0 <- registered as a0
            f0 <- offer m2-o0 a0 eng cpus:4;mem:1GiB
            > reconcile f0 t1@a0
            > status a0 f0/t1 RUNNING FINISHED
            f0 <- t1 RUNNING #3
            > ack f0 t1
            a0 <- acknowledge f0/t1 #3
            > status a0 f0/t1 FINISHED
            f0 <- t1 FINISHED #4
            > ack f0 t1
            a0 <- acknowledge f0/t1 #4
        "#]],
    );
}

#[test]
fn a_framework_that_was_connected_gets_its_failover_time_from_the_start() {
    check(
        &format!("{RUNNING} | show registry | agent a0 cpus:4;mem:1GiB f0/t1=RUNNING | wait 99 | wait 1"),
        expect![[r#"
            > framework f0 failover 100 role eng
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > weight eng 2000
            operator <- done
            > restart
            > show registry
            > agent a0 cpus:4;mem:1GiB f0/t1=RUNNING
            store framework f0 order 0 away until 100000ms
            a0 <- registered as a0
            > wait 99
            > wait 1
            store framework f0 order 0 completed
            a0 <- shut down f0
        "#]],
    );
}

#[test]
fn a_completed_framework_stays_completed_and_its_tasks_are_shut_down() {
    check(
        "framework f0 | teardown f0 | restart | framework f0 | agent a0 cpus:4;mem:1GiB f0/t1=RUNNING",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > teardown f0
            f0 closed: the framework is completed
            > restart
            > framework f0
            f0 <- error: framework `f0` is completed (torn down, or away for longer than its failover timeout) and its id is spent; to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
            f0 closed: the peer was refused: framework `f0` is completed (torn down, or away for longer than its failover timeout) and its id is spent; to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
            > agent a0 cpus:4;mem:1GiB f0/t1=RUNNING
            a0 <- registered as m2-a0
            a0 <- shut down f0
        "#]],
    );
}

#[test]
fn an_agent_and_a_framework_the_store_lost_are_taken_as_they_say() {
    check(
        "agent a0 cpus:4;mem:1GiB | agent a9 cpus:2 f5/t1=RUNNING | framework f5 id f5",
        expect![[r#"
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            > agent a9 cpus:2 f5/t1=RUNNING
            a9 <- registered as a1
            > framework f5 id f5
            f5 <- subscribed as f5
            f5 <- offer o0 a0 * cpus:4;mem:1GiB
            f5 <- offer o1 a1 * cpus:1
        "#]],
    );
}

#[test]
fn a_framework_whose_time_ran_out_while_the_master_was_away_still_gets_to_come_back() {
    check(
        "framework f0 failover 10 | lost f0 | show registry | sleep 20 | restart | wait 74 | framework f0 failover 10
         lost f0 | wait 10",
        expect![[r#"
            > framework f0 failover 10
            f0 <- subscribed as f0
            > lost f0
            > show registry
            > sleep 20
            > restart
            > wait 74
            store framework f0 order 0 away until 95000ms
            > framework f0 failover 10
            store framework f0 order 0
            f0 <- subscribed as f0
            > lost f0
            store framework f0 order 0 away until 104000ms
            > wait 10
            store framework f0 order 0 completed
        "#]],
    );
}

#[test]
fn a_failover_deadline_goes_on_over_restarts() {
    check(
        "framework f0 failover 1000 | lost f0 | wait 500 | restart | wait 100 | restart | wait 399 | show registry | wait 1",
        expect![[r#"
            > framework f0 failover 1000
            f0 <- subscribed as f0
            > lost f0
            > wait 500
            > restart
            > wait 100
            > restart
            > wait 399
            > show registry
            > wait 1
            store framework f0 order 0 completed
        "#]],
    );
}
