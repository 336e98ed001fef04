//! Queues: whose turn it is under each policy, and what survives a restart.

use expect_test::expect;

use super::world::check;

#[test]
fn each_policy_has_an_order_of_its_own() {
    check(
        "submit A a t50 p1 | submit B a | submit C a t10 p5 | waiting | queue fcfs | waiting | queue sjf | waiting | crash | waiting",
        expect![[r#"
            submit A a t50 p1: 1 instances; want * 1.0*1
            submit B a: 1 instances; want * 1.0*1 2.0*1
            submit C a t10 p5: 1 instances; want * 3.0*1 1.0*1 2.0*1
            waiting: C.a A.a B.a
            queue fcfs: want * 1.0*1 2.0*1 3.0*1
            waiting: A.a B.a C.a
            queue sjf: want * 3.0*1 1.0*1 2.0*1
            waiting: C.a A.a B.a
            crash: want * 3.0*1 1.0*1 2.0*1
            waiting: C.a A.a B.a
        "#]],
    );
}

#[test]
fn round_robin_serves_the_user_who_was_served_longest_ago() {
    check(
        "queue round-robin | submit A a*3 by:ann | submit B a*2 by:ann p1 | submit C a*3 by:bob | submit D a by:cid | waiting \
         | offer O1 cpus:1;mem:8GiB | waiting | offer O2 cpus:1;mem:8GiB | offer O3 cpus:1;mem:8GiB | waiting | offer O4 cpus:1;mem:8GiB | waiting",
        expect![[r#"
            queue round-robin: want *
            submit A a*3 by:ann: 3 instances; want * 1.0*3
            submit B a*2 by:ann p1: 2 instances; want * 2.0*2 1.0*3
            submit C a*3 by:bob: 3 instances; want * 2.0*2 3.0*3 1.0*3
            submit D a by:cid: 1 instances; want * 2.0*2 3.0*3 4.0*1 1.0*3
            waiting: B.a C.a D.a A.a
            offer O1 cpus:1;mem:8GiB: accept O1 B-2.a.0 0ns; want * 3.0*3 4.0*1 2.0*1 1.0*3
            waiting: C.a D.a B.a A.a
            offer O2 cpus:1;mem:8GiB: accept O2 C-3.a.0 0ns; want * 4.0*1 2.0*1 3.0*2 1.0*3
            offer O3 cpus:1;mem:8GiB: accept O3 D-4.a.0 0ns; want * 2.0*1 3.0*2 1.0*3
            waiting: B.a C.a A.a
            offer O4 cpus:1;mem:8GiB: accept O4 B-2.a.1 0ns; want * 3.0*2 1.0*3
            waiting: C.a A.a
        "#]],
    );
}

#[test]
fn fair_share_serves_who_used_least_for_their_share_and_forgets_what_is_long_ago() {
    check(
        "queue fair-share half:60 bob=2 | submit A a*9 by:ann | submit B a*9 by:bob | waiting | offer O1 cpus:2;mem:8GiB | wait 10 \
         | A-1.a.0 FINISHED | waiting | crash | waiting | wait 60 | waiting | A-1.a.1 FINISHED | wait 600 | waiting",
        expect![[r#"
            queue fair-share half:60 bob=2: want *
            submit A a*9 by:ann: 9 instances; want * 1.0*9
            submit B a*9 by:bob: 9 instances; want * 1.0*9 2.0*9
            waiting: A.a B.a
            offer O1 cpus:2;mem:8GiB: accept O1 A-1.a.0 A-1.a.1 0ns; want * 1.0*7 2.0*9
            waiting: B.a A.a ann:18.9
            crash: want * 2.0*9 1.0*7
            waiting: B.a A.a ann:18.9
            waiting: B.a A.a ann:52.7
            waiting: B.a A.a ann:0.1
        "#]],
    );
}

#[test]
fn what_runs_is_charged_from_when_its_queue_is_of_fair_share_and_forgotten_when_it_is_not() {
    check(
        "submit A a*2 by:ann | offer O1 cpus:2;mem:8GiB | wait 100 | queue fair-share | wait 10 | waiting | crash | waiting | queue fcfs | crash \
         | queue fair-share | waiting",
        expect![[r#"
            submit A a*2 by:ann: 2 instances; want * 1.0*2
            offer O1 cpus:2;mem:8GiB: accept O1 A-1.a.0 A-1.a.1 0ns; want *
            queue fair-share: want *
            waiting: ann:20.0
            crash: want *
            waiting: ann:20.0
            queue fcfs: want *
            crash: want *
            queue fair-share: want *
        "#]],
    );
}

#[test]
fn where_nothing_may_go_before_the_first_what_is_left_of_an_offer_is_not_for_others() {
    check(
        "queue fcfs none | submit A a:cpus:4 | submit B a | offer O1 cpus:2;mem:8GiB | offer O2 cpus:5;mem:8GiB | explain B | submit C a | explain C",
        expect![[r#"
            queue fcfs none: want *
            submit A a:cpus:4: 1 instances; want * 1.0*1
            submit B a: 1 instances; want * 1.0*1 2.0*1
            offer O1 cpus:2;mem:8GiB: decline O1 0ns
            offer O2 cpus:5;mem:8GiB: accept O2 A-1.a.0 B-2.a.0 0ns; want *
            explain B: 1 instance of `a` started and did not end yet.
            submit C a: 1 instances; want * 3.0*1
            explain C: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: there is no agent.
        "#]],
    );
}

#[test]
fn a_gang_is_asked_for_whole_among_those_of_other_users() {
    check(
        "queue round-robin | submit A a b gang by:ann | submit B a b gang by:bob | submit C a by:cid | waiting",
        expect![[r#"
            queue round-robin: want *
            submit A a b gang by:ann: 2 instances; want * 1.0*1 gang 1.0 1.1*1 gang 1.0
            submit B a b gang by:bob: 2 instances; want * 1.0*1 gang 1.0 1.1*1 gang 1.0 2.0*1 gang 2.0 2.1*1 gang 2.0
            submit C a by:cid: 1 instances; want * 1.0*1 gang 1.0 1.1*1 gang 1.0 2.0*1 gang 2.0 2.1*1 gang 2.0 3.0*1
            waiting: A.a B.a C.a A.b B.b
        "#]],
    );
}

#[test]
fn what_no_queue_is_set_to_and_who_no_user_is() {
    check(
        "queue fcfs half:1 | queue fcfs bob=0 | queue fcfs b/b=1 | submit A a by:b/b",
        expect![[r#"
            queue fcfs half:1: a half-life of 1s is not between 60s and ten years
            queue fcfs bob=0: the share of bob is 0, and not between 1 and 1000000
            queue fcfs b/b=1: `b/b` is no user: 1 to 63 letters, digits, `.`, `_`, `@` or `-`
            submit A a by:b/b: user `b/b` must be at most 63 letters, digits, `.`, `_`, `@` or `-`
        "#]],
    );
}
