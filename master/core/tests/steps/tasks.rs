//! Tasks: told in order, acknowledged end to end, killed when asked, reconciled when asked.

use expect_test::expect;
use proffer_master_core::limits::MAX_RESOURCE_NAMES;

use crate::script::{check, play};

const RUNNING: &str = "framework f0 | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 600 t1@a0:cpus:1";

#[test]
fn a_status_goes_to_the_framework_and_its_acknowledgement_back_to_the_agent() {
    check(
        &format!(
            "{RUNNING} | status a0 f0/t1 RUNNING | ack f0 t1 | status a0 f0/t1 FINISHED | ack f0 t1 | reconcile f0 | reconcile f0 t1"
        ),
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
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > status a0 f0/t1 FINISHED
            f0 <- t1 FINISHED #2
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
            > ack f0 t1
            a0 <- acknowledge f0/t1 #2
            > reconcile f0
            > reconcile f0 t1
            f0 <- t1 FINISHED RECONCILIATION
        "#]],
    );
}

#[test]
fn a_status_whose_acknowledgement_was_lost_is_told_and_acknowledged_again() {
    check(
        &format!("{RUNNING} | status a0 f0/t1 FINISHED | ack f0 t1 | status a0 f0/t1 FINISHED | ack f0 t1"),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 FINISHED
            f0 <- t1 FINISHED #1
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > status a0 f0/t1 FINISHED
            f0 <- t1 FINISHED #2
            > ack f0 t1
            a0 <- acknowledge f0/t1 #2
        "#]],
    );
}

#[test]
fn a_framework_that_comes_back_hears_what_it_did_not_acknowledge() {
    check(
        &format!(
            "{RUNNING} | status a0 f0/t1 RUNNING | lost f0 | framework f0 | ack f0 t1 | lost f0 | status a0 f0/t1 FINISHED | framework f0"
        ),
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
            > lost f0
            > framework f0
            f0 <- subscribed as f0
            f0 <- t1 RUNNING #1
            f0 <- offer o1 a0 * cpus:3;mem:1GiB
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > lost f0
            > status a0 f0/t1 FINISHED
            > framework f0
            f0 <- subscribed as f0
            f0 <- t1 FINISHED #2
            f0 <- offer o2 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn a_task_id_is_free_again_when_its_task_has_ended_and_not_before() {
    check(
        &format!(
            "{RUNNING} | status a0 f0/t1 FINISHED | accept f0 o1 t1@a0:cpus:1 | ack f0 t1 | accept f0 o2 refuse 60 t1@a0:cpus:1"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 FINISHED
            f0 <- t1 FINISHED #1
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
            > accept f0 o1 t1@a0:cpus:1
            f0 <- t1 ERROR TASK_INVALID (task id `t1` is in use by a task that is FINISHED)
            f0 <- offer o2 a0 * cpus:4;mem:1GiB
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > accept f0 o2 refuse 60 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
        "#]],
    );
}

#[test]
fn a_kill_is_passed_on_and_that_of_an_ended_task_needs_nothing() {
    check(
        &format!(
            "{RUNNING} | kill f0 t1 20 | kill f0 t1 5 | kill f0 t1 60 | operator-kill f0 t1 | status a0 f0/t1 KILLED | kill f0 t1 | operator-kill f0 t9"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > kill f0 t1 20
            a0 <- kill f0/t1 in 20s
            > kill f0 t1 5
            a0 <- kill f0/t1 in 5s
            > kill f0 t1 60
            a0 <- kill f0/t1 in 5s
            > operator-kill f0 t1
            a0 <- kill f0/t1 in 5s
            operator <- done
            > status a0 f0/t1 KILLED
            f0 <- t1 KILLED #1
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
            > kill f0 t1
            > operator-kill f0 t9
            operator <- framework `f0` has no running task `t9`
        "#]],
    );
}

#[test]
fn the_kill_of_an_unknown_task_is_answered_as_a_reconciliation() {
    check(
        "framework f0 | wait 75 | kill f0 t1",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > wait 75
            > kill f0 t1
            f0 <- t1 UNKNOWN RECONCILIATION
        "#]],
    );
}

#[test]
fn a_kill_is_remembered_while_the_agent_is_away() {
    check(
        &format!("{RUNNING} | lost a0 | kill f0 t1 9 | agent a0 cpus:4;mem:1GiB f0/t1=RUNNING"),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > lost a0
            > kill f0 t1 9
            > agent a0 cpus:4;mem:1GiB f0/t1=RUNNING
            a0 <- registered as a0
            a0 <- kill f0/t1 in 9s
        "#]],
    );
}

#[test]
fn reconciliation_answers_with_what_is_known() {
    check(
        &format!(
            "{RUNNING} | status a0 f0/t1 RUNNING | agent a1 cpus:1 | lost a1 | wait 75 | reconcile f0 | reconcile f0 t1 t8@a0 t9@a1 t0@a7 tx"
        ),
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
            > agent a1 cpus:1
            a1 <- registered as a1
            f0 <- offer o1 a1 * cpus:1
            > lost a1
            f0 <- rescind o1
            > wait 75
            f0 <- agent a1 lost
            > reconcile f0
            f0 <- t1 RUNNING RECONCILIATION
            > reconcile f0 t1 t8@a0 t9@a1 t0@a7 tx
            f0 <- t1 RUNNING RECONCILIATION
            f0 <- t8 GONE RECONCILIATION
            f0 <- t9 UNREACHABLE RECONCILIATION
            f0 <- t0 UNKNOWN RECONCILIATION
            f0 <- tx UNKNOWN RECONCILIATION
        "#]],
    );
}

#[test]
fn a_status_no_agent_can_know_is_not_believed() {
    check(
        &format!("{RUNNING} | status a0 f0/t1 UNREACHABLE | status a0 f0/t1 RUNNING UNKNOWN | reconcile f0"),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 UNREACHABLE
            > status a0 f0/t1 RUNNING UNKNOWN
            > reconcile f0
            f0 <- t1 STAGING RECONCILIATION
        "#]],
    );
}

#[test]
fn an_oversized_task_is_refused_with_the_limit() {
    let many: Vec<_> = (0..=MAX_RESOURCE_NAMES).map(|nth| format!("r{nth}:1")).collect();
    let heard = play(&format!(
        "framework f0 | agent a0 cpus:1 | accept f0 o0 refuse 60 t1@a0:{}",
        many.join(";")
    ));
    let answer = heard.lines().last().unwrap();
    expect!["f0 <- t1 ERROR TASK_INVALID (65 kinds of resources are given, at most 64 are allowed)"]
        .assert_eq(answer);
}
