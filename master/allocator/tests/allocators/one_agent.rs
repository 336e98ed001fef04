//! Shapes for which only one agent will do: nothing else is offered for them, or looked at.

use proffer_allocator::{ClaimIx, Reason, explain};
use proffer_types::{Backfill, Demand, Shape};

use crate::bench::{Bench, agent, framework, resources, shape};

/// So many tasks on one agent.
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

/// The cpus of suspended tasks on `a1`.
fn resumption(id: u64, count: u32) -> Shape {
    Shape {
        resumes: true,
        ..cpus_on(id, "a1", "cpus:1", count)
    }
}

/// On an agent of four cores run a task of one core of others and one of F's. What G wants is all four: they are held for it.
fn held() -> (Bench, ClaimIx) {
    let mut bench = Bench::new("drf");
    bench.add_agent("a1", "cpus:4;mem:4GiB");
    for name in ["others", "F"] {
        let role = if name == "F" { "*" } else { name };
        bench.join(name, role);
        bench.want(name, role, vec![shape(1, "cpus:1;mem:512MiB", 1)]);
    }
    let tasks: Vec<_> = bench
        .round()
        .iter()
        .map(|offer| (offer.framework.clone(), bench.accept_all(offer)))
        .collect();
    let mut of_f = tasks.iter().filter(|(owner, _)| *owner == framework("F"));
    let task = of_f.next().unwrap().1;
    bench.join("G", "large");
    bench.want("G", "large", vec![shape(1, "cpus:4;mem:1GiB", 1)]);
    bench.round();
    bench.wait(crate::bench::HOLD_AFTER);
    bench.round();
    assert_eq!(bench.ledger.holds().count(), 1);
    (bench, task)
}

#[test]
fn a_hold_keeps_no_suspended_task_from_its_cpus_and_from_no_more_than_them() {
    let (mut bench, task) = held();
    bench.suspend(task);
    want(&mut bench, Backfill::Any, &[cpus_on(1, "a1", "cpus:1", 1)]);
    assert!(bench.round().is_empty(), "it does not say that it resumes");
    want(&mut bench, Backfill::Any, &[resumption(2, 3)]);
    let offers = bench.round();
    assert_eq!(offers.len(), 1);
    assert_eq!(
        offers[0].resources,
        resources("cpus:1"),
        "three are free, one was given up"
    );
    want(&mut bench, Backfill::Any, &[resumption(3, 1)]);
    assert!(bench.round().is_empty(), "that is on its way");
    bench.end(offers[0].claim);
    let offers = bench.round();
    assert_eq!(offers.len(), 1, "it was not taken");
    bench.end(offers[0].claim);
    let change = bench.ledger.resume(task);
    bench.observe(change);
    assert!(bench.round().is_empty(), "it has its cpus");
}

#[test]
fn who_says_that_it_resumes_where_nothing_of_it_is_suspended_waits_as_any_other() {
    let (mut bench, task) = held();
    want(&mut bench, Backfill::Any, &[resumption(2, 1)]);
    assert!(bench.round().is_empty(), "its task runs");
    want(&mut bench, Backfill::Any, &[]);
    bench.suspend(task);
    bench.join("E", "others");
    bench.want("E", "others", vec![resumption(2, 1)]);
    assert!(bench.round().is_empty(), "that is of another framework");
    let told = explain(&bench.ledger, &framework("E"), bench.now);
    let reasons: Vec<_> = told.parts[0].reasons.iter().map(|of| &of.reason).collect();
    assert!(
        matches!(reasons[..], [Reason::HeldFor(holder, _)] if *holder == framework("G")),
        "{reasons:?}"
    );
    bench.leave("G");
    assert_eq!(
        bench.round().len(),
        1,
        "where nothing is held it is offered what is free"
    );
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
