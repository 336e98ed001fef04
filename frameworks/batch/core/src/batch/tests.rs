//! The scheduler driven by text, and by chance.

mod account;
mod check;
mod demand;
mod dispatch;
mod estimate;
mod graph;
mod hold;
mod labels;
mod peers;
mod ports;
mod property;
mod queues;
mod record;
mod recurring;
mod requeue;
mod retry;
mod slices;
mod wait;
mod words;
mod world;

use expect_test::expect;

use self::world::check;

#[test]
fn an_offer_is_filled_with_as_many_waiting_tasks_as_fit() {
    check(
        "submit J a*3 | offer O1 cpus:2.5;mem:8GiB | offer O2 cpus:2.5;mem:8GiB | show J",
        expect![[r#"
            submit J a*3: 3 instances; want * 1.0*3
            offer O1 cpus:2.5;mem:8GiB: accept O1 J-1.a.0 J-1.a.1 0ns; want * 1.0*1
            offer O2 cpus:2.5;mem:8GiB: accept O2 J-1.a.2 0ns; want *
            show J: Running a.0:Running a.1:Running a.2:Running
        "#]],
    );
}

#[test]
fn an_agent_that_drops_tasks_is_left_alone_for_a_growing_while() {
    check(
        "submit J a | offer O1 cpus:1;mem:8GiB | J-1.a.0 DROPPED | offer O2 cpus:1;mem:8GiB | wait 1 \
         | offer O3 cpus:1;mem:8GiB | J-1.a.0-2 DROPPED | wait 1 | offer O4 cpus:1;mem:8GiB | wait 1 \
         | offer O5 cpus:1;mem:8GiB | J-1.a.0-3 RUNNING | J-1.a.0-3 DROPPED | wait 1 | offer O6 cpus:1;mem:8GiB",
        expect![[r#"
            submit J a: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            J-1.a.0 DROPPED: want * 1.0*1
            offer O2 cpus:1;mem:8GiB: decline O2 999ms
            offer O3 cpus:1;mem:8GiB: accept O3 J-1.a.0-2 0ns; want *
            J-1.a.0-2 DROPPED: want * 1.0*1
            offer O4 cpus:1;mem:8GiB: decline O4 999ms
            offer O5 cpus:1;mem:8GiB: accept O5 J-1.a.0-3 0ns; want *
            J-1.a.0-3 DROPPED: want * 1.0*1
            offer O6 cpus:1;mem:8GiB: accept O6 J-1.a.0-4 0ns; want *
        "#]],
    );
}

#[test]
fn nothing_starts_on_an_agent_whose_maintenance_window_begins_before_it_would_end() {
    check(
        "submit J a t100 | offer O1 cpus:1;mem:8GiB for=1.0*1 window=100 | submit K b t9 | submit L c
         | offer O2 cpus:8;mem:8GiB window=59 | offer O3 cpus:8;mem:8GiB window=61 | submit M d*2! t100
         | offer O4 cpus:1;mem:8GiB for=4.0*1 gang=2 + O5 cpus:1;mem:8GiB for=4.0*1 gang=2 window=99
         | offer O6 cpus:1;mem:8GiB for=4.0*1 gang=2 window=200 + O7 cpus:1;mem:8GiB for=4.0*1 gang=2",
        expect![[r#"
            submit J a t100: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB for=1.0*1 window=100: decline O1 10s
            submit K b t9: 1 instances; want * 1.0*1 2.0*1
            submit L c: 1 instances; want * 1.0*1 2.0*1 3.0*1
            offer O2 cpus:8;mem:8GiB window=59: accept O2 K-2.b.0 0ns; want * 1.0*1 3.0*1
            offer O3 cpus:8;mem:8GiB window=61: accept O3 L-3.c.0 0ns; want * 1.0*1
            submit M d*2! t100: 2 instances; want * 1.0*1 4.0*2 gang 4.0
            offer O4 cpus:1;mem:8GiB for=4.0*1 gang=2 + O5 cpus:1;mem:8GiB for=4.0*1 gang=2 window=99: decline O4 10s
            offer O6 cpus:1;mem:8GiB for=4.0*1 gang=2 window=200 + O7 cpus:1;mem:8GiB for=4.0*1 gang=2: accept O6 O7 M-4.d.0 M-4.d.1 0ns; want * 1.0*1
        "#]],
    );
}

#[test]
fn a_task_that_waits_says_on_how_many_agents_a_maintenance_window_is_why() {
    check(
        "submit J a t100 | submit K b | shapes cpus:8;mem:8GiB cpus:8;mem:8GiB | explain J
         | offer O1 cpus:1;mem:8GiB on=A1 for=1.0*1 window=100 | offer O2 cpus:1;mem:8GiB on=A2 for=1.0*1 window=50
         | explain J | explain K | offer O3 cpus:0.1;mem:1MiB on=A2 | explain J | wait 101 | explain J",
        expect![[r#"
            submit J a t100: 1 instances; want * 1.0*1
            submit K b: 1 instances; want * 1.0*1 2.0*1
            explain J: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: none was made yet.
            offer O1 cpus:1;mem:8GiB on=A1 for=1.0*1 window=100: accept O1 K-2.b.0 0ns; want * 1.0*1
            offer O2 cpus:1;mem:8GiB on=A2 for=1.0*1 window=50: decline O2 10s
            explain J: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: none was made yet, but by agents whose maintenance window begins within its timeout of 100s: 2, the first at 1970-01-01T00:00:50Z.
            explain K: 1 instance of `b` started and did not end yet.
            offer O3 cpus:0.1;mem:1MiB on=A2: decline O3 0ns
            explain J: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: none was made yet, but by agents whose maintenance window begins within its timeout of 100s: 1, the first at 1970-01-01T00:01:40Z.
            explain J: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: none was made yet.
        "#]],
    );
}

#[test]
fn a_higher_priority_goes_first_and_then_the_earlier_job() {
    check(
        "submit J1 a | submit J2 a | submit J3 a p5 | offer O1 cpus:2;mem:8GiB | offer O2 cpus:2;mem:8GiB",
        expect![[r#"
            submit J1 a: 1 instances; want * 1.0*1
            submit J2 a: 1 instances; want * 1.0*1 2.0*1
            submit J3 a p5: 1 instances; want * 3.0*1 1.0*1 2.0*1
            offer O1 cpus:2;mem:8GiB: accept O1 J3-3.a.0 J1-1.a.0 0ns; want * 2.0*1
            offer O2 cpus:2;mem:8GiB: accept O2 J2-2.a.0 0ns; want *
        "#]],
    );
}

#[test]
fn a_small_task_passes_a_large_one_that_does_not_fit() {
    check(
        "submit J a:cpus:4 b:cpus:1 | offer O1 cpus:2;mem:8GiB | explain J",
        expect![[r#"
            submit J a:cpus:4 b:cpus:1: 2 instances; want * 1.0*1 1.1*1
            offer O1 cpus:2;mem:8GiB: accept O1 J-1.b.0 0ns; want * 1.0*1
            explain J: 1 instance of `a` must wait for an offer with cpus:4;mem:1GiB: there is no agent. / 1 instance of `b` started and did not end yet.
        "#]],
    );
}

#[test]
fn a_task_waits_until_every_instance_before_it_has_finished() {
    check(
        "submit J a*2 b<a | offer O1 cpus:4;mem:8GiB | J-1.a.0 FINISHED | explain J | crash \
         | J-1.a.1 FINISHED | offer O2 cpus:4;mem:8GiB | J-1.b.0 RUNNING | J-1.b.0 FINISHED | show J",
        expect![[r#"
            submit J a*2 b<a: 3 instances; want * 1.0*2
            offer O1 cpus:4;mem:8GiB: accept O1 J-1.a.0 J-1.a.1 0ns; want *
            explain J: 1 instance of `a` started and did not end yet. / 1 instance of `b` must come after `a` (1 of 2 finished).
            crash: want *
            J-1.a.1 FINISHED: want * 1.1*1
            offer O2 cpus:4;mem:8GiB: accept O2 J-1.b.0 0ns; want *
            show J: Finished a.0:Finished a.1:Finished b.0:Finished
        "#]],
    );
}

#[test]
fn a_failure_is_retried_as_often_as_asked_and_then_cancels_what_comes_after() {
    check(
        "submit J a*2 b<a c r1 | offer O1 cpus:4;mem:8GiB | J-1.a.0 FAILED | J-1.a.0 FAILED \
         | offer O2 cpus:4;mem:8GiB | crash | J-1.a.0-2 FAILED | show J | J-1.a.1 FINISHED | J-1.c.0 FINISHED \
         | show J | explain J",
        expect![[r#"
            submit J a*2 b<a c r1: 4 instances; want * 1.0*2 1.2*1
            offer O1 cpus:4;mem:8GiB: accept O1 J-1.a.0 J-1.a.1 J-1.c.0 0ns; want *
            J-1.a.0 FAILED: want * 1.0*1
            offer O2 cpus:4;mem:8GiB: accept O2 J-1.a.0-2 0ns; want *
            crash: want *
            show J: Running a.0:Failed a.1:Running b.0:Cancelled c.0:Running
            show J: Failed a.0:Failed a.1:Finished b.0:Cancelled c.0:Finished
            explain J: job `J` has failed. / 1 instance of `a` ended as FAILED.
        "#]],
    );
}

#[test]
fn a_task_killed_by_the_drain_of_its_agent_starts_again_without_costing_a_retry() {
    check(
        "submit J a | offer O1 cpus:1;mem:8GiB | J-1.a.0 RUNNING | J-1.a.0 DRAINED | show J | offer O2 cpus:1;mem:8GiB",
        expect![[r#"
            submit J a: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            J-1.a.0 DRAINED: want * 1.0*1
            show J: Running a.0:Waiting
            offer O2 cpus:1;mem:8GiB: accept O2 J-1.a.0-2 0ns; want *
        "#]],
    );
}

#[test]
fn a_task_lost_to_the_cluster_starts_again_without_costing_a_retry_and_an_unreachable_one_is_waited_for() {
    check(
        "submit J a*5 | offer O1 cpus:5;mem:8GiB | J-1.a.0 GONE | J-1.a.1 UNKNOWN | J-1.a.2 DROPPED \
         | J-1.a.3 UNREACHABLE | J-1.a.4 ERROR | wait 1 | offer O2 cpus:5;mem:8GiB | J-1.a.1 RUNNING | show J",
        expect![[r#"
            submit J a*5: 5 instances; want * 1.0*5
            offer O1 cpus:5;mem:8GiB: accept O1 J-1.a.0 J-1.a.1 J-1.a.2 J-1.a.3 J-1.a.4 0ns; want *
            J-1.a.0 GONE: want * 1.0*1
            J-1.a.1 UNKNOWN: want * 1.0*2
            J-1.a.2 DROPPED: want * 1.0*3
            offer O2 cpus:5;mem:8GiB: accept O2 J-1.a.0-2 J-1.a.1-2 J-1.a.2-2 0ns; want *
            J-1.a.1 RUNNING: kill J-1.a.1
            show J: Running a.0:Running a.1:Running a.2:Running a.3:Running a.4:Failed
        "#]],
    );
}

#[test]
fn an_attempt_unreachable_for_longer_than_patience_is_started_again_and_killed_when_it_comes_back() {
    check(
        "submit J a*3 | offer O1 cpus:3;mem:8GiB | J-1.a.0 UNREACHABLE | wait 120 | J-1.a.0 UNREACHABLE \
         | J-1.a.1 UNREACHABLE | explain J | wait 60 | J-1.a.1 RUNNING | wait 121 | explain J | J-1.a.0 UNREACHABLE | J-1.a.0 RUNNING \
         | offer O2 cpus:3;mem:8GiB | J-1.a.0 FINISHED | wait 600 | show J",
        expect![[r#"
            submit J a*3: 3 instances; want * 1.0*3
            offer O1 cpus:3;mem:8GiB: accept O1 J-1.a.0 J-1.a.1 J-1.a.2 0ns; want *
            explain J: 2 instances of `a` cannot be reached, its agent is unreachable; the first is started again in 3 min, unless the agent is back before. / 1 instance of `a` started and did not end yet.
            wait 121: kill J-1.a.0; want * 1.0*1
            explain J: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: there is no agent. / 2 instances of `a` started and did not end yet.
            J-1.a.0 RUNNING: kill J-1.a.0
            offer O2 cpus:3;mem:8GiB: accept O2 J-1.a.0-2 0ns; want *
            show J: Running a.0:Running a.1:Running a.2:Running
        "#]],
    );
}

#[test]
fn the_wait_for_an_unreachable_attempt_begins_anew_with_a_start_from_the_records() {
    check(
        "submit J a | offer O1 cpus:1;mem:8GiB | J-1.a.0 UNREACHABLE | wait 240 | crash | J-1.a.0 UNREACHABLE \
         | wait 240 | explain J | wait 61",
        expect![[r#"
            submit J a: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            crash: want *
            explain J: 1 instance of `a` cannot be reached, its agent is unreachable; it is started again in 1 min, unless the agent is back before.
            wait 61: kill J-1.a.0; want * 1.0*1
        "#]],
    );
}

#[test]
fn a_cancelled_job_does_not_wait_for_ever_for_the_end_of_an_unreachable_attempt() {
    check(
        "submit J a | offer O1 cpus:1;mem:8GiB | J-1.a.0 UNREACHABLE | cancel J | explain J | wait 301 | show J",
        expect![[r#"
            submit J a: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            cancel J: kill J-1.a.0
            explain J: job `J` was cancelled; the kill of 1 instance is on its way. / 1 instance of `a` cannot be reached, its agent is unreachable; it is given up in 5 min, unless the agent is back before.
            wait 301: kill J-1.a.0
            show J: Cancelled a.0:Cancelled
        "#]],
    );
}

#[test]
fn cancelling_kills_what_runs_and_drops_what_waits() {
    check(
        "submit J a*2 b<a | offer O1 cpus:1;mem:8GiB | cancel J | show J | crash | J-1.a.0 KILLED | show J \
         | cancel J | cancel K",
        expect![[r#"
            submit J a*2 b<a: 3 instances; want * 1.0*2
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want * 1.0*1
            cancel J: kill J-1.a.0; want *
            show J: Running a.0:Running a.1:Cancelled b.0:Cancelled
            crash: want *
            show J: Cancelled a.0:Cancelled a.1:Cancelled b.0:Cancelled
            cancel K: no job is named `K`
        "#]],
    );
}

#[test]
fn a_kill_nobody_asked_for_is_a_failure() {
    check(
        "submit J a | offer O1 cpus:1;mem:8GiB | J-1.a.0 KILLED | show J",
        expect![[r#"
            submit J a: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            show J: Failed a.0:Failed
        "#]],
    );
}

#[test]
fn a_name_is_free_again_once_its_job_has_ended_and_task_ids_are_never_used_twice() {
    check(
        "submit J a | submit J a | cancel J | submit J a | crash | offer O1 cpus:1;mem:8GiB",
        expect![[r#"
            submit J a: 1 instances; want * 1.0*1
            submit J a: job `J` exists and has not ended; cancel it or choose another name
            cancel J: want *
            submit J a: 1 instances; want * 2.0*1
            crash: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-2.a.0 0ns; want *
        "#]],
    );
}

#[test]
fn an_offer_is_used_only_for_jobs_of_its_role() {
    check(
        "submit J a @eng | offer O1 cpus:1;mem:8GiB | offer O2 cpus:1;mem:8GiB @eng",
        expect![[r#"
            submit J a @eng: 1 instances; want eng 1.0*1
            offer O1 cpus:1;mem:8GiB: decline O1 0ns
            offer O2 cpus:1;mem:8GiB @eng: accept O2 J-1.a.0 0ns; want eng
        "#]],
    );
}

#[test]
fn a_request_that_fits_on_no_agent_is_refused_once_agents_are_known() {
    check(
        "submit J a:cpus:64 | shapes cpus:2;mem:8GiB cpus:1;mem:64GiB | submit K a:cpus:64 | explain J \
         | submit K a:cpus:2;mem:64GiB",
        expect![[r#"
            submit J a:cpus:64: 1 instances; want * 1.0*1
            submit K a:cpus:64: task `a` asks for cpus:64, and the largest agent has cpus:2;mem:8GiB
            explain J: 1 instance of `a` must wait for an offer with cpus:64;mem:1GiB: task `a` asks for cpus:64, and the largest agent has cpus:2;mem:8GiB.
            submit K a:cpus:2;mem:64GiB: task `a` asks for mem:64GiB, and the largest agent has cpus:2;mem:8GiB
        "#]],
    );
}

#[test]
fn a_wrong_job_is_refused_by_name_and_place() {
    check(
        "submit a/b a | submit J a.b | submit J a a | submit J a*0 | submit J a*1000001 | submit J a<x \
         | submit J a<c b<a c<b | submit J a<a | submit J a:cpus:0 | submit J a:mem:0 | submit J a p1001 \
         | submit J a r101 | submit J",
        expect![[r#"
            submit a/b a: job name `a/b` must be 1 to 63 letters, digits, `.`, `_` or `-`, and begin with a letter or digit
            submit J a.b: task name `a.b` must be 1 to 63 letters, digits, `_` or `-`
            submit J a a: task `a` is named twice
            submit J a*0: task `a` has a count of 0
            submit J a*1000001: 1000001 instances in one job, at most 1000000 are allowed
            submit J a<x: task `a` comes after `x`, which is not a task of the job
            submit J a<c b<a c<b: tasks come after each other in a cycle: a -> c -> b -> a
            submit J a<a: tasks come after each other in a cycle: a -> a
            submit J a:cpus:0: task `a` must ask for more than 0 cpus
            submit J a:mem:0: task `a` must ask for more than 0 mem
            submit J a p1001: priority 1001 is not between -1000 and 1000
            submit J a r101: task `a` has 101 retries, at most 100 are allowed
            submit J: job `J` has no tasks
        "#]],
    );
}
