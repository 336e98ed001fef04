//! When what failed is started again, and how many run at once.

use expect_test::expect;

use super::world::check;

#[test]
fn a_retry_waits_twice_as_long_after_each_failure() {
    check(
        "submit J a r3 b10 | offer O1 cpus:1;mem:8GiB | J-1.a.0 FAILED:1 | explain J | show J | offer O2 cpus:1;mem:8GiB \
         | pass 9 | pass 2 | offer O3 cpus:1;mem:8GiB | J-1.a.0-2 FAILED:1 | pass 19 | pass 2 | offer O4 cpus:1;mem:8GiB \
         | J-1.a.0-3 FINISHED | show J",
        expect![[r#"
            submit J a r3 b10: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            explain J: 1 instance of `a` failed and must wait before the next attempt, the first of them for 10 s.
            show J: Running a.0:Delayed
            offer O2 cpus:1;mem:8GiB: decline O2 0ns
            pass 2: want * 1.0*1
            offer O3 cpus:1;mem:8GiB: accept O3 J-1.a.0-2 0ns; want *
            pass 2: want * 1.0*1
            offer O4 cpus:1;mem:8GiB: accept O4 J-1.a.0-3 0ns; want *
            show J: Finished a.0:Finished
        "#]],
    );
}

#[test]
fn a_restart_begins_the_wait_anew_and_a_cancelled_job_waits_for_nothing() {
    check(
        "submit J a r3 b100 | offer O1 cpus:1;mem:8GiB | J-1.a.0 FAILED:1 | pass 90 | crash | pass 90 | show J | pass 11 \
         | offer O2 cpus:1;mem:8GiB | J-1.a.0-2 FAILED:1 | cancel J | show J | pass 1000 | show J",
        expect![[r#"
            submit J a r3 b100: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            crash: want *
            show J: Running a.0:Delayed
            pass 11: want * 1.0*1
            offer O2 cpus:1;mem:8GiB: accept O2 J-1.a.0-2 0ns; want *
            show J: Cancelled a.0:Cancelled
            show J: Cancelled a.0:Cancelled
        "#]],
    );
}

#[test]
fn what_was_lost_waits_for_nothing() {
    check(
        "submit J a r1 b100 | offer O1 cpus:1;mem:8GiB | J-1.a.0 LOST | show J",
        expect![[r#"
            submit J a r1 b100: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            J-1.a.0 LOST: want * 1.0*1
            show J: Running a.0:Waiting
        "#]],
    );
}

#[test]
fn the_exit_code_decides_whether_there_is_a_retry() {
    check(
        "submit J a*3 r1 only:75,76 | offer O1 cpus:3;mem:8GiB | J-1.a.0 FAILED:75 | J-1.a.1 FAILED:1 | J-1.a.2 FAILED | show J \
         | submit K a*2 r1 not:2 | offer O2 cpus:2;mem:8GiB for=2.0*2 | K-2.a.0 FAILED:2 | K-2.a.1 FAILED | show K \
         | submit L a n0 | submit L a*2! n1 | submit L a b99999",
        expect![[r#"
            submit J a*3 r1 only:75,76: 3 instances; want * 1.0*3
            offer O1 cpus:3;mem:8GiB: accept O1 J-1.a.0 J-1.a.1 J-1.a.2 0ns; want *
            J-1.a.0 FAILED:75: want * 1.0*1
            show J: Running a.0:Waiting a.1:Failed a.2:Failed
            submit K a*2 r1 not:2: 2 instances; want * 1.0*1 2.0*2
            offer O2 cpus:2;mem:8GiB for=2.0*2: accept O2 K-2.a.0 K-2.a.1 0ns; want * 1.0*1
            K-2.a.1 FAILED: want * 1.0*1 2.0*1
            show K: Running a.0:Failed a.1:Waiting
            submit L a n0: task `a` lets none of its instances run at once
            submit L a*2! n1: task `a` is a gang, which runs whole, and cannot be limited to some of it at once
            submit L a b99999: task `a` waits 99999s before a retry, at most 86400s are allowed
        "#]],
    );
}

#[test]
fn a_gang_waits_together_before_it_is_tried_again() {
    check(
        "submit J a*2! r1 b10 | offer O1 cpus:2;mem:8GiB for=1.0*2 gang=1 | J-1.a.0 FAILED:1 | J-1.a.1 KILLED | show J | pass 11 \
         | show J",
        expect![[r#"
            submit J a*2! r1 b10: 2 instances; want * 1.0*2 gang 1.0
            offer O1 cpus:2;mem:8GiB for=1.0*2 gang=1: accept O1 J-1.a.0 J-1.a.1 0ns; want *
            J-1.a.0 FAILED:1: kill J-1.a.1
            J-1.a.1 KILLED: want *
            show J: Running a.0:Delayed a.1:Waiting
            pass 11: want * 1.0*2 gang 1.0
            show J: Running a.0:Waiting a.1:Waiting
        "#]],
    );
}

#[test]
fn of_an_array_with_a_cap_no_more_run_at_once() {
    check(
        "submit J a*5 n2 | offer O1 cpus:9;mem:9GiB | offer O2 cpus:9;mem:9GiB | explain J | J-1.a.1 FINISHED \
         | offer O3 cpus:9;mem:9GiB for=1.0*3 | J-1.a.0 UNREACHABLE | crash | offer O4 cpus:9;mem:9GiB | show J",
        expect![[r#"
            submit J a*5 n2: 5 instances; want * 1.0*2
            offer O1 cpus:9;mem:9GiB: accept O1 J-1.a.0 J-1.a.1 0ns; want *
            offer O2 cpus:9;mem:9GiB: decline O2 0ns
            explain J: 3 instances of `a` must wait for an offer with cpus:1;mem:1GiB: 2 of it run, and no more are to run at once. / 2 instances of `a` started and did not end yet.
            J-1.a.1 FINISHED: want * 1.0*1
            offer O3 cpus:9;mem:9GiB for=1.0*3: accept O3 J-1.a.2 0ns; want *
            crash: want *
            offer O4 cpus:9;mem:9GiB: decline O4 0ns
            show J: Running a.0:Running a.1:Finished a.2:Running a.3:Waiting a.4:Waiting
        "#]],
    );
}
