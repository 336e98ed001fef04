//! A job that is checked and not submitted.

use expect_test::expect;

use super::world::{World, check, job};

#[test]
fn a_check_says_what_would_be_asked_for_and_takes_nothing_in() {
    check(
        "check J a*2 b<a c | check J a held | check R a ~every:10 | submit J a | check J a | check K a<b | cancel J | check J b*3 \
         | submit L c | check M a after:L | check M a after:X",
        expect![[r#"
            check J a*2 b<a c: 4 instances, would want 0*2 2*1
            check J a held: 1 instances, would want
            check R a ~every:10: 1 instances, would want
            submit J a: 1 instances; want * 1.0*1
            check J a: job `J` exists and has not ended; cancel it or choose another name
            check K a<b: task `a` comes after `b`, which is not a task of the job
            cancel J: want *
            check J b*3: 3 instances, would want 0*3
            submit L c: 1 instances; want * 2.0*1
            check M a after:L: 1 instances, would want
            check M a after:X: no job is named `X`, and none can come after it
        "#]],
    );
}

#[test]
fn a_check_changes_neither_scheduler_nor_store() {
    let mut world = World::new();
    let before = world.batch.clone();
    let now = world.now();
    world.batch.check(job(&["J", "a*2", "b<a"]), now).unwrap();
    assert_eq!(before, world.batch);
    let calls = world
        .run(|batch, cx| drop(batch.check(job(&["J", "a", "@other"]), cx.now())))
        .1;
    assert!(calls.is_empty() && world.store.is_empty());
}
