//! Jobs that wait for the end of others.

use expect_test::expect;

use super::world::{World, check, job};
use crate::JobState;

#[test]
fn a_job_starts_when_all_that_it_waits_for_has_happened() {
    check(
        "submit A a | submit B a | submit C a after:A after:B~ | explain C | crash | offer O1 cpus:4;mem:8GiB | A-1.a.0 FINISHED \
         | explain C | crash | explain C | B-2.a.0 FAILED | show C | crash | offer O2 cpus:1;mem:8GiB | C-3.a.0 FINISHED | show C",
        expect![[r#"
            submit A a: 1 instances; want * 1.0*1
            submit B a: 1 instances; want * 1.0*1 2.0*1
            submit C a after:A after:B~: 1 instances; want * 1.0*1 2.0*1
            explain C: job `C` must come after other jobs: `A` (its success), `B` (its end). / 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: other jobs must end first.
            crash: want * 1.0*1 2.0*1
            offer O1 cpus:4;mem:8GiB: accept O1 A-1.a.0 B-2.a.0 0ns; want *
            A-1.a.0 FINISHED: want *
            explain C: job `C` must come after other jobs: `B` (its end). / 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: other jobs must end first.
            crash: want *
            explain C: job `C` must come after other jobs: `B` (its end). / 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: other jobs must end first.
            B-2.a.0 FAILED: want * 3.0*1
            show C: Pending a.0:Waiting
            crash: want * 3.0*1
            offer O2 cpus:1;mem:8GiB: accept O2 C-3.a.0 0ns; want *
            show C: Finished a.0:Finished
        "#]],
    );
}

#[test]
fn what_can_never_start_is_cancelled_and_so_is_what_waits_for_it() {
    check(
        "submit A a | submit B a after:A | submit C a after:B | submit D a after:B? | submit E a after:B~ | submit F a after:A? \
         | offer O1 cpus:1;mem:8GiB | A-1.a.0 FAILED | explain B | explain C | explain D | show E | show F | crash | explain C | show E",
        expect![[r#"
            submit A a: 1 instances; want * 1.0*1
            submit B a after:A: 1 instances; want * 1.0*1
            submit C a after:B: 1 instances; want * 1.0*1
            submit D a after:B?: 1 instances; want * 1.0*1
            submit E a after:B~: 1 instances; want * 1.0*1
            submit F a after:A?: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 A-1.a.0 0ns; want *
            A-1.a.0 FAILED: want * 5.0*1 6.0*1
            explain B: job `B` was cancelled: `A` has failed, and the job was to run after its success.
            explain C: job `C` was cancelled: `B` was cancelled, and the job was to run after its success.
            explain D: job `D` was cancelled: `B` was cancelled, and the job was to run after its failure.
            show E: Pending a.0:Waiting
            show F: Pending a.0:Waiting
            crash: want * 5.0*1 6.0*1
            explain C: job `C` was cancelled: `B` was cancelled, and the job was to run after its success.
            show E: Pending a.0:Waiting
        "#]],
    );
}

#[test]
fn a_job_that_has_ended_counts_as_it_ended() {
    check(
        "submit A a | offer O1 cpus:1;mem:8GiB | A-1.a.0 FINISHED | submit B a after:A | show B | submit C a after:A? | explain C \
         | crash | explain C",
        expect![[r#"
            submit A a: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 A-1.a.0 0ns; want *
            submit B a after:A: 1 instances; want * 2.0*1
            show B: Pending a.0:Waiting
            submit C a after:A?: 1 instances; want * 2.0*1
            explain C: job `C` was cancelled: `A` has finished, and the job was to run after its failure.
            crash: want * 2.0*1
            explain C: job `C` was cancelled: `A` has finished, and the job was to run after its failure.
        "#]],
    );
}

#[test]
fn a_later_job_of_the_name_is_not_waited_for() {
    check(
        "submit A a | submit B a after:A~ | cancel A | show B | submit A a | submit A2 a after:A | submit A a after:A \
         | cancel A | explain A2",
        expect![[r#"
            submit A a: 1 instances; want * 1.0*1
            submit B a after:A~: 1 instances; want * 1.0*1
            cancel A: want * 2.0*1
            show B: Pending a.0:Waiting
            submit A a: 1 instances; want * 2.0*1 3.0*1
            submit A2 a after:A: 1 instances; want * 2.0*1 3.0*1
            submit A a after:A: job `A` exists and has not ended; cancel it or choose another name
            cancel A: want * 2.0*1
            explain A2: job `A2` was cancelled: `A` was cancelled, and the job was to run after its success.
        "#]],
    );
}

#[test]
fn only_what_ends_can_be_waited_for() {
    check(
        "submit B a after:A | submit R a ~every:100 | submit B a after:R | submit S a ~every:100 after:B | pass 1 \
         | submit B a after:R@19700101T000001Z | explain B | cancel R | explain B",
        expect![[r#"
            submit B a after:A: no job is named `A`, and none can come after it
            submit R a ~every:100: 1 instances
            submit B a after:R: job `R` recurs and never ends; a job may come after one of its runs
            submit S a ~every:100 after:B: job `S` recurs and cannot come after other jobs
            pass 1: want * 2.0*1
            submit B a after:R@19700101T000001Z: 1 instances; want * 2.0*1
            explain B: job `B` must come after other jobs: `R@19700101T000001Z` (its success). / 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB: other jobs must end first.
            cancel R: want *
            explain B: job `B` was cancelled: `R@19700101T000001Z` was cancelled, and the job was to run after its success.
        "#]],
    );
}

#[test]
fn a_job_that_is_requeued_waits_for_nothing_any_more() {
    check(
        "submit A a | submit B a after:A | cancel B | requeue B | show B | crash | offer O1 cpus:2;mem:8GiB | show B",
        expect![[r#"
            submit A a: 1 instances; want * 1.0*1
            submit B a after:A: 1 instances; want * 1.0*1
            cancel B: want * 1.0*1
            requeue B: 1 again; want * 1.0*1 2.0*1
            show B: Pending a.0:Waiting
            crash: want * 1.0*1 2.0*1
            offer O1 cpus:2;mem:8GiB: accept O1 A-1.a.0 B-2.a.0 0ns; want *
            show B: Running a.0:Running
        "#]],
    );
}

#[test]
fn a_long_chain_of_jobs_is_cancelled_with_its_first_one() {
    const N: usize = 5000;
    let mut world = World::new();
    for n in 0..N {
        let (name, after) = (format!("J{n}"), format!("after:J{}", n.saturating_sub(1)));
        let words = [&name[..], "a", &after[..]];
        let spec = job(&words[..if n == 0 { 2 } else { 3 }]);
        world.run(|batch, cx| batch.submit(spec, cx)).0.unwrap();
    }
    world.run(|batch, cx| batch.cancel("J0", cx)).0.unwrap();
    let list = world.batch.list();
    assert!(list.iter().all(|job| job.state == JobState::Cancelled));
    assert_eq!(list.last().unwrap().name, format!("J{}", N - 1));
    assert_eq!(world.recovered().list(), list);
}
