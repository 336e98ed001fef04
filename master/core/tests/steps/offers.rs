//! Offers end exactly once, and are valid together or not at all.

use expect_test::expect;

use crate::script::check;

#[test]
fn a_task_takes_its_part_of_an_offer_and_the_rest_is_declined() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 5 t1@a0:cpus:1;mem:1MiB | wait 5",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 5 t1@a0:cpus:1;mem:1MiB
            a0 <- run f0/t1 cpus:1;mem:1MiB
            > wait 5
            f0 <- offer o1 a0 * cpus:3;mem:1023MiB
        "#]],
    );
}

#[test]
fn an_accept_without_operations_is_a_decline() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 5 | wait 5",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 5
            > wait 5
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn an_offer_cannot_be_used_twice() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 60 t1@a0:cpus:1
         accept f0 o0 t2@a0:cpus:1 | decline f0 o0",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 60 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > accept f0 o0 t2@a0:cpus:1
            f0 <- t2 DROPPED INVALID_OFFERS (offer o0 is no longer valid)
            > decline f0 o0
        "#]],
    );
}

#[test]
fn one_void_offer_voids_all_that_are_named_and_returns_the_others() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | agent a1 cpus:4;mem:1GiB
         accept f0 o0,o7 t1@a0:cpus:1 | accept f0 o2,o1 t2@a0:cpus:1 | accept f0 o3,o3 t3@a0:cpus:1",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > agent a1 cpus:4;mem:1GiB
            a1 <- registered as a1
            f0 <- offer o1 a1 * cpus:4;mem:1GiB
            > accept f0 o0,o7 t1@a0:cpus:1
            f0 <- t1 DROPPED INVALID_OFFERS (offer o7 is no longer valid)
            f0 <- offer o2 a0 * cpus:4;mem:1GiB
            > accept f0 o2,o1 t2@a0:cpus:1
            f0 <- t2 DROPPED INVALID_OFFERS (offer o1 is of another agent or role than the first)
            f0 <- offer o3 a0 * cpus:4;mem:1GiB
            f0 <- offer o4 a1 * cpus:4;mem:1GiB
            > accept f0 o3,o3 t3@a0:cpus:1
            f0 <- t3 DROPPED INVALID_OFFERS (offer o3 is named twice)
            f0 <- offer o5 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn offers_of_one_agent_are_used_together() {
    check(
        "framework f0 | agent a0 cpus:2;mem:1GiB | accept f0 o0 t1@a0:cpus:1;mem:1GiB
         status a0 f0/t1 FINISHED | accept f0 o1,o2 refuse 60 t2@a0:cpus:2;mem:1GiB",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:2;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:2;mem:1GiB
            > accept f0 o0 t1@a0:cpus:1;mem:1GiB
            a0 <- run f0/t1 cpus:1;mem:1GiB
            f0 <- offer o1 a0 * cpus:1
            > status a0 f0/t1 FINISHED
            f0 <- t1 FINISHED #1
            f0 <- offer o2 a0 * cpus:1;mem:1GiB
            > accept f0 o1,o2 refuse 60 t2@a0:cpus:2;mem:1GiB
            a0 <- run f0/t2 cpus:2;mem:1GiB
        "#]],
    );
}

#[test]
fn another_framework_cannot_use_or_decline_an_offer() {
    check(
        "framework f0 | framework f1 | agent a0 cpus:4;mem:1GiB | decline f1 o0 | accept f1 o0 t1@a0:cpus:1
         accept f0 o0 refuse 60 t1@a0:cpus:4;mem:1GiB",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > decline f1 o0
            > accept f1 o0 t1@a0:cpus:1
            f1 <- t1 DROPPED INVALID_OFFERS (offer o0 is no longer valid)
            > accept f0 o0 refuse 60 t1@a0:cpus:4;mem:1GiB
            a0 <- run f0/t1 cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn an_unanswered_offer_is_taken_back_and_offered_elsewhere_first() {
    check(
        "framework f0 | framework f1 | agent a0 cpus:4;mem:1GiB | wait 30 | decline f1 o1 refuse 60 | wait 5",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > wait 30
            f0 <- rescind o0
            f1 <- offer o1 a0 * cpus:4;mem:1GiB
            > decline f1 o1 refuse 60
            > wait 5
            f0 <- offer o2 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn what_one_framework_sits_on_of_an_agent_comes_back_in_one_piece() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 0 t1@a0:cpus:2;mem:512MiB | wait 10 | \
         status a0 f0/t1 FINISHED | framework f1 | wait 20",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 0 t1@a0:cpus:2;mem:512MiB
            a0 <- run f0/t1 cpus:2;mem:512MiB
            f0 <- offer o1 a0 * cpus:2;mem:512MiB
            > wait 10
            > status a0 f0/t1 FINISHED
            f0 <- t1 FINISHED #1
            f0 <- offer o2 a0 * cpus:2;mem:512MiB
            > framework f1
            f1 <- subscribed as f1
            > wait 20
            f0 <- rescind o1
            f0 <- rescind o2
            f1 <- offer o3 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn an_unanswered_offer_is_not_made_again_at_once_in_another_role_of_the_same_framework() {
    check(
        "framework f0 role a role b | framework f1 | agent a0 cpus:4;mem:1GiB | wait 30 | decline f1 o1 refuse 60 | wait 5",
        expect![[r#"
            > framework f0 role a role b
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 a cpus:4;mem:1GiB
            > wait 30
            f0 <- rescind o0
            f1 <- offer o1 a0 * cpus:4;mem:1GiB
            > decline f1 o1 refuse 60
            > wait 5
            f0 <- offer o2 a0 b cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn a_task_whose_description_is_refused_does_not_spoil_the_others_whatever_becomes_of_its_offer() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB
         accept f0 o0 refuse 60 t1!cpus-is-NaN t2@a0:cpus:1
         accept f0 o0 t3!cpus-is-NaN t4@a0:cpus:1",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 60 t1!cpus-is-NaN t2@a0:cpus:1
            f0 <- t1 ERROR TASK_INVALID (cpus-is-NaN)
            a0 <- run f0/t2 cpus:1
            > accept f0 o0 t3!cpus-is-NaN t4@a0:cpus:1
            f0 <- t3 ERROR TASK_INVALID (cpus-is-NaN)
            f0 <- t4 DROPPED INVALID_OFFERS (offer o0 is no longer valid)
        "#]],
    );
}

#[test]
fn one_bad_task_does_not_spoil_the_others() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | agent a1 cpus:1
         accept f0 o0 refuse 60 t1@a0:cpus:1 t1@a0:cpus:1 t2@a1:cpus:1 t3@a0:cpus:3.5 t4@a0:cpus:0 t5@a0:cpus:3",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > agent a1 cpus:1
            a1 <- registered as a1
            f0 <- offer o1 a1 * cpus:1
            > accept f0 o0 refuse 60 t1@a0:cpus:1 t1@a0:cpus:1 t2@a1:cpus:1 t3@a0:cpus:3.5 t4@a0:cpus:0 t5@a0:cpus:3
            a0 <- run f0/t1 cpus:1
            f0 <- t1 ERROR TASK_INVALID (task id `t1` is in use by a task that is STAGING)
            f0 <- t2 ERROR TASK_INVALID (the task is for agent a1, the offer is of agent a0)
            f0 <- t3 ERROR TASK_INVALID (the task needs cpus:3.5; of `cpus`, cpus:3;mem:1GiB is left of the offer)
            f0 <- t4 ERROR TASK_INVALID (the task asks for no resources)
            a0 <- run f0/t5 cpus:3
        "#]],
    );
}
