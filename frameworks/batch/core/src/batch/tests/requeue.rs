//! Running again by hand.

use expect_test::expect;

use super::world::check;

#[test]
fn what_failed_runs_again_and_what_was_cancelled_because_of_it_waits_again() {
    check(
        "submit J a*2 b<a c<b~ | offer O1 cpus:2;mem:8GiB | J-1.a.0 FAILED | J-1.a.1 FINISHED | offer O2 cpus:2;mem:8GiB \
         | J-1.c.0 FINISHED | show J | requeue J | show J | crash | show J | offer O3 cpus:2;mem:8GiB | J-1.a.0-2 FINISHED \
         | offer O4 cpus:2;mem:8GiB | J-1.b.0 FINISHED | show J",
        expect![[r#"
            submit J a*2 b<a c<b~: 4 instances; want * 1.0*2
            offer O1 cpus:2;mem:8GiB: accept O1 J-1.a.0 J-1.a.1 0ns; want *
            J-1.a.0 FAILED: want * 1.2*1
            offer O2 cpus:2;mem:8GiB: accept O2 J-1.c.0 0ns; want *
            show J: Failed a.0:Failed a.1:Finished b.0:Cancelled c.0:Finished
            requeue J: 1 again; want * 1.0*1
            show J: Running a.0:Waiting a.1:Finished b.0:Blocked c.0:Finished
            crash: want * 1.0*1
            show J: Running a.0:Waiting a.1:Finished b.0:Blocked c.0:Finished
            offer O3 cpus:2;mem:8GiB: accept O3 J-1.a.0-2 0ns; want *
            J-1.a.0-2 FINISHED: want * 1.1*1
            offer O4 cpus:2;mem:8GiB: accept O4 J-1.b.0 0ns; want *
            show J: Finished a.0:Finished a.1:Finished b.0:Finished c.0:Finished
        "#]],
    );
}

#[test]
fn what_runs_is_killed_and_runs_again_and_that_costs_no_retry() {
    check(
        "submit J a r0 | offer O1 cpus:1;mem:8GiB | requeue J | requeue J all | crash | J-1.a.0 KILLED | show J \
         | offer O2 cpus:1;mem:8GiB | requeue J all | cancel J | J-1.a.0-2 KILLED | show J",
        expect![[r#"
            submit J a r0: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            requeue J: job `J` has nothing such to run again
            requeue J all: 1 again; kill J-1.a.0; want *
            crash: want *
            J-1.a.0 KILLED: want * 1.0*1
            show J: Running a.0:Waiting
            offer O2 cpus:1;mem:8GiB: accept O2 J-1.a.0-2 0ns; want *
            requeue J all: 1 again; kill J-1.a.0-2; want *
            cancel J: kill J-1.a.0-2
            show J: Cancelled a.0:Cancelled
        "#]],
    );
}

#[test]
fn a_cancelled_job_goes_on_where_it_was() {
    check(
        "submit J a*2 b<a | offer O1 cpus:1;mem:8GiB | cancel J | J-1.a.0 KILLED | show J | requeue J | show J",
        expect![[r#"
            submit J a*2 b<a: 3 instances; want * 1.0*2
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want * 1.0*1
            cancel J: kill J-1.a.0; want *
            show J: Cancelled a.0:Cancelled a.1:Cancelled b.0:Cancelled
            requeue J: 3 again; want * 1.0*2
            show J: Running a.0:Waiting a.1:Waiting b.0:Blocked
        "#]],
    );
}

#[test]
fn what_must_not_run_again_is_refused() {
    check(
        "requeue J | submit J a d60 | requeue J | requeue J x all | offer O1 cpus:1;mem:8GiB | J-1.a.0 FAILED | pass 70 | requeue J \
         | submit R a ~every:10 | requeue R",
        expect![[r#"
            requeue J: no job is named `J`
            submit J a d60: 1 instances; want * 1.0*1
            requeue J: job `J` has nothing such to run again
            requeue J x all: job `J` has no task `x`
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            requeue J: the deadline of job `J` has passed
            submit R a ~every:10: 1 instances
            requeue R: job `R` recurs; trigger it, or requeue one of its runs
        "#]],
    );
}

#[test]
fn what_a_cancel_overtook_goes_on_and_what_it_is_killing_costs_no_retry() {
    check(
        "submit J a*3 r1 b60 | offer O1 cpus:2;mem:8GiB | J-1.a.0 FAILED | cancel J | requeue J | show J | crash \
         | J-1.a.1 KILLED | show J | offer O2 cpus:3;mem:8GiB | J-1.a.1-2 FAILED | show J",
        expect![[r#"
            submit J a*3 r1 b60: 3 instances; want * 1.0*3
            offer O1 cpus:2;mem:8GiB: accept O1 J-1.a.0 J-1.a.1 0ns; want * 1.0*1
            cancel J: kill J-1.a.1; want *
            requeue J: 3 again; kill J-1.a.1; want * 1.0*2
            show J: Running a.0:Waiting a.1:Running a.2:Waiting
            crash: want * 1.0*2
            J-1.a.1 KILLED: want * 1.0*3
            show J: Running a.0:Waiting a.1:Waiting a.2:Waiting
            offer O2 cpus:3;mem:8GiB: accept O2 J-1.a.0-2 J-1.a.1-2 J-1.a.2 0ns; want *
            show J: Running a.0:Running a.1:Delayed a.2:Running
        "#]],
    );
}

#[test]
fn only_what_is_named_runs_again_and_the_rest_of_a_cancelled_job_goes_on_as_it_was() {
    check(
        "submit J a*2 b c<b r1 b60 | offer O1 cpus:3;mem:8GiB | J-1.a.0 FAILED | J-1.b.0 LOST | cancel J | J-1.a.1 KILLED | show J \
         | requeue J a.1 | show J | crash | show J | pass 60 | show J",
        expect![[r#"
            submit J a*2 b c<b r1 b60: 4 instances; want * 1.0*2 1.1*1
            offer O1 cpus:3;mem:8GiB: accept O1 J-1.a.0 J-1.a.1 J-1.b.0 0ns; want *
            J-1.b.0 LOST: want * 1.1*1
            cancel J: kill J-1.a.1; want *
            show J: Cancelled a.0:Cancelled a.1:Cancelled b.0:Cancelled c.0:Cancelled
            requeue J a.1: 2 again; want * 1.0*1 1.1*1
            show J: Running a.0:Delayed a.1:Waiting b.0:Waiting c.0:Blocked
            crash: want * 1.0*1 1.1*1
            show J: Running a.0:Delayed a.1:Waiting b.0:Waiting c.0:Blocked
            pass 60: want * 1.0*2 1.1*1
            show J: Running a.0:Waiting a.1:Waiting b.0:Waiting c.0:Blocked
        "#]],
    );
}

#[test]
fn a_gang_runs_again_whole() {
    check(
        "submit J a*2! r0 | offer O1 cpus:2;mem:8GiB for=1.0*2 gang=1 | J-1.a.0 FAILED | J-1.a.1 KILLED | show J \
         | requeue J a.0 | show J | crash | show J | offer O2 cpus:2;mem:8GiB for=1.0*2 gang=1 | J-1.a.0-2 FINISHED \
         | J-1.a.1-2 FINISHED | show J",
        expect![[r#"
            submit J a*2! r0: 2 instances; want * 1.0*2 gang 1.0
            offer O1 cpus:2;mem:8GiB for=1.0*2 gang=1: accept O1 J-1.a.0 J-1.a.1 0ns; want *
            J-1.a.0 FAILED: kill J-1.a.1
            J-1.a.1 KILLED: want *
            show J: Failed a.0:Failed a.1:Cancelled
            requeue J a.0: 1 again; want * 1.0*2 gang 1.0
            show J: Running a.0:Waiting a.1:Waiting
            crash: want * 1.0*2 gang 1.0
            show J: Running a.0:Waiting a.1:Waiting
            offer O2 cpus:2;mem:8GiB for=1.0*2 gang=1: accept O2 J-1.a.0-2 J-1.a.1-2 0ns; want *
            J-1.a.1-2 FINISHED: want *
            show J: Finished a.0:Finished a.1:Finished
        "#]],
    );
}

#[test]
fn a_task_that_waits_for_what_runs_again_waits_again() {
    check(
        "submit J a b<a c<b,d d | offer O1 cpus:2;mem:8GiB | J-1.a.0 FINISHED | J-1.d.0 FINISHED | show J | requeue J a all | show J \
         | crash | show J",
        expect![[r#"
            submit J a b<a c<b,d d: 4 instances; want * 1.0*1 1.3*1
            offer O1 cpus:2;mem:8GiB: accept O1 J-1.a.0 J-1.d.0 0ns; want *
            J-1.a.0 FINISHED: want * 1.1*1
            show J: Running a.0:Finished b.0:Waiting c.0:Blocked d.0:Finished
            requeue J a all: 1 again; want * 1.0*1
            show J: Running a.0:Waiting b.0:Blocked c.0:Blocked d.0:Finished
            crash: want * 1.0*1
            show J: Running a.0:Waiting b.0:Blocked c.0:Blocked d.0:Finished
        "#]],
    );
}

#[test]
fn a_run_that_ended_is_open_again_and_counts_when_it_ends() {
    check(
        "submit R a ~every:100 ~least r0 | pass 1 | offer O1 cpus:1;mem:8GiB | R@19700101T000001Z-2.a.0 FAILED | windows R \
         | requeue R@19700101T000001Z | windows R | crash | offer O2 cpus:1;mem:8GiB | R@19700101T000001Z-2.a.0-2 FINISHED | windows R \
         | submit S a ~every:100 | pass 1 | requeue S@19700101T000002Z all",
        expect![[r#"
            submit R a ~every:100 ~least r0: 1 instances
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 R@19700101T000001Z-2.a.0 0ns; want *
            windows R: ran 1 missed 0 late 0 extra 0 open 0 next 101 / R@19700101T000001Z Failed 1.003
            requeue R@19700101T000001Z: 1 again; want * 2.0*1
            windows R: ran 0 missed 0 late 0 extra 0 open 1 next 101 / R@19700101T000001Z Running 1.003
            crash: want * 2.0*1
            offer O2 cpus:1;mem:8GiB: accept O2 R@19700101T000001Z-2.a.0-2 0ns; want *
            windows R: ran 1 missed 0 late 0 extra 0 open 0 next 101 / R@19700101T000001Z Finished 1.003
            submit S a ~every:100: 1 instances
            pass 1: want * 4.0*1
            requeue S@19700101T000002Z all: `S@19700101T000002Z` is a run of a job that runs at most once in each window
        "#]],
    );
}

#[test]
fn what_runs_again_and_is_lost_is_no_failure_and_runs_once_more() {
    check(
        "submit J a r0 | offer O1 cpus:1;mem:8GiB | requeue J all | J-1.a.0 UNREACHABLE | pass 301 | show J \
         | offer O2 cpus:1;mem:8GiB on=A2 | J-1.a.0-2 FAILED | show J",
        expect![[r#"
            submit J a r0: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            requeue J all: 1 again; kill J-1.a.0; want *
            pass 301: kill J-1.a.0; want * 1.0*1
            show J: Running a.0:Waiting
            offer O2 cpus:1;mem:8GiB on=A2: accept O2 J-1.a.0-2 0ns; want *
            show J: Failed a.0:Failed
        "#]],
    );
}
