//! Jobs that are held, and jobs that must have ended by then.

use expect_test::expect;

use super::world::check;

#[test]
fn a_held_job_starts_nothing_more_until_it_is_released() {
    check(
        "submit J a*2 b<a held | explain J | offer O1 cpus:1;mem:8GiB | release J | offer O2 cpus:1;mem:8GiB | hold J | crash \
         | offer O3 cpus:1;mem:8GiB | J-1.a.0 FINISHED | show J | release J | offer O4 cpus:1;mem:8GiB",
        expect![[r#"
            submit J a*2 b<a held: 3 instances; want *
            explain J: job `J` is held; nothing more of it is started before it is released. / 2 instances of `a` must wait for an offer with cpus:1;mem:1GiB: the job is held. / 1 instance of `b` must come after `a` (0 of 2 finished).
            offer O1 cpus:1;mem:8GiB: decline O1 0ns
            release J: want * 1.0*2
            offer O2 cpus:1;mem:8GiB: accept O2 J-1.a.0 0ns; want * 1.0*1
            hold J: want *
            crash: want *
            offer O3 cpus:1;mem:8GiB: decline O3 0ns
            show J: Running a.0:Finished a.1:Waiting b.0:Blocked
            release J: want * 1.0*1
            offer O4 cpus:1;mem:8GiB: accept O4 J-1.a.1 0ns; want *
        "#]],
    );
}

#[test]
fn what_cannot_be_held_is_said() {
    check(
        "hold J | submit J a | cancel J | hold J | submit R a ~every:10 | hold R | release X",
        expect![[r#"
            hold J: no job is named `J`
            submit J a: 1 instances; want * 1.0*1
            cancel J: want *
            hold J: job `J` has ended
            submit R a ~every:10: 1 instances
            hold R: job `R` recurs; pause it, or hold one of its runs
            release X: no job is named `X`
        "#]],
    );
}

#[test]
fn a_job_that_has_not_ended_by_its_deadline_has_failed() {
    check(
        "submit J a*2 b<a d60 | submit K a d60 | offer O1 cpus:1;mem:8GiB | pass 50 | crash | pass 9 | pass 2 | show J | show K \
         | J-1.a.0 KILLED | show J | explain J | crash | show J | explain K",
        expect![[r#"
            submit J a*2 b<a d60: 3 instances; want * 1.0*2
            submit K a d60: 1 instances; want * 1.0*2 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want * 1.0*1 2.0*1
            crash: want * 1.0*1 2.0*1
            pass 2: kill J-1.a.0; want * 2.0*1; want *
            show J: Running a.0:Running a.1:Cancelled b.0:Cancelled
            show K: Failed a.0:Cancelled
            show J: Failed a.0:Cancelled a.1:Cancelled b.0:Cancelled
            explain J: job `J` has failed: its deadline had passed.
            crash: want *
            show J: Failed a.0:Cancelled a.1:Cancelled b.0:Cancelled
            explain K: job `K` has failed: its deadline had passed.
        "#]],
    );
}

#[test]
fn a_job_that_ended_in_time_is_left_alone() {
    check(
        "submit J a d60 | offer O1 cpus:1;mem:8GiB | pass 59 | J-1.a.0 FINISHED | pass 10 | show J",
        expect![[r#"
            submit J a d60: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            show J: Finished a.0:Finished
        "#]],
    );
}
