//! The worked example of the paper, and the rules of single offers.

use std::collections::BTreeSet;
use std::time::Duration;

use expect_test::expect;
use proffer_allocator::{Counted, Reason};
use proffer_types::Timestamp;

use crate::bench::{Bench, framework, resources};

#[test]
fn the_worked_example_of_the_paper_comes_out() {
    let mut bench = Bench::new("drf");
    bench.add_agent("agent", "cpus:9;mem:18GB");
    bench.add_framework("B", "*");
    bench.add_framework("A", "*");
    let mut picks = String::new();
    let mut declined = BTreeSet::new();
    while declined.len() < 2 {
        let offers = bench.round();
        let [offer] = offers.as_slice() else {
            panic!("one agent, one offer: {offers:?}")
        };
        let name = offer.grant.framework_id.to_string();
        let task = resources(if name == "A" {
            "cpus:1;mem:4GB"
        } else {
            "cpus:3;mem:1GB"
        });
        if offer.grant.resources.contains(&task) {
            bench.accept(offer, &task);
            picks += &name;
            declined.clear();
        } else {
            bench.decline(offer, Duration::ZERO);
            declined.insert(name);
        }
    }
    assert_eq!(picks, "BAABA");
}

#[test]
fn a_single_framework_is_offered_every_agent_whole() {
    let mut bench = Bench::new("drf");
    bench.add_framework("F", "*");
    for (name, total) in [("a1", "cpus:4;mem:8GiB"), ("a2", "cpus:2;mem:2GiB;ports:[1-9]")] {
        bench.add_agent(name, total);
    }
    let mut offers: Vec<_> = bench.round().into_iter().map(|offer| offer.grant).collect();
    offers.sort_by(|a, b| a.agent_id.cmp(&b.agent_id));
    let offers: Vec<_> = offers
        .iter()
        .map(|g| format!("{} {}", g.agent_id, g.resources))
        .collect();
    expect![[r#"
        [
            "a1 cpus:4;mem:8GiB",
            "a2 cpus:2;mem:2GiB;ports:[1-9]",
        ]
    "#]]
    .assert_debug_eq(&offers);
    assert!(bench.round().is_empty(), "what is offered is not offered again");
}

#[test]
fn a_declined_agent_is_not_offered_again_before_the_filter_expires() {
    let mut bench = Bench::new("drf");
    bench.add_framework("F", "*");
    bench.add_agent("a", "cpus:4;mem:8GiB");
    let offer = bench.round().remove(0);
    bench.decline(&offer, Duration::from_secs(5));
    let (offers, outcome) = bench.round_of(10);
    assert!(offers.is_empty());
    assert_eq!(outcome.next, Some(Timestamp(5000)));
    bench.now = Timestamp(4999);
    assert!(bench.round().is_empty());
    bench.now = Timestamp(5000);
    assert_eq!(bench.round().len(), 1);
}

#[test]
fn one_more_unit_of_anything_defeats_a_filter() {
    for (task, is_offered) in [("cpus:0.001", true), ("ports:[5-5]", true)] {
        let mut bench = Bench::new("drf");
        bench.add_framework("F", "*");
        bench.add_agent("a", "cpus:4;mem:8GiB;ports:[1-9]");
        let offer = bench.round().remove(0);
        let task = bench.accept(&offer, &resources(task));
        let rest = bench.round().remove(0);
        bench.decline(&rest, Duration::from_secs(60));
        assert!(bench.round().is_empty());
        bench.end(&task);
        assert_eq!(!bench.round().is_empty(), is_offered);
    }
}

#[test]
fn a_crumb_is_not_offered() {
    for (left, is_offered) in [
        ("cpus:0.009;mem:31MiB", false),
        ("cpus:0.01;mem:1MiB", true),
        ("mem:32MiB", true),
    ] {
        let mut bench = Bench::new("drf");
        bench.add_framework("F", "*");
        bench.add_agent("a", left);
        assert_eq!(!bench.round().is_empty(), is_offered, "{left}");
    }
}

#[test]
fn a_framework_that_is_passed_over_hears_why() {
    let mut bench = Bench::new("drf");
    bench.add_framework("first", "*");
    bench.add_framework("second", "*");
    let why = |bench: &Bench, name| -> Vec<(Reason, u64)> {
        let reasons = bench.explain(name).into_iter();
        reasons.map(|Counted { what, count }| (what, count)).collect()
    };
    assert_eq!(why(&bench, "first"), [(Reason::NoAgents, 1)]);
    bench.add_agent("a", "cpus:4;mem:8GiB");
    let offer = bench.round().remove(0);
    assert_eq!(offer.grant.framework_id, framework("first"));
    assert_eq!(why(&bench, "first"), []);
    assert_eq!(why(&bench, "second"), [(Reason::LowerShareFirst, 1)]);
    bench.decline(&offer, Duration::from_secs(60));
    assert_eq!(bench.round()[0].grant.framework_id, framework("second"));
    assert_eq!(why(&bench, "second"), []);
    assert_eq!(why(&bench, "first"), [(Reason::LowerShareFirst, 1)]);
}

#[test]
fn a_spent_budget_is_taken_up_where_it_ended() {
    let mut bench = Bench::new("drf");
    bench.add_framework("F", "*");
    for nth in 0..10 {
        bench.add_agent(&format!("a{nth}"), "cpus:1;mem:1GiB");
    }
    let (mut n_offers, mut rounds) = (0, 0);
    loop {
        let (offers, outcome) = bench.round_of(3);
        (n_offers, rounds) = (n_offers + offers.len(), rounds + 1);
        if !outcome.more {
            break;
        }
    }
    assert_eq!((n_offers, rounds), (10, 4));
}

#[test]
fn an_unknown_allocator_is_refused_with_the_names_there_are() {
    let error = proffer_allocator::by_name("lottery").unwrap_err();
    assert_eq!(error.to_string(), "no allocator `lottery`; there are drf, fifo");
}
