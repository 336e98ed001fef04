//! Holds end: what is waited for may never come.

use std::collections::VecDeque;
use std::time::Duration;

use proffer_allocator::ClaimIx;
use proffer_types::Timestamp;

use crate::bench::{Bench, HOLD_AFTER, shape};
use crate::gangs::holders;

const SECOND: Duration = Duration::from_secs(1);
/// The first hold for what ends nobody knows when.
const FIRST_HOLD: Duration = Duration::from_secs(50);

/// One agent of four cores. On it, somebody's tasks that never end, on so many of them.
fn bench(n_endless: u32) -> Bench {
    let mut bench = Bench::new("drf");
    bench.add_agent("a1", "cpus:4;mem:8GiB");
    if n_endless > 0 {
        bench.join("service", "service");
        bench.want("service", "service", vec![shape(0, "cpus:1;mem:1GiB", n_endless)]);
        let offers = bench.round();
        offers.iter().for_each(|offer| {
            bench.accept_all(offer);
        });
    }
    bench
}

/// A framework that wants the whole agent.
fn want_all(bench: &mut Bench, name: &str) {
    bench.join(name, "large");
    bench.want(name, "large", vec![shape(0, "cpus:4;mem:1GiB", 1)]);
}

/// A framework that runs small tasks, one after the other, without end.
struct Small {
    running: VecDeque<(Timestamp, ClaimIx)>,
    lasts: Duration,
}

impl Small {
    fn join(bench: &mut Bench, lasts: Duration) -> Self {
        bench.join("small", "small");
        bench.want("small", "small", vec![shape(0, "cpus:1;mem:1GiB", 1_000_000)]);
        Self {
            running: VecDeque::new(),
            lasts,
        }
    }

    /// A second passes: how many of its tasks start, and whether somebody else was offered something.
    fn second(&mut self, bench: &mut Bench) -> (usize, bool) {
        bench.wait(SECOND);
        while let Some((_, task)) = self
            .running
            .pop_front_if(|(since, _)| since.after(self.lasts) <= bench.now)
        {
            bench.end(task);
        }
        let (own, others): (Vec<_>, Vec<_>) = bench
            .round()
            .into_iter()
            .partition(|offer| offer.framework.as_str() == "small");
        for offer in &own {
            let task = bench.accept_all(offer);
            self.running.push_back((bench.now, task));
        }
        (own.len(), !others.is_empty())
    }
}

#[test]
fn behind_tasks_that_never_end_others_have_as_much_time_as_is_held() {
    let mut bench = bench(2);
    let mut small = Small::join(&mut bench, SECOND);
    want_all(&mut bench, "F");
    // How long it was held, and how long it was not, in turns; it begins with the wait.
    let mut turns = vec![0_u64];
    for _ in 0..2_000 {
        let (n_started, _) = small.second(&mut bench);
        let is_held = n_started == 0;
        if is_held == (turns.len() % 2 == 1) {
            turns.push(0);
        }
        *turns.last_mut().unwrap() += 1;
    }
    let whole: Vec<_> = turns[1..]
        .chunks_exact(2)
        .map(|turn| (turn[0], turn[1]))
        .collect();
    assert!(whole.len() >= 4, "{turns:?}");
    for (n, (held, free)) in whole.iter().enumerate() {
        assert!(free >= held, "{turns:?}");
        let longest = FIRST_HOLD.as_secs() << n;
        assert!(*held <= longest, "{turns:?}: {longest} s");
    }
}

#[test]
fn behind_tasks_that_end_at_last_the_large_one_gets_its_room() {
    let mut bench = bench(0);
    let mut small = Small::join(&mut bench, 10 * FIRST_HOLD);
    // They end one after the other, so that the agent is never empty by itself.
    for n in 0..4 {
        bench.want("small", "small", vec![shape(0, "cpus:1;mem:1GiB", 1)]);
        small.second(&mut bench);
        assert_eq!(small.running.len(), n + 1);
        bench.wait(2 * FIRST_HOLD);
    }
    bench.want("small", "small", vec![shape(0, "cpus:1;mem:1GiB", 1_000_000)]);
    want_all(&mut bench, "F");
    let waits = (0..10_000).find(|_| small.second(&mut bench).1);
    assert!(
        waits.is_some_and(|seconds| seconds < 3_000),
        "it waits for {waits:?} s"
    );
}

#[test]
fn what_ends_at_a_known_time_is_held_until_then_and_no_longer_than_it_takes_to_kill() {
    let mut bench = bench(0);
    bench.join("batch", "batch");
    bench.want("batch", "batch", vec![shape(0, "cpus:3;mem:1GiB", 1)]);
    let offers = bench.round();
    let ends_by = bench.now.after(20 * FIRST_HOLD);
    bench.accept_until(&offers[0], ends_by);
    want_all(&mut bench, "F");
    bench.round();
    bench.wait(HOLD_AFTER);
    bench.round();
    while bench.now < ends_by {
        assert_eq!(holders(&bench), ["F"]);
        bench.wait(SECOND);
        bench.round();
    }
    assert_eq!(holders(&bench), ["F"], "it may be being killed");
    bench.wait(HOLD_AFTER);
    bench.round();
    assert!(holders(&bench).is_empty());
}

#[test]
fn when_a_hold_was_in_vain_it_is_the_turn_of_the_next_in_the_role() {
    let mut bench = bench(1);
    for name in ["F", "G"] {
        want_all(&mut bench, name);
    }
    let mut turns: Vec<String> = Vec::new();
    for _ in 0..2_000 {
        bench.wait(SECOND);
        bench.round();
        if let [holder] = holders(&bench)[..]
            && turns.last().is_none_or(|last| last != holder)
        {
            turns.push(holder.to_owned());
        }
    }
    assert_eq!(turns[..4], ["F", "G", "F", "G"]);
}

#[test]
fn a_hold_in_vain_does_not_keep_an_agent_from_who_has_waited_longer_in_another_role() {
    for (first, second) in [("large", "other"), ("other", "large")] {
        let mut bench = bench(1);
        for (name, role) in [("F", first), ("G", second)] {
            bench.join(name, role);
            bench.want(name, role, vec![shape(0, "cpus:4;mem:1GiB", 1)]);
        }
        let mut turns: Vec<String> = Vec::new();
        for _ in 0..2_000 {
            bench.wait(SECOND);
            bench.round();
            if let [holder] = holders(&bench)[..]
                && turns.last().is_none_or(|last| last != holder)
            {
                turns.push(holder.to_owned());
            }
        }
        assert!(turns.len() >= 4, "{turns:?}");
    }
}

#[test]
fn who_wants_something_else_before_a_hold_is_over_has_not_the_agent_for_longer() {
    let mut bench = bench(1);
    want_all(&mut bench, "F");
    let (mut held, mut free) = (0, 0);
    for n in 0..1_000 {
        if n % 40 == 0 {
            bench.want("F", "large", vec![shape(n, "cpus:4;mem:1GiB", 1)]);
        }
        bench.wait(SECOND);
        bench.round();
        match holders(&bench)[..] {
            [] => free += 1,
            _ => held += 1,
        }
    }
    // The last hold may not be over.
    let held_before = held - 40;
    assert!(
        held_before > 0 && free >= held_before,
        "held for {held} s, free for {free}"
    );
}

#[test]
fn a_round_is_due_when_a_hold_is_over() {
    let mut bench = bench(2);
    want_all(&mut bench, "F");
    bench.round();
    bench.wait(HOLD_AFTER);
    let (_, outcome) = bench.round_of(crate::bench::BUDGET);
    assert_eq!(holders(&bench), ["F"]);
    assert_eq!(outcome.next, Some(bench.now.after(FIRST_HOLD)));
}
