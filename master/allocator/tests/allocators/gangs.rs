//! Gangs: whole, in one round, or not at all.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_allocator::ClaimIx;
use proffer_types::{GangId, ResourceName, Shape};

use crate::bench::{Bench, HOLD_AFTER, Offer, quota, shape};

fn gang(id: u64, each: &str, count: u32) -> Shape {
    Shape {
        gang: Some(GangId(1)),
        ..shape(id, each, count)
    }
}

fn bench(agents: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::new("drf");
    for (name, total) in agents {
        bench.add_agent(name, total);
    }
    bench.join("F", "*");
    bench
}

#[test]
fn a_gang_that_does_not_fit_gets_nothing_until_all_of_it_does() {
    for allocator in proffer_allocator::names() {
        let mut bench = Bench::new(allocator);
        bench.add_agent("a1", "cpus:4;mem:8GiB");
        bench.join("F", "*");
        bench.want(
            "F",
            "*",
            vec![gang(0, "cpus:2;mem:1GiB", 3), gang(1, "cpus:1;mem:1GiB", 2)],
        );
        assert!(bench.round().is_empty(), "{allocator}: 8 cores are wanted");
        bench.add_agent("a2", "cpus:3;mem:8GiB");
        assert!(bench.round().is_empty(), "{allocator}: 7 are there");
        bench.add_agent("a3", "cpus:2;mem:8GiB");
        let offers = bench.round();
        let agents: BTreeSet<_> = offers.iter().map(|offer| offer.agent.as_str()).collect();
        assert_eq!(agents.len(), 3, "{allocator}");
        assert!(
            offers.iter().all(|offer| offer.gang == Some(GangId(1))),
            "{allocator}"
        );
    }
}

#[test]
fn a_gang_stated_anew_and_smaller_is_planned_anew() {
    let mut bench = bench(&[("a1", "cpus:4;mem:8GiB")]);
    bench.want("F", "*", vec![gang(0, "cpus:2;mem:1GiB", 3)]);
    assert!(bench.round().is_empty());
    bench.want("F", "*", vec![gang(0, "cpus:2;mem:1GiB", 2)]);
    assert_eq!(bench.round().len(), 1);
}

#[test]
fn a_gang_is_bound_by_quota_together_but_for_what_is_reserved() {
    let mut bench = Bench::new("drf");
    bench.add_agent("a1", "cpus:4;mem:8GiB;cpus(eng):2;mem(eng):8GiB");
    let (cpus, limit) = (proffer_types::ResourceName::Cpus, 4000);
    bench.set_quota("eng", crate::bench::quota("", &[(cpus, limit)]));
    bench.join("F", "eng/prod");
    bench.want("F", "eng/prod", vec![gang(0, "cpus:1;mem:1GiB", 5)]);
    assert!(
        bench.round().is_empty(),
        "2 are reserved, and 2 more are within the limit"
    );
    bench.want("F", "eng/prod", vec![gang(0, "cpus:1;mem:1GiB", 4)]);
    assert_eq!(bench.round()[0].shapes[0].1, 4);
}

#[test]
fn two_gangs_that_fit_one_at_a_time_do_not_hold_each_other_up() {
    let mut bench = bench(&[("a1", "cpus:4;mem:8GiB"), ("a2", "cpus:4;mem:8GiB")]);
    bench.join("G", "other");
    bench.want("F", "*", vec![gang(0, "cpus:2;mem:1GiB", 3)]);
    bench.want("G", "other", vec![gang(0, "cpus:2;mem:1GiB", 3)]);
    let offers = bench.round();
    let first: BTreeSet<_> = offers.iter().map(|offer| offer.framework.clone()).collect();
    assert_eq!(first.len(), 1, "one of them has all it wants, the other nothing");
    let tasks: Vec<_> = offers.iter().map(|offer| bench.accept_all(offer)).collect();
    assert!(bench.round().is_empty());
    tasks.into_iter().for_each(|task| bench.end(task));
    let offers = bench.round();
    let then: BTreeSet<_> = offers.iter().map(|offer| offer.framework.clone()).collect();
    assert_eq!(then.len(), 1);
    assert!(then.is_disjoint(&first), "then the other has");
}

#[test]
fn a_gang_that_waited_for_long_is_held_what_ends_although_small_tasks_come_without_end() {
    let mut bench = bench(&[("a1", "cpus:2;mem:8GiB"), ("a2", "cpus:2;mem:8GiB")]);
    let running = small_without_end(&mut bench);
    bench.want("F", "*", vec![gang(0, "cpus:2;mem:1GiB", 2)]);
    let started = first_gang_beside(&mut bench, running);
    assert_eq!(started.framework.as_str(), "F");
}

#[test]
fn a_gang_that_can_never_be_placed_does_not_keep_a_younger_one_of_its_role_waiting() {
    let mut bench = bench(&[("a1", "cpus:2;mem:8GiB"), ("a2", "cpus:2;mem:8GiB")]);
    let running = small_without_end(&mut bench);
    let younger = Shape {
        gang: Some(GangId(2)),
        ..gang(1, "cpus:2;mem:1GiB", 2)
    };
    bench.want("F", "*", vec![gang(0, "cpus:2;mem:1GiB", 3), younger]);
    let started = first_gang_beside(&mut bench, running);
    assert_eq!(started.gang, Some(GangId(2)));
}

#[test]
fn nothing_is_held_for_a_gang_that_quota_forbids() {
    let quotas = [
        ("eng", quota("", &[(ResourceName::Cpus, 3000)])),
        ("ads", quota("cpus:1", &[])),
    ];
    for (role, forbidding) in quotas {
        let mut bench = bench(&[("a1", "cpus:2;mem:8GiB"), ("a2", "cpus:2;mem:8GiB")]);
        bench.join("G", "eng");
        bench.set_quota(role, forbidding.clone());
        let mut running = small_without_end(&mut bench);
        bench.want("G", "eng", vec![gang(0, "cpus:2;mem:1GiB", 2)]);
        for _ in 0..3 {
            bench.wait(HOLD_AFTER);
            bench.end(running.remove(0));
            running.extend(bench.round().iter().map(|offer| bench.accept_all(offer)));
            assert_eq!(bench.ledger.holds().count(), 0, "{role}");
        }
        bench.set_quota(role, quota("", &[]));
        bench.wait(HOLD_AFTER);
        bench.round();
        assert_eq!(bench.ledger.holds().count(), 1, "{role}");
        bench.set_quota(role, forbidding);
        bench.round();
        assert_eq!(
            bench.ledger.holds().count(),
            0,
            "{role}: it has not been served yet"
        );
    }
}

#[test]
fn who_found_everything_held_for_another_is_next_as_soon_as_that_one_is_served() {
    let mut bench = bench(&[("a1", "cpus:2;mem:8GiB"), ("a2", "cpus:2;mem:8GiB")]);
    bench.join("G", "eng");
    let running = small_without_end(&mut bench);
    bench.want("F", "*", vec![gang(0, "cpus:2;mem:1GiB", 2)]);
    bench.want("G", "eng", vec![gang(0, "cpus:2;mem:1GiB", 2)]);
    bench.wait(HOLD_AFTER);
    bench.round();
    assert_eq!(holders(&bench), ["F"]);
    running.into_iter().for_each(|claim| bench.end(claim));
    assert_eq!(bench.round().len(), 2, "the gang of F");
    assert_eq!(holders(&bench), ["G"]);
}

pub(crate) fn holders(bench: &Bench) -> Vec<&str> {
    let holders = bench
        .ledger
        .holds()
        .filter_map(|(leaf, _)| bench.ledger.leaf(leaf));
    holders.map(|leaf| leaf.framework.as_str()).collect()
}

/// One framework that fills every agent with small tasks and wants more.
fn small_without_end(bench: &mut Bench) -> Vec<ClaimIx> {
    bench.join("small", "small");
    bench.want("small", "small", vec![shape(0, "cpus:1;mem:1GiB", 1_000_000)]);
    let offers = bench.round();
    offers.iter().map(|offer| bench.accept_all(offer)).collect()
}

/// Ends what runs, the oldest first, and starts what is offered, until a gang is.
fn first_gang_beside(bench: &mut Bench, mut running: Vec<ClaimIx>) -> Offer {
    let mut n_rounds = 0;
    loop {
        n_rounds += 1;
        assert!(n_rounds < 20, "the gang starves");
        bench.wait(Duration::from_secs(30));
        // Of all that run, the oldest ends.
        if !running.is_empty() {
            let oldest = running.remove(0);
            bench.end(oldest);
        }
        let offers = bench.round();
        if let Some(offer) = offers.iter().find(|offer| offer.gang.is_some()) {
            return offer.clone();
        }
        running.extend(offers.iter().map(|offer| bench.accept_all(offer)));
    }
}
