//! Tasks of frameworks the master has no record of: its registry was lost, or is an older one. Nothing is killed, and
//! nobody's task is taken for gone, unless somebody says so.

use expect_test::expect;

use crate::script::check;

const ORPHANED: &str = "agent a0 cpus:2 f5/t1=RUNNING";

#[test]
fn no_time_ends_an_orphan_and_its_age_outlives_the_master() {
    check(
        &format!(
            "show registry | wait 10 | {ORPHANED} | sleep 100000000 | wait 1 | restart | {ORPHANED} | show roles | restart | framework f5 id f5"
        ),
        expect![[r#"
            > show registry
            > wait 10
            > agent a0 cpus:2 f5/t1=RUNNING
            store agent a0 cpus:2
            store framework f5 order 0 orphaned since 10000ms
            a0 <- registered as a0
            > sleep 100000000
            > wait 1
            > restart
            > agent a0 cpus:2 f5/t1=RUNNING
            store framework f5 order 0 away until 100604811000ms orphaned since 10000ms
            a0 <- registered as a0
            > show roles
            role * has cpus:1
            > restart
            > framework f5 id f5
            store framework f5 order 0
            f5 <- subscribed as f5
        "#]],
    );
}

#[test]
fn an_orphan_whose_tasks_have_ended_is_forgotten_when_it_had_its_time_to_ask() {
    check(
        "show registry | agent a0 cpus:2 f5/t1=RUNNING f5/t2=RUNNING | agent a1 cpus:1 f6/t1=RUNNING | status a0 f5/t1 FINISHED
         | status a0 f5/t2 RUNNING FAILED | gone a1 | sleep 604798 | wait 1 | wait 1 | status a0 f5/t2 FAILED
         | framework f5 id f5",
        expect![[r#"
            > show registry
            > agent a0 cpus:2 f5/t1=RUNNING f5/t2=RUNNING
            store agent a0 cpus:2
            store framework f5 order 0 orphaned since 0ms
            a0 <- registered as a0
            > agent a1 cpus:1 f6/t1=RUNNING
            store agent a1 cpus:1
            store framework f6 order 1 orphaned since 0ms
            a1 <- registered as a1
            > status a0 f5/t1 FINISHED
            > status a0 f5/t2 RUNNING FAILED
            store framework f5 order 0 away until 604800000ms orphaned since 0ms
            > gone a1
            store agent a1 cpus:1 gone since 0ms
            forget framework f6
            a1 <- gone: an operator declared agent `a1` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            a1 closed: the peer was refused: an operator declared agent `a1` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            operator <- done
            > sleep 604798
            > wait 1
            > wait 1
            forget framework f5
            a0 <- acknowledge f5/t1 #4
            a0 <- acknowledge f5/t2 #5
            > status a0 f5/t2 FAILED
            a0 <- acknowledge f5/t2 #6
            > framework f5 id f5
            f5 <- error: the master has no record of framework id `f5`; if this is its cluster all the same, subscribe with adoption (--adopt f5); to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
            f5 closed: the peer was refused: the master has no record of framework id `f5`; if this is its cluster all the same, subscribe with adoption (--adopt f5); to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
        "#]],
    );
}

#[test]
fn an_orphan_that_a_master_finds_without_tasks_is_forgotten_unless_they_come() {
    check(
        &format!(
            "{ORPHANED} | show registry | restart | wait 1 | {ORPHANED} | sleep 604800 | wait 1 | restart | sleep 604900 | wait 1"
        ),
        expect![[r#"
            > agent a0 cpus:2 f5/t1=RUNNING
            a0 <- registered as a0
            > show registry
            > restart
            > wait 1
            store framework f5 order 0 away until 604800000ms orphaned since 0ms
            > agent a0 cpus:2 f5/t1=RUNNING
            a0 <- registered as a0
            > sleep 604800
            > wait 1
            store framework f5 order 0 away until 1209601000ms orphaned since 0ms
            > restart
            > sleep 604900
            > wait 1
            forget framework f5
        "#]],
    );
}

#[test]
fn an_orphan_is_adopted_by_whoever_subscribes_with_its_id() {
    check(
        &format!(
            "{ORPHANED} | framework f5 id f5 failover 10 | reconcile f5 | status a0 f5/t1 RUNNING | ack f5 t1 | lost f5 | wait 10"
        ),
        expect![[r#"
            > agent a0 cpus:2 f5/t1=RUNNING
            a0 <- registered as a0
            > framework f5 id f5 failover 10
            f5 <- subscribed as f5
            f5 <- offer o0 a0 * cpus:1
            > reconcile f5
            f5 <- t1 RUNNING RECONCILIATION
            > status a0 f5/t1 RUNNING
            f5 <- t1 RUNNING #2
            > ack f5 t1
            a0 <- acknowledge f5/t1 #2
            > lost f5
            > wait 10
            a0 <- shut down f5
        "#]],
    );
}

#[test]
fn an_orphan_that_is_torn_down_is_killed_and_its_id_is_spent() {
    check(
        &format!("{ORPHANED} | operator-teardown f5 | status a0 f5/t1 KILLED | framework f5 id f5 adopt yes"),
        expect![[r#"
            > agent a0 cpus:2 f5/t1=RUNNING
            a0 <- registered as a0
            > operator-teardown f5
            a0 <- shut down f5
            operator <- done
            > status a0 f5/t1 KILLED
            a0 <- acknowledge f5/t1 #2
            > framework f5 id f5 adopt yes
            f5 <- error: framework `f5` is completed (torn down, or away for longer than its failover timeout) and its id is spent; to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
            f5 closed: the peer was refused: framework `f5` is completed (torn down, or away for longer than its failover timeout) and its id is spent; to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)
        "#]],
    );
}

#[test]
fn an_id_without_a_record_is_adopted_on_request_and_its_tasks_may_come_later() {
    check(
        &format!(
            "framework f5 id f5 adopt yes | reconcile f5 t1@a0 t2@a9 t3 | wait 74 | reconcile f5 t1@a0
             {ORPHANED} | wait 1 | reconcile f5 t1@a0 t2@a0 t2@a9 t3"
        ),
        expect![[r#"
            > framework f5 id f5 adopt yes
            f5 <- subscribed as f5
            > reconcile f5 t1@a0 t2@a9 t3
            > wait 74
            > reconcile f5 t1@a0
            > agent a0 cpus:2 f5/t1=RUNNING
            a0 <- registered as a0
            f5 <- t1 RUNNING AGENT_REREGISTERED
            f5 <- offer o0 a0 * cpus:1
            > wait 1
            > reconcile f5 t1@a0 t2@a0 t2@a9 t3
            f5 <- t1 RUNNING RECONCILIATION
            f5 <- t2 GONE RECONCILIATION
            f5 <- t2 UNKNOWN RECONCILIATION
            f5 <- t3 UNKNOWN RECONCILIATION
        "#]],
    );
}

#[test]
fn the_tasks_of_a_completed_framework_are_orphans_once_it_is_forgotten() {
    let mut script = String::from("framework f0 | teardown f0");
    for n in 1..=1000 {
        script += &format!(" | framework f{n} | teardown f{n}");
    }
    let lines = crate::script::play(&format!(
        "{script} | agent a8 cpus:1 f0/t1=RUNNING | agent a7 cpus:1 f1/t1=RUNNING"
    ));
    let last: Vec<_> = lines.lines().rev().take(6).collect();
    expect![[r#"
        a7 <- shut down f1
        a7 <- registered as a1
        > agent a7 cpus:1 f1/t1=RUNNING
        a8 <- registered as a0
        > agent a8 cpus:1 f0/t1=RUNNING
        f1000 closed: the framework is completed"#]]
    .assert_eq(&last.join("\n"));
}
