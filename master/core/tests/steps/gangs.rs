//! Groups and gangs: together or not at all.

use expect_test::expect;

use crate::script::check;

const OFFERED: &str =
    "agent a0 cpus:4;mem:1GiB | agent a1 cpus:4;mem:1GiB | framework f0 | decline f0 o0 | decline f0 o1
                       suppress f0 | decline f0 o2,o3 | demand f0 * 1=cpus:3x2@g7 | revive f0";

#[test]
fn a_group_is_sent_whole() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 60 group:t1@a0:cpus:1&t2@a0:cpus:2 t3@a0:cpus:1",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 60 group:t1@a0:cpus:1&t2@a0:cpus:2 t3@a0:cpus:1
            a0 <- run group g0 of f0 t1 cpus:1 t2 cpus:2
            a0 <- run f0/t3 cpus:1
        "#]],
    );
}

#[test]
fn one_bad_task_spoils_its_group_and_nothing_else() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB
         accept f0 o0 refuse 60 group:t1@a0:cpus:3&t2@a0:cpus:2 group:t4@a0:cpus:1&t4@a0:cpus:1 t3@a0:cpus:4",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 60 group:t1@a0:cpus:3&t2@a0:cpus:2 group:t4@a0:cpus:1&t4@a0:cpus:1 t3@a0:cpus:4
            f0 <- t1 ERROR TASK_GROUP_INVALID (task `t2`, which would start with it, is invalid: the task needs cpus:2; of `cpus`, cpus:1;mem:1GiB is left of the offer)
            f0 <- t2 ERROR TASK_GROUP_INVALID (the task needs cpus:2; of `cpus`, cpus:1;mem:1GiB is left of the offer)
            f0 <- t4 ERROR TASK_GROUP_INVALID (its id is there twice)
            f0 <- t4 ERROR TASK_GROUP_INVALID (its id is there twice)
            a0 <- run f0/t3 cpus:4
        "#]],
    );
}

#[test]
fn a_gang_is_offered_and_launched_on_all_of_its_agents() {
    check(
        &format!("{OFFERED} | accept f0 o4,o5 refuse 60 t1@a0:cpus:3#1 t2@a1:cpus:3#1"),
        expect![[r#"
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            > agent a1 cpus:4;mem:1GiB
            a1 <- registered as a1
            > framework f0
            f0 <- subscribed as f0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            f0 <- offer o1 a1 * cpus:4;mem:1GiB
            > decline f0 o0
            f0 <- offer o2 a0 * cpus:4;mem:1GiB
            > decline f0 o1
            f0 <- offer o3 a1 * cpus:4;mem:1GiB
            > suppress f0
            > decline f0 o2,o3
            > demand f0 * 1=cpus:3x2@g7
            > revive f0
            f0 <- offer o4 a0 * cpus:3 1 of 1 gang 7 of 2
            f0 <- offer o5 a1 * cpus:3 1 of 1 gang 7 of 2
            > accept f0 o4,o5 refuse 60 t1@a0:cpus:3#1 t2@a1:cpus:3#1
            a0 <- run f0/t1 cpus:3
            a1 <- run f0/t2 cpus:3
        "#]],
    );
}

#[test]
fn no_task_of_a_gang_starts_when_an_offer_of_it_is_not_named_or_gone() {
    check(
        &format!(
            "{OFFERED} | accept f0 o4 t1@a0:cpus:3#1 | accept f0 o6,o9 t1@a0:cpus:3#1 | lost a1 | accept f0 o8,o9 t1@a0:cpus:3#1"
        ),
        expect![[r#"
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            > agent a1 cpus:4;mem:1GiB
            a1 <- registered as a1
            > framework f0
            f0 <- subscribed as f0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            f0 <- offer o1 a1 * cpus:4;mem:1GiB
            > decline f0 o0
            f0 <- offer o2 a0 * cpus:4;mem:1GiB
            > decline f0 o1
            f0 <- offer o3 a1 * cpus:4;mem:1GiB
            > suppress f0
            > decline f0 o2,o3
            > demand f0 * 1=cpus:3x2@g7
            > revive f0
            f0 <- offer o4 a0 * cpus:3 1 of 1 gang 7 of 2
            f0 <- offer o5 a1 * cpus:3 1 of 1 gang 7 of 2
            > accept f0 o4 t1@a0:cpus:3#1
            f0 <- t1 DROPPED INVALID_OFFERS (offer o5 of the same gang is not named)
            f0 <- offer o6 a0 * cpus:3 1 of 1 gang 7 of 2
            f0 <- offer o7 a1 * cpus:3 1 of 1 gang 7 of 2
            > accept f0 o6,o9 t1@a0:cpus:3#1
            f0 <- t1 DROPPED INVALID_OFFERS (offer o9 is no longer valid)
            f0 <- offer o8 a0 * cpus:3 1 of 1 gang 7 of 2
            f0 <- offer o9 a1 * cpus:3 1 of 1 gang 7 of 2
            > lost a1
            f0 <- rescind o8
            f0 <- rescind o9
            > accept f0 o8,o9 t1@a0:cpus:3#1
            f0 <- t1 DROPPED INVALID_OFFERS (offer o8 is no longer valid)
        "#]],
    );
}

#[test]
fn one_bad_task_spoils_its_gang() {
    check(
        &format!(
            "{OFFERED} | accept f0 o4,o5 refuse 5 t1@a0:cpus:3#1 t2@a1:cpus:4#1 | wait 5
             accept f0 o6,o7 refuse 5 t1@a0:cpus:3#1 t2!cpus-is-NaN"
        ),
        expect![[r#"
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            > agent a1 cpus:4;mem:1GiB
            a1 <- registered as a1
            > framework f0
            f0 <- subscribed as f0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            f0 <- offer o1 a1 * cpus:4;mem:1GiB
            > decline f0 o0
            f0 <- offer o2 a0 * cpus:4;mem:1GiB
            > decline f0 o1
            f0 <- offer o3 a1 * cpus:4;mem:1GiB
            > suppress f0
            > decline f0 o2,o3
            > demand f0 * 1=cpus:3x2@g7
            > revive f0
            f0 <- offer o4 a0 * cpus:3 1 of 1 gang 7 of 2
            f0 <- offer o5 a1 * cpus:3 1 of 1 gang 7 of 2
            > accept f0 o4,o5 refuse 5 t1@a0:cpus:3#1 t2@a1:cpus:4#1
            f0 <- t1 ERROR TASK_GROUP_INVALID (task `t2`, which would start with it, is invalid: the task needs cpus:4; of `cpus`, cpus:3 is left of the offer)
            f0 <- t2 ERROR TASK_GROUP_INVALID (the task needs cpus:4; of `cpus`, cpus:3 is left of the offer)
            > wait 5
            f0 <- offer o6 a0 * cpus:3 1 of 1 gang 7 of 2
            f0 <- offer o7 a1 * cpus:3 1 of 1 gang 7 of 2
            > accept f0 o6,o7 refuse 5 t1@a0:cpus:3#1 t2!cpus-is-NaN
            f0 <- t2 ERROR TASK_INVALID (cpus-is-NaN)
            f0 <- t1 ERROR TASK_GROUP_INVALID (task `t2`, which would start with it, is invalid: cpus-is-NaN)
        "#]],
    );
}

#[test]
fn a_gang_is_declined_and_rescinded_whole() {
    check(
        &format!("{OFFERED} | decline f0 o4 refuse 5 | wait 5 | wait 30"),
        expect![[r#"
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            > agent a1 cpus:4;mem:1GiB
            a1 <- registered as a1
            > framework f0
            f0 <- subscribed as f0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            f0 <- offer o1 a1 * cpus:4;mem:1GiB
            > decline f0 o0
            f0 <- offer o2 a0 * cpus:4;mem:1GiB
            > decline f0 o1
            f0 <- offer o3 a1 * cpus:4;mem:1GiB
            > suppress f0
            > decline f0 o2,o3
            > demand f0 * 1=cpus:3x2@g7
            > revive f0
            f0 <- offer o4 a0 * cpus:3 1 of 1 gang 7 of 2
            f0 <- offer o5 a1 * cpus:3 1 of 1 gang 7 of 2
            > decline f0 o4 refuse 5
            > wait 5
            f0 <- offer o6 a0 * cpus:3 1 of 1 gang 7 of 2
            f0 <- offer o7 a1 * cpus:3 1 of 1 gang 7 of 2
            > wait 30
            f0 <- rescind o6
            f0 <- rescind o7
        "#]],
    );
}

#[test]
fn what_ends_is_kept_for_a_gang_that_waited_long() {
    check(
        "agent a0 cpus:4 | framework f0 | accept f0 o0 t1@a0:cpus:1 t2@a0:cpus:2 | framework f1 | suppress f1
         demand f1 * 1=cpus:2x2@g1 | revive f1 | wait 90 | status a0 f0/t2 FINISHED | wait 60
         status a0 f0/t1 FINISHED | wait 1",
        expect![[r#"
            > agent a0 cpus:4
            a0 <- registered as a0
            > framework f0
            f0 <- subscribed as f0
            f0 <- offer o0 a0 * cpus:4
            > accept f0 o0 t1@a0:cpus:1 t2@a0:cpus:2
            a0 <- run f0/t1 cpus:1
            a0 <- run f0/t2 cpus:2
            f0 <- offer o1 a0 * cpus:1
            > framework f1
            f1 <- subscribed as f1
            > suppress f1
            > demand f1 * 1=cpus:2x2@g1
            > revive f1
            > wait 90
            f0 <- rescind o1
            f0 <- offer o2 a0 * cpus:1
            f0 <- rescind o2
            > status a0 f0/t2 FINISHED
            f0 <- t2 FINISHED #1
            > wait 60
            > status a0 f0/t1 FINISHED
            f0 <- t1 FINISHED #2
            f1 <- offer o3 a0 * cpus:4 2 of 1 gang 1 of 1
            > wait 1
        "#]],
    );
}
