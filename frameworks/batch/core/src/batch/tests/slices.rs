//! Time slices: who gives up their cpus, for whom, and when they go on.

use expect_test::expect;

use super::world::check;

#[test]
fn two_users_take_turns_on_one_cpu_until_both_have_ended() {
    check(
        "queue time-slice slice:10 | submit A a by:ann | offer O1 cpus:1;mem:8GiB | A-1.a.0 RUNNING | pass 30 | submit B a by:bob | pass 11 \
         | A-1.a.0 SUSPENDED:1 | show A | explain A | explain B | offer O2 cpus:1;mem:8GiB | B-2.a.0 RUNNING | explain A | pass 11 | B-2.a.0 SUSPENDED:1 \
         | offer O3 cpus:1;mem:7GiB | A-1.a.0 RESUMED | pass 11 | A-1.a.0 SUSPENDED:2 | offer O4 cpus:1;mem:7GiB | B-2.a.0 RESUMED | B-2.a.0 FINISHED \
         | offer O5 cpus:1;mem:7GiB | A-1.a.0 RESUMED | pass 100 | A-1.a.0 FINISHED",
        expect![[r#"
            queue time-slice slice:10: want *
            submit A a by:ann: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 A-1.a.0 0ns; want *
            submit B a by:bob: 1 instances; want * 2.0*1
            pass 11: suspend A-1.a.0; want * 2.0*1; suspend A-1.a.0; want * 2.0*1
            A-1.a.0 SUSPENDED:1: want * 2.0*1 on A1 cpus:1*1
            show A: Running a.0:Suspended
            explain A: 1 instance of `a` is suspended: its turn is after 1 other.
            explain B: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: there is no agent.
            offer O2 cpus:1;mem:8GiB: accept O2 B-2.a.0 0ns; want * on A1 cpus:1*1
            explain A: 1 instance of `a` is suspended: its turn is next.
            pass 11: suspend B-2.a.0; want *
            B-2.a.0 SUSPENDED:1: want * on A1 cpus:1*1 on A1 cpus:1*1
            offer O3 cpus:1;mem:7GiB: accept O3 resume A-1.a.0 0ns; want * on A1 cpus:1*1
            pass 11: suspend A-1.a.0; want *
            A-1.a.0 SUSPENDED:2: want * on A1 cpus:1*1 on A1 cpus:1*1
            offer O4 cpus:1;mem:7GiB: accept O4 resume B-2.a.0 0ns; want * on A1 cpus:1*1
            offer O5 cpus:1;mem:7GiB: accept O5 resume A-1.a.0 0ns; want *
        "#]],
    );
}

#[test]
fn users_with_more_tasks_have_no_more_turns_than_others() {
    check(
        "queue time-slice slice:10 | submit A a*3 by:ann | offer O1 cpus:2;mem:8GiB | A-1.a.0 RUNNING | A-1.a.1 RUNNING | submit B a by:bob | pass 11 \
         | A-1.a.0 SUSPENDED:1 | offer O2 cpus:1;mem:8GiB | B-2.a.0 RUNNING | pass 9 | A-1.a.1 SUSPENDED:1 | offer O3 cpus:1;mem:8GiB | A-1.a.2 RUNNING \
         | pass 3 | pass 8 | A-1.a.2 SUSPENDED:1 | offer O4 cpus:1;mem:8GiB",
        expect![[r#"
            queue time-slice slice:10: want *
            submit A a*3 by:ann: 3 instances; want * 1.0*3
            offer O1 cpus:2;mem:8GiB: accept O1 A-1.a.0 A-1.a.1 0ns; want * 1.0*1
            submit B a by:bob: 1 instances; want * 2.0*1 1.0*1
            pass 11: suspend A-1.a.0; suspend A-1.a.1; want * 2.0*1 1.0*1
            A-1.a.0 SUSPENDED:1: want * 2.0*1 1.0*1
            offer O2 cpus:1;mem:8GiB: accept O2 B-2.a.0 0ns; want * 1.0*1
            A-1.a.1 SUSPENDED:1: want * 1.0*1 on A1 cpus:1*2
            offer O3 cpus:1;mem:8GiB: accept O3 A-1.a.2 0ns; want * on A1 cpus:1*2
            pass 8: suspend A-1.a.2; want *
            A-1.a.2 SUSPENDED:1: want * on A1 cpus:1*3
            offer O4 cpus:1;mem:8GiB: accept O4 resume A-1.a.0 0ns; want * on A1 cpus:1*2
        "#]],
    );
}

#[test]
fn nothing_is_suspended_for_less_urgent_work_of_the_same_user_nor_for_what_is_suspended_elsewhere() {
    check(
        "queue time-slice slice:10 | submit A a by:ann p5 | offer O1 cpus:1;mem:8GiB | A-1.a.0 RUNNING | submit B a by:ann | pass 41 | submit C a by:ann p5 | pass 10 \
         | A-1.a.0 SUSPENDED:1 | offer O2 cpus:1;mem:1GiB on=A2 | C-3.a.0 RUNNING@A2 | pass 30 | C-3.a.0 FINISHED@A2 | offer O3 cpus:1;mem:1GiB on=A2 | offer O4 cpus:1;mem:1GiB",
        expect![[r#"
            queue time-slice slice:10: want *
            submit A a by:ann p5: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 A-1.a.0 0ns; want *
            submit B a by:ann: 1 instances; want * 2.0*1
            submit C a by:ann p5: 1 instances; want * 3.0*1 2.0*1
            pass 10: suspend A-1.a.0; want * 3.0*1 2.0*1
            A-1.a.0 SUSPENDED:1: want * 3.0*1 on A1 cpus:1*1 2.0*1
            offer O2 cpus:1;mem:1GiB on=A2: accept O2 C-3.a.0 0ns; want * on A1 cpus:1*1 2.0*1
            offer O3 cpus:1;mem:1GiB on=A2: accept O3 B-2.a.0 0ns; want * on A1 cpus:1*1
            offer O4 cpus:1;mem:1GiB: accept O4 resume A-1.a.0 0ns; want *
        "#]],
    );
}

#[test]
fn what_needs_more_cpus_than_one_gives_up_has_them_of_several_at_once() {
    check(
        "queue time-slice slice:10 | submit A a*4 by:ann | offer O1 cpus:3;mem:8GiB | A-1.a.0 RUNNING | A-1.a.1 RUNNING | pass 5 | A-1.a.2 RUNNING \
         | submit B b:cpus:3 by:bob | pass 6 | pass 5 | A-1.a.1 SUSPENDED:1 | A-1.a.0 SUSPENDED:1 | A-1.a.2 SUSPENDED:1 | offer O2 cpus:3;mem:3GiB | B-2.b.0 RUNNING | explain A \
         | pass 11 | B-2.b.0 SUSPENDED:1 | offer O3 cpus:3;mem:2GiB",
        expect![[r#"
            queue time-slice slice:10: want *
            submit A a*4 by:ann: 4 instances; want * 1.0*4
            offer O1 cpus:3;mem:8GiB: accept O1 A-1.a.0 A-1.a.1 A-1.a.2 0ns; want * 1.0*1
            submit B b:cpus:3 by:bob: 1 instances; want * 2.0*1 1.0*1
            pass 5: suspend A-1.a.0; suspend A-1.a.1; suspend A-1.a.2; want * 2.0*1 1.0*1
            A-1.a.1 SUSPENDED:1: want * 2.0*1 1.0*1
            A-1.a.0 SUSPENDED:1: want * 2.0*1 1.0*1
            A-1.a.2 SUSPENDED:1: want * 2.0*1 1.0*1 on A1 cpus:1*3
            offer O2 cpus:3;mem:3GiB: accept O2 B-2.b.0 0ns; want * 1.0*1 on A1 cpus:1*3
            explain A: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: there is no agent. / 3 instances of `a` are suspended, the first of them: its turn is after 1 other.
            pass 11: suspend B-2.b.0; want * 1.0*1
            B-2.b.0 SUSPENDED:1: want * 1.0*1 on A1 cpus:3*1 on A1 cpus:1*3
            offer O3 cpus:3;mem:2GiB: accept O3 resume A-1.a.1 resume A-1.a.0 A-1.a.3 0ns; want * on A1 cpus:3*1 on A1 cpus:1*1
        "#]],
    );
}

#[test]
fn gangs_are_not_suspended() {
    check(
        "queue time-slice slice:10 | submit A a b gang by:ann | offer O1 cpus:2;mem:8GiB for=1.0*1 for=1.1*1 gang=1 | A-1.a.0 RUNNING | A-1.b.0 RUNNING | submit B a by:bob | pass 60",
        expect![[r#"
            queue time-slice slice:10: want *
            submit A a b gang by:ann: 2 instances; want * 1.0*1 gang 1.0 1.1*1 gang 1.0
            offer O1 cpus:2;mem:8GiB for=1.0*1 for=1.1*1 gang=1: accept O1 A-1.a.0 A-1.b.0 0ns; want *
            submit B a by:bob: 1 instances; want * 2.0*1
        "#]],
    );
}

#[test]
fn what_refuses_or_does_not_answer_is_asked_again_a_slice_later() {
    check(
        "queue time-slice slice:10 | submit A a by:ann | offer O1 cpus:1;mem:8GiB | A-1.a.0 RUNNING | submit B a by:bob | pass 11 | A-1.a.0 REFUSES | pass 9 | pass 2 | pass 7 | pass 2",
        expect![[r#"
            queue time-slice slice:10: want *
            submit A a by:ann: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 A-1.a.0 0ns; want *
            submit B a by:bob: 1 instances; want * 2.0*1
            pass 11: suspend A-1.a.0; want * 2.0*1
            A-1.a.0 REFUSES: want * 2.0*1
            pass 2: suspend A-1.a.0; want * 2.0*1
        "#]],
    );
}

#[test]
fn a_newcomer_that_finds_no_room_costs_each_of_those_that_run_one_suspension_a_slice() {
    check(
        "queue time-slice slice:10 | submit A a by:ann | offer O1 cpus:1;mem:1GiB | A-1.a.0 RUNNING | submit B a by:bob | pass 11 \
         | A-1.a.0 SUSPENDED:1 | offer O2 cpus:1 | A-1.a.0 RESUMED | pass 9 | pass 2 | A-1.a.0 SUSPENDED:2 | offer O3 cpus:1 | A-1.a.0 RESUMED | pass 9",
        expect![[r#"
            queue time-slice slice:10: want *
            submit A a by:ann: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:1GiB: accept O1 A-1.a.0 0ns; want *
            submit B a by:bob: 1 instances; want * 2.0*1
            pass 11: suspend A-1.a.0; want * 2.0*1
            A-1.a.0 SUSPENDED:1: want * 2.0*1 on A1 cpus:1*1
            offer O2 cpus:1: accept O2 resume A-1.a.0 0ns; want * 2.0*1
            pass 2: suspend A-1.a.0; want * 2.0*1
            A-1.a.0 SUSPENDED:2: want * 2.0*1 on A1 cpus:1*1
            offer O3 cpus:1: accept O3 resume A-1.a.0 0ns; want * 2.0*1
        "#]],
    );
}

#[test]
fn what_could_not_be_resumed_is_wanted_again_a_moment_later_and_what_is_told_late_is_no_news() {
    check(
        "queue time-slice slice:10 | submit A a by:ann | offer O1 cpus:1;mem:8GiB | A-1.a.0 RUNNING | submit B a by:bob | pass 11 | A-1.a.0 SUSPENDED:1 \
         | offer O2 cpus:1 | A-1.a.0 SUSPENDED:1 | show A | A-1.a.0 STAYS:1 | show A | pass 2 | offer O3 cpus:1 | A-1.a.0 LISTED:1 | show A | offer O4 cpus:1 | A-1.a.0 RESUMED | show A",
        expect![[r#"
            queue time-slice slice:10: want *
            submit A a by:ann: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 A-1.a.0 0ns; want *
            submit B a by:bob: 1 instances; want * 2.0*1
            pass 11: suspend A-1.a.0; want * 2.0*1
            A-1.a.0 SUSPENDED:1: want * 2.0*1 on A1 cpus:1*1
            offer O2 cpus:1: accept O2 resume A-1.a.0 0ns; want * 2.0*1
            show A: Running a.0:Running
            A-1.a.0 STAYS:1: want * 2.0*1
            show A: Running a.0:Suspended
            pass 2: want * 2.0*1 on A1 cpus:1*1
            offer O3 cpus:1: accept O3 resume A-1.a.0 0ns; want * 2.0*1
            A-1.a.0 LISTED:1: want * 2.0*1 on A1 cpus:1*1
            show A: Running a.0:Suspended
            offer O4 cpus:1: accept O4 resume A-1.a.0 0ns; want * 2.0*1
            show A: Running a.0:Running
        "#]],
    );
}

#[test]
fn after_a_start_and_a_new_link_the_master_says_what_is_suspended() {
    check(
        "queue time-slice slice:10 | submit A a*2 by:ann | offer O1 cpus:1;mem:8GiB | A-1.a.0 RUNNING | pass 11 | A-1.a.0 SUSPENDED:1 | offer O2 cpus:1;mem:8GiB | A-1.a.1 RUNNING \
         | crash | show A | A-1.a.0 LISTED:1 | A-1.a.1 LISTED | show A | pass 11 | A-1.a.1 SUSPENDED:1 | offer O3 cpus:1;mem:8GiB | disconnect | pass 20 | subscribe | A-1.a.0 LISTED:1 | show A",
        expect![[r#"
            queue time-slice slice:10: want *
            submit A a*2 by:ann: 2 instances; want * 1.0*2
            offer O1 cpus:1;mem:8GiB: accept O1 A-1.a.0 0ns; want * 1.0*1
            pass 11: suspend A-1.a.0; want * 1.0*1
            A-1.a.0 SUSPENDED:1: want * 1.0*1 on A1 cpus:1*1
            offer O2 cpus:1;mem:8GiB: accept O2 A-1.a.1 0ns; want * on A1 cpus:1*1
            crash: want *
            show A: Running a.0:Running a.1:Running
            A-1.a.0 LISTED:1: want * on A1 cpus:1*1
            show A: Running a.0:Suspended a.1:Running
            pass 11: suspend A-1.a.1; want *
            A-1.a.1 SUSPENDED:1: want * on A1 cpus:1*2
            offer O3 cpus:1;mem:8GiB: accept O3 resume A-1.a.0 0ns; want * on A1 cpus:1*1
            A-1.a.0 LISTED:1: want * on A1 cpus:1*2
            show A: Running a.0:Suspended a.1:Suspended
        "#]],
    );
}

#[test]
fn another_policy_lets_what_is_suspended_go_on_first_and_suspends_nothing_more() {
    check(
        "queue time-slice slice:10 | submit A a by:ann | offer O1 cpus:1;mem:8GiB | A-1.a.0 RUNNING | submit B a*2 by:bob p9 | pass 11 | A-1.a.0 SUSPENDED:1 | offer O2 cpus:1;mem:8GiB | B-2.a.0 RUNNING \
         | queue priority | pass 60 | B-2.a.0 FINISHED | offer O3 cpus:1;mem:7GiB | A-1.a.0 RESUMED | pass 60 | queue time-slice slice:5 | pass 6 | queue sjf | A-1.a.0 SUSPENDED:2 | crash | A-1.a.0 LISTED:2",
        expect![[r#"
            queue time-slice slice:10: want *
            submit A a by:ann: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 A-1.a.0 0ns; want *
            submit B a*2 by:bob p9: 2 instances; want * 2.0*2
            pass 11: suspend A-1.a.0; want * 2.0*2
            A-1.a.0 SUSPENDED:1: want * 2.0*2 on A1 cpus:1*1
            offer O2 cpus:1;mem:8GiB: accept O2 B-2.a.0 0ns; want * on A1 cpus:1*1 2.0*1
            queue priority: want * on A1 cpus:1*1 2.0*1
            offer O3 cpus:1;mem:7GiB: accept O3 resume A-1.a.0 0ns; want * 2.0*1
            queue time-slice slice:5: want * 2.0*1
            pass 6: suspend A-1.a.0; want * 2.0*1
            queue sjf: want * 2.0*1
            A-1.a.0 SUSPENDED:2: want * on A1 cpus:1*1 2.0*1
            crash: want * 2.0*1
            A-1.a.0 LISTED:2: want * on A1 cpus:1*1 2.0*1
        "#]],
    );
}

#[test]
fn what_is_cancelled_requeued_or_lost_while_it_is_suspended_does_not_go_on() {
    check(
        "queue time-slice slice:10 | submit A a*3 by:ann | offer O1 cpus:3;mem:8GiB | A-1.a.0 RUNNING | A-1.a.1 RUNNING | A-1.a.2 RUNNING | submit B a*3 by:bob | pass 11 | A-1.a.0 SUSPENDED:1 \
         | A-1.a.1 SUSPENDED:1 | A-1.a.0 UNREACHABLE | show A | A-1.a.0 LISTED:1 | A-1.a.0 GONE | requeue A all a.1 | A-1.a.1 LISTED:1 | A-1.a.1 KILLED | A-1.a.2 SUSPENDED:1 | hold A | cancel A \
         | A-1.a.2 LISTED:1 | offer O2 cpus:1 | A-1.a.2 KILLED | show A",
        expect![[r#"
            queue time-slice slice:10: want *
            submit A a*3 by:ann: 3 instances; want * 1.0*3
            offer O1 cpus:3;mem:8GiB: accept O1 A-1.a.0 A-1.a.1 A-1.a.2 0ns; want *
            submit B a*3 by:bob: 3 instances; want * 2.0*3
            pass 11: suspend A-1.a.0; suspend A-1.a.2; want * 2.0*3
            A-1.a.0 SUSPENDED:1: want * 2.0*3
            A-1.a.1 SUSPENDED:1: want * 2.0*3
            A-1.a.0 UNREACHABLE: want * 2.0*3
            show A: Running a.0:Suspended a.1:Suspended a.2:Running
            A-1.a.0 LISTED:1: want * 2.0*3
            A-1.a.0 GONE: want * 2.0*3 1.0*1
            requeue A all a.1: 1 again; kill A-1.a.1; want * 2.0*3 1.0*1
            A-1.a.1 KILLED: want * 2.0*3 1.0*2
            A-1.a.2 SUSPENDED:1: want * 2.0*3 1.0*2 on A1 cpus:1*1
            hold A: want * 2.0*3 on A1 cpus:1*1
            cancel A: kill A-1.a.2; want * 2.0*3
            offer O2 cpus:1: decline O2 0ns
            show A: Cancelled a.0:Cancelled a.1:Cancelled a.2:Cancelled
        "#]],
    );
}

#[test]
fn what_ends_while_it_is_suspended_is_retried_and_a_job_that_is_held_goes_on_with_what_it_began() {
    check(
        "queue time-slice slice:10 | submit A a*2 r1 by:ann | offer O1 cpus:2;mem:8GiB | A-1.a.0 RUNNING | A-1.a.1 RUNNING | submit B a*2 by:bob | pass 11 | A-1.a.0 SUSPENDED:1 \
         | A-1.a.0 FAILED | hold A | pass 11 | A-1.a.1 SUSPENDED:1 | cancel B | offer O2 cpus:2;mem:8GiB | explain A",
        expect![[r#"
            queue time-slice slice:10: want *
            submit A a*2 r1 by:ann: 2 instances; want * 1.0*2
            offer O1 cpus:2;mem:8GiB: accept O1 A-1.a.0 A-1.a.1 0ns; want *
            submit B a*2 by:bob: 2 instances; want * 2.0*2
            pass 11: suspend A-1.a.0; want * 2.0*2
            A-1.a.0 SUSPENDED:1: want * 2.0*2 on A1 cpus:1*1
            A-1.a.0 FAILED: want * 2.0*2 1.0*1
            hold A: want * 2.0*2
            pass 11: suspend A-1.a.1; want * 2.0*2
            A-1.a.1 SUSPENDED:1: want * 2.0*2 on A1 cpus:1*1
            cancel B: want * on A1 cpus:1*1
            offer O2 cpus:2;mem:8GiB: accept O2 resume A-1.a.1 0ns; want *
            explain A: job `A` is held; nothing more of it is started before it is released. / 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: the job is held. / 1 instance of `a` started and did not end yet.
        "#]],
    );
}

#[test]
fn where_nothing_may_go_before_the_first_what_is_suspended_keeps_its_place_too() {
    check(
        "queue time-slice slice:10 none | submit A a:cpus:2 by:ann | offer O1 cpus:2;mem:8GiB | A-1.a.0 RUNNING | submit B a by:bob | pass 11 | A-1.a.0 SUSPENDED:1 | offer O2 cpus:1;mem:8GiB \
         | submit C a by:bob | explain A | offer O3 cpus:1;mem:8GiB | offer O4 cpus:1;mem:8GiB on=A2",
        expect![[r#"
            queue time-slice slice:10 none: want *
            submit A a:cpus:2 by:ann: 1 instances; want * 1.0*1
            offer O1 cpus:2;mem:8GiB: accept O1 A-1.a.0 0ns; want *
            submit B a by:bob: 1 instances; want * 2.0*1
            pass 11: suspend A-1.a.0; want * 2.0*1
            A-1.a.0 SUSPENDED:1: want * 2.0*1 on A1 cpus:2*1
            offer O2 cpus:1;mem:8GiB: accept O2 B-2.a.0 0ns; want * on A1 cpus:2*1
            submit C a by:bob: 1 instances; want * on A1 cpus:2*1 3.0*1
            explain A: 1 instance of `a` is suspended: its turn is next.
            offer O3 cpus:1;mem:8GiB: decline O3 0ns
            offer O4 cpus:1;mem:8GiB on=A2: decline O4 0ns
        "#]],
    );
}

#[test]
fn slices_are_a_second_to_a_day() {
    check(
        "queue time-slice slice:0.9 | queue time-slice slice:86401 | queue time-slice slice:86400 | crash | queue round-robin slice:1",
        expect![[r#"
            queue time-slice slice:0.9: a slice of 900ms is not between 1s and a day
            queue time-slice slice:86401: a slice of 86401s is not between 1s and a day
            queue time-slice slice:86400: want *
            crash: want *
            queue round-robin slice:1: want *
        "#]],
    );
}
