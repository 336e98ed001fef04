//! Shapes for which only one agent will do: nothing else is offered for them, or looked at.

use proffer_types::{Backfill, Demand, Shape};

use crate::bench::{Bench, agent, resources, shape};

/// So many cores of one agent and nothing else, as a suspended task wants them.
fn cpus_on(id: u64, on: &str, each: &str, count: u32) -> Shape {
    Shape {
        agent: Some(agent(on)),
        ..shape(id, each, count)
    }
}

fn bench() -> Bench {
    let mut bench = Bench::new("drf");
    for name in ["a1", "a2", "a3"] {
        bench.add_agent(name, "cpus:2;mem:2GiB");
    }
    bench.join("F", "*");
    want(&mut bench, Backfill::Any, &[]);
    bench
}

fn want(bench: &mut Bench, backfill: Backfill, shapes: &[Shape]) {
    let shapes = shapes.to_vec();
    bench.want("F", "*", Demand { shapes, backfill });
}

#[test]
fn it_is_offered_there_and_nowhere_else_with_nothing_but_what_it_asks_for() {
    let mut bench = bench();
    want(&mut bench, Backfill::Easy, &[cpus_on(1, "a2", "cpus:1", 3)]);
    let offers = bench.round();
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].agent, agent("a2"));
    assert_eq!(offers[0].resources, resources("cpus:2"), "two of three have room");
    let task = bench.accept_all(&offers[0]);
    assert!(bench.round().is_empty(), "the other agents will not do");
    bench.end(task);
    assert_eq!(bench.round()[0].resources, resources("cpus:1"));
}

#[test]
fn it_waits_for_an_agent_that_is_away_or_gone_and_keeps_nobody_else_waiting() {
    let mut bench = bench();
    let change = bench.ledger.set_agent_active(&agent("a2"), false);
    bench.observe(change);
    let first = [
        cpus_on(1, "a2", "cpus:1", 1),
        cpus_on(2, "gone", "cpus:1", 1),
        shape(3, "cpus:1;mem:1GiB", 1),
    ];
    want(&mut bench, Backfill::Easy, &first);
    let offers = bench.round();
    assert_eq!((offers.len(), offers[0].shapes[0].0.0), (1, 3));
    bench.wait(crate::bench::HOLD_AFTER * 2);
    assert!(bench.round().is_empty());
    assert_eq!(
        bench.ledger.holds().count(),
        0,
        "nothing is held elsewhere for it"
    );
    let change = bench.ledger.set_agent_active(&agent("a2"), true);
    bench.observe(change);
    let offers = bench.round();
    assert_eq!((offers.len(), &offers[0].agent), (1, &agent("a2")));
}

#[test]
fn what_ends_there_is_held_for_it_and_what_ends_elsewhere_is_not() {
    let mut bench = bench();
    bench.join("others", "others");
    let ends = bench.now.after(crate::bench::HOLD_AFTER * 10);
    bench.want("others", "others", vec![shape(1, "cpus:2;mem:1GiB", 3)]);
    for offer in bench.round() {
        bench.accept_until(&offer, ends);
    }
    want(&mut bench, Backfill::Easy, &[cpus_on(1, "a3", "cpus:2", 1)]);
    bench.round();
    bench.wait(crate::bench::HOLD_AFTER);
    bench.round();
    let held: Vec<_> = bench
        .ledger
        .holds()
        .flat_map(|(_, hold)| hold.agents.keys().copied())
        .collect();
    assert_eq!(held, [bench.ledger.agent_ix(&agent("a3")).unwrap()]);
}

#[test]
fn cpus_that_are_taken_back_are_not_kept_by_a_hold_and_what_wants_more_is() {
    let mut bench = bench();
    bench.join("others", "others");
    bench.want("others", "others", vec![shape(1, "cpus:1;mem:512MiB", 6)]);
    for offer in bench.round() {
        let task = resources("cpus:1;mem:512MiB");
        // One of two goes on: the rest comes back.
        bench.accept(&offer, &task);
    }
    bench.want("others", "others", vec![]);
    bench.join("G", "large");
    bench.want("G", "large", vec![shape(1, "cpus:2;mem:1GiB", 1)]);
    bench.round();
    bench.wait(crate::bench::HOLD_AFTER);
    bench.round();
    let hold = bench.ledger.holds().next().unwrap().1.clone();
    let held = *hold.agents.keys().next().unwrap();
    let on = bench.ledger.agent(held).unwrap().id.clone();
    let more = cpus_on(1, on.as_str(), "cpus:1;mem:32MiB", 1);
    want(&mut bench, Backfill::Any, &[more]);
    assert!(bench.round().is_empty());
    want(&mut bench, Backfill::Any, &[cpus_on(1, on.as_str(), "cpus:1", 1)]);
    assert_eq!(bench.round().len(), 1);
}

#[test]
fn a_change_of_one_agent_costs_as_little_as_the_shapes_that_are_for_it_however_many_are_for_others() {
    let mut bench = Bench::new("drf");
    let name = |n: u64| format!("a{n}");
    for n in 0..500 {
        bench.add_agent(&name(n), "cpus:1;mem:1GiB");
    }
    bench.join("F", "*");
    want(&mut bench, Backfill::Any, &[]);
    bench.join("others", "others");
    bench.want("others", "others", vec![shape(1, "cpus:1", 500)]);
    let running: Vec<_> = bench
        .round()
        .iter()
        .map(|offer| bench.accept_all(offer))
        .collect();
    let shapes: Vec<_> = (0..500).map(|n| cpus_on(n, &name(n), "cpus:1", 1)).collect();
    want(&mut bench, Backfill::Any, &shapes);
    assert!(bench.round().is_empty());
    bench.end(running[250]);
    let (offers, outcome) = bench.round_of(4);
    assert!(!outcome.more, "no more than four pairs are looked at");
    assert_eq!(offers.len(), 1);
}
