//! Suspended tasks: their cpus are offered once their agent says that they are frozen, and are theirs again from an
//! accept on.

use expect_test::expect;

use crate::script::{check, check_after};

const RUNNING: &str = "framework f0 | agent a0 cpus:1;mem:1GiB | accept f0 o0 t1@a0:cpus:1;mem:64MiB | status a0 f0/t1 RUNNING | ack f0 t1 | decline f0 o1 refuse 600";
const SUSPENDED: &str = "framework f0 | agent a0 cpus:1;mem:1GiB | accept f0 o0 t1@a0:cpus:1;mem:64MiB | status a0 f0/t1 RUNNING | ack f0 t1 | decline f0 o1 refuse 600 | suspend f0 t1 | status a0 f0/t1 RUNNING*1 | ack f0 t1";

#[test]
fn the_cpus_of_a_suspended_task_are_offered_once_its_agent_says_that_it_is_frozen_and_an_accept_gives_them_back()
 {
    check_after(
        RUNNING,
        "suspend f0 t1 | wait 1 | status a0 f0/t1 RUNNING*1 | ack f0 t1 | accept f0 o2 t2@a0:cpus:1 | status a0 f0/t2 FINISHED | accept f0 o3 resume:t1 | status a0 f0/t1 RUNNING | reconcile f0",
        expect![[r#"
            > suspend f0 t1
            a0 <- suspend f0/t1
            > wait 1
            > status a0 f0/t1 RUNNING*1
            f0 <- t1 RUNNING*1 #2
            f0 <- offer o2 a0 * cpus:1;mem:960MiB
            > ack f0 t1
            a0 <- acknowledge f0/t1 #2
            > accept f0 o2 t2@a0:cpus:1
            a0 <- run f0/t2 cpus:1
            > status a0 f0/t2 FINISHED
            f0 <- t2 FINISHED #3
            f0 <- offer o3 a0 * cpus:1;mem:960MiB
            > accept f0 o3 resume:t1
            a0 <- resume f0/t1*1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #4
            > reconcile f0
            f0 <- t1 RUNNING RECONCILIATION
        "#]],
    );
}

#[test]
fn what_an_agent_said_before_it_heard_of_a_resumption_gives_nothing_back() {
    check_after(
        SUSPENDED,
        "accept f0 o2 refuse 600 resume:t1 | status a0 f0/t1 RUNNING*1 | revive f0 | status a0 f0/t1 RUNNING*2 | revive f0",
        expect![[r#"
            > accept f0 o2 refuse 600 resume:t1
            a0 <- resume f0/t1*1
            > status a0 f0/t1 RUNNING*1
            f0 <- t1 RUNNING*1 #3
            > revive f0
            f0 <- offer o3 a0 * mem:960MiB
            > status a0 f0/t1 RUNNING*2
            f0 <- t1 RUNNING*2 #4
            f0 <- offer o4 a0 * cpus:1
            > revive f0
        "#]],
    );
}

#[test]
fn a_resumption_that_the_agent_does_not_know_of_when_it_comes_back_is_told_as_failed() {
    check_after(
        SUSPENDED,
        "accept f0 o2 resume:t1 | agent a0 cpus:1;mem:1GiB f0/t1=RUNNING*1 | accept f0 o3 resume:t1",
        expect![[r#"
            > accept f0 o2 resume:t1
            a0 <- resume f0/t1*1
            > agent a0 cpus:1;mem:1GiB f0/t1=RUNNING*1
            a0(old) closed: a newer link took over
            a0 <- registered as a0
            f0 <- t1 RUNNING*1 TASK_RESUME_FAILED (the agent was cut off before the resumption reached it)
            f0 <- offer o3 a0 * cpus:1;mem:960MiB
            > accept f0 o3 resume:t1
            a0 <- resume f0/t1*1
        "#]],
    );
}

#[test]
fn a_suspension_is_asked_for_again_when_the_agent_comes_back_without_it_and_not_after_a_kill() {
    check_after(
        RUNNING,
        "suspend f0 t1 | agent a0 cpus:1;mem:1GiB f0/t1=RUNNING | kill f0 t1 | agent a0 cpus:1;mem:1GiB f0/t1=RUNNING",
        expect![[r#"
            > suspend f0 t1
            a0 <- suspend f0/t1
            > agent a0 cpus:1;mem:1GiB f0/t1=RUNNING
            a0(old) closed: a newer link took over
            a0 <- registered as a0
            a0 <- suspend f0/t1
            > kill f0 t1
            a0 <- kill f0/t1
            > agent a0 cpus:1;mem:1GiB f0/t1=RUNNING
            a0(old) closed: a newer link took over
            a0 <- registered as a0
            a0 <- kill f0/t1
        "#]],
    );
}

#[test]
fn a_new_master_learns_from_the_agent_which_tasks_are_suspended() {
    check_after(
        SUSPENDED,
        "restart | agent a0 cpus:1;mem:1GiB f0/t1=RUNNING*1 | framework f0 | reconcile f0",
        expect![[r#"
            > restart
            > agent a0 cpus:1;mem:1GiB f0/t1=RUNNING*1
            a0 <- registered as a0
            > framework f0
            f0 <- subscribed as f0
            f0 <- offer m2-o0 a0 * cpus:1;mem:1GiB
            > reconcile f0
            f0 <- t1 RUNNING*1 RECONCILIATION
        "#]],
    );
}

#[test]
fn a_task_that_cannot_be_resumed_stays_suspended_and_its_framework_hears_why() {
    check_after(
        SUSPENDED,
        "accept f0 o2 t2@a0:cpus:0.5 resume:t1 | kill f0 t1 | accept f0 o3 resume:t1&t2&t9 | accept f0 o0 resume:t1",
        expect![[r#"
            > accept f0 o2 t2@a0:cpus:0.5 resume:t1
            a0 <- run f0/t2 cpus:0.5
            f0 <- t1 RUNNING*1 TASK_RESUME_FAILED (the task gave up cpus:1; cpus:0.5;mem:960MiB is left of the offer)
            f0 <- offer o3 a0 * cpus:0.5;mem:960MiB
            > kill f0 t1
            a0 <- kill f0/t1
            > accept f0 o3 resume:t1&t2&t9
            f0 <- t1 RUNNING*1 TASK_RESUME_FAILED (the task is being killed)
            f0 <- t2 STAGING TASK_RESUME_FAILED (the task is not suspended)
            f0 <- offer o4 a0 * cpus:0.5;mem:960MiB
            > accept f0 o0 resume:t1
            f0 <- t1 RUNNING*1 TASK_RESUME_FAILED (offer o0 is no longer valid)
        "#]],
    );
}

#[test]
fn what_cannot_be_suspended_is_told_so_and_goes_on() {
    check(
        "framework f0 | agent a0 cpus:1;mem:1GiB | accept f0 o0 t1@a0:cpus:1 | suspend f0 t1 | suspend f0 t9 | status a0 f0/t1 RUNNING | kill f0 t1 | suspend f0 t1",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:1;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:1;mem:1GiB
            > accept f0 o0 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            f0 <- offer o1 a0 * mem:1GiB
            > suspend f0 t1
            f0 <- t1 STAGING TASK_SUSPEND_FAILED (the task is STAGING, not RUNNING)
            > suspend f0 t9
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > kill f0 t1
            a0 <- kill f0/t1
            > suspend f0 t1
            f0 <- t1 RUNNING TASK_SUSPEND_FAILED (the task is being killed)
        "#]],
    );
}

#[test]
fn a_suspended_task_that_ends_gives_back_the_rest() {
    check_after(
        SUSPENDED,
        "decline f0 o2 refuse 600 | kill f0 t1 | status a0 f0/t1 KILLING*1 | status a0 f0/t1 KILLING KILLED",
        expect![[r#"
            > decline f0 o2 refuse 600
            > kill f0 t1
            a0 <- kill f0/t1
            > status a0 f0/t1 KILLING*1
            f0 <- t1 KILLING*1 #3
            > status a0 f0/t1 KILLING KILLED
            f0 <- t1 KILLING #4
            f0 <- offer o3 a0 * cpus:1;mem:1GiB
        "#]],
    );
}

#[test]
fn who_states_demand_is_offered_what_a_suspended_task_gave_up_for_a_shape_of_cpus_alone() {
    check(
        "framework f0 | agent a0 cpus:1;mem:1GiB | demand f0 * 1=cpus:1;mem:64MiBx1 | accept f0 o0 t1@a0:cpus:1;mem:64MiB#1 | status a0 f0/t1 RUNNING | ack f0 t1 | demand f0 * | suspend f0 t1 | status a0 f0/t1 RUNNING*1 | ack f0 t1 | demand f0 * 2=cpus:1x1 | accept f0 o1 resume:t1 | demand f0 *",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:1;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:1;mem:1GiB
            > demand f0 * 1=cpus:1;mem:64MiBx1
            > accept f0 o0 t1@a0:cpus:1;mem:64MiB#1
            a0 <- run f0/t1 cpus:1;mem:64MiB
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > demand f0 *
            > suspend f0 t1
            a0 <- suspend f0/t1
            > status a0 f0/t1 RUNNING*1
            f0 <- t1 RUNNING*1 #2
            > ack f0 t1
            a0 <- acknowledge f0/t1 #2
            > demand f0 * 2=cpus:1x1
            f0 <- offer o1 a0 * cpus:1 1 of 2
            > accept f0 o1 resume:t1
            a0 <- resume f0/t1*1
            > demand f0 *
        "#]],
    );
}

#[test]
fn what_is_held_for_another_is_offered_to_a_suspended_task_that_gave_it_up_once_and_to_no_more() {
    check(
        "framework f0 | demand f0 * 1=cpus:1;mem:64MiBx2 | framework f1 | demand f1 * | agent a0 cpus:4;mem:1GiB | accept f0 o0 t1@a0:cpus:1;mem:64MiB#1 t2@a0:cpus:1;mem:64MiB#1 | status a0 f0/t1 RUNNING | ack f0 t1 | status a0 f0/t2 RUNNING | ack f0 t2 | demand f1 * 1=cpus:4;mem:64MiBx1 | wait 60 | demand f0 * 2=cpus:1x1&a0 | suspend f0 t1 | status a0 f0/t1 RUNNING*1 | demand f0 * 3=cpus:1x2&a0 | accept f0 o1 resume:t1 | status a0 f0/t1 RUNNING",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > demand f0 * 1=cpus:1;mem:64MiBx2
            > framework f1
            f1 <- subscribed as f1
            > demand f1 *
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:2;mem:128MiB 2 of 1
            > accept f0 o0 t1@a0:cpus:1;mem:64MiB#1 t2@a0:cpus:1;mem:64MiB#1
            a0 <- run f0/t1 cpus:1;mem:64MiB
            a0 <- run f0/t2 cpus:1;mem:64MiB
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > status a0 f0/t2 RUNNING
            f0 <- t2 RUNNING #2
            > ack f0 t2
            a0 <- acknowledge f0/t2 #2
            > demand f1 * 1=cpus:4;mem:64MiBx1
            > wait 60
            > demand f0 * 2=cpus:1x1&a0
            > suspend f0 t1
            a0 <- suspend f0/t1
            > status a0 f0/t1 RUNNING*1
            f0 <- t1 RUNNING*1 #3
            f0 <- offer o1 a0 * cpus:1 1 of 2
            > demand f0 * 3=cpus:1x2&a0
            > accept f0 o1 resume:t1
            a0 <- resume f0/t1*1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #4
        "#]],
    );
}
