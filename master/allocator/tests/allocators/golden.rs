//! The worked examples of the papers, and the rules of single offers.

use std::time::Duration;

use proffer_allocator::{RoleConfig, Share};
use proffer_types::{Ranges, ResourceName, Timestamp};

use crate::bench::{Bench, Offer, framework, resources, shape};

const A_TASK: &str = "cpus:1;mem:4GB";
const B_TASK: &str = "cpus:3;mem:1GB";

/// Tasks of a size, without end.
fn endless(each: &str) -> Vec<proffer_types::Shape> {
    vec![shape(0, each, 1_000_000)]
}

fn n_tasks(bench: &Bench, name: &str) -> u32 {
    let leaf = bench.ledger.leaves_of(&framework(name)).next().unwrap().1;
    let claims = bench.ledger.claims().filter(|(_, claim)| claim.leaf == leaf);
    claims
        .map(|(_, claim)| {
            claim
                .shapes
                .iter()
                .map(|(_, n)| n)
                .sum::<u32>()
                .max(u32::from(claim.shapes.is_empty()))
        })
        .sum()
}

/// The largest part of anything that a framework has.
fn share(bench: &Bench, name: &str) -> Share {
    bench.ledger.share(&framework(name))
}

#[test]
fn the_worked_example_of_the_paper_comes_out_in_one_round_of_stated_demand() {
    let mut bench = Bench::new("drf");
    bench.add_agent("agent", "cpus:9;mem:18GB");
    bench.join("B", "*");
    bench.join("A", "*");
    bench.want("A", "*", endless(A_TASK));
    bench.want("B", "*", endless(B_TASK));
    bench.round();
    assert_eq!(bench.picked().concat(), "BAABA");
    assert_eq!((n_tasks(&bench, "A"), n_tasks(&bench, "B")), (3, 2));
    let two_thirds = Share::of(2, 3, 1000);
    assert_eq!((share(&bench, "A"), share(&bench, "B")), (two_thirds, two_thirds));
    assert_eq!(bench.ledger.free().get(&ResourceName::Cpus), 0);
    assert_eq!(bench.ledger.free().get(&ResourceName::Mem), 4_000_000_000);
}

#[test]
fn the_worked_example_of_the_paper_comes_out_without_demand() {
    let mut bench = Bench::new("drf");
    bench.add_agent("agent", "cpus:9;mem:18GB");
    bench.join("B", "*");
    bench.join("A", "*");
    let (mut picks, mut n_declined) = (String::new(), 0);
    while n_declined < 2 {
        let offers = bench.round();
        let [offer] = offers.as_slice() else {
            panic!("one agent, one offer: {offers:?}")
        };
        let task = resources(if offer.framework.as_str() == "A" {
            A_TASK
        } else {
            B_TASK
        });
        if offer.resources.contains(&task) {
            bench.accept(offer, &task);
            picks += offer.framework.as_str();
        } else {
            bench.decline(offer, Duration::from_secs(3600));
            n_declined += 1;
        }
    }
    assert_eq!(picks, "BAABA");
}

#[test]
fn weighted_shares_are_equal_over_their_weights() {
    let mut bench = Bench::new("drf");
    bench.add_agent("agent", "cpus:45;mem:90GB");
    bench.weigh("heavy", 2000);
    bench.join("A", "light");
    bench.join("B", "heavy");
    bench.want("A", "light", endless(A_TASK));
    bench.want("B", "heavy", endless(B_TASK));
    bench.round();
    // x tasks of A, y of B: 3y / 45 = 2 * 4x / 90 and x + 3y = 45 give y = 4x / 3 and 5x = 45.
    assert_eq!((n_tasks(&bench, "A"), n_tasks(&bench, "B")), (9, 12));
}

#[test]
fn a_weight_of_a_thousandth_still_gets_its_thousandth() {
    let mut bench = Bench::new("drf");
    bench.add_agent("a", "cpus:1001;mem:2000GiB");
    bench.weigh("dust", 1);
    for name in ["dust", "full"] {
        bench.join(name, name);
        bench.want(name, name, endless("cpus:1;mem:1GiB"));
    }
    bench.round();
    assert_eq!((n_tasks(&bench, "dust"), n_tasks(&bench, "full")), (1, 1000));
}

#[test]
fn a_higher_priority_goes_first_whatever_it_has_and_equals_share() {
    let mut bench = Bench::new("priority");
    bench.add_agent("a", "cpus:10;mem:20GiB");
    let urgent = RoleConfig {
        priority: 1,
        ..RoleConfig::default()
    };
    bench.configure("urgent", urgent);
    for (name, role, n) in [("x", "other", 100), ("y", "others", 100), ("u", "urgent", 6)] {
        bench.join(name, role);
        bench.want(name, role, vec![shape(0, "cpus:1;mem:1GiB", n)]);
    }
    bench.round();
    assert_eq!(["u", "x", "y"].map(|name| n_tasks(&bench, name)), [6, 2, 2]);
}

#[test]
fn first_come_first_served_starves_everybody_else() {
    let mut bench = Bench::new("fifo");
    bench.add_agent("a", "cpus:10;mem:10GiB");
    for name in ["second", "first"] {
        bench.join(name, name);
    }
    for name in ["first", "second"] {
        bench.want(name, name, endless("cpus:1;mem:1GiB"));
    }
    bench.round();
    assert_eq!((n_tasks(&bench, "second"), n_tasks(&bench, "first")), (10, 0));
}

#[test]
fn lots_are_drawn_by_weight() {
    let mut bench = Bench::new("random");
    bench.add_agent("a", "cpus:4000;mem:4000GiB");
    bench.weigh("heavy", 3000);
    for name in ["heavy", "light"] {
        bench.join(name, name);
        bench.want(name, name, endless("cpus:1;mem:1GiB"));
    }
    bench.round();
    // A fair coin of 1:3 strays from 1000 by more than five standard deviations (27) once in a million.
    let light = n_tasks(&bench, "light");
    assert!((860..=1140).contains(&light), "{light} of 4000");
}

#[test]
fn lots_are_drawn_where_only_demand_changed() {
    let mut bench = Bench::new("random");
    bench.add_agent("a", "cpus:1000;mem:1000GiB");
    for name in ["one", "other"] {
        bench.join(name, name);
        bench.want(name, name, Vec::new());
    }
    // Nobody wants anything: everything was looked at.
    assert!(bench.round().is_empty());
    for name in ["one", "other"] {
        bench.want(name, name, endless("cpus:1;mem:1GiB"));
    }
    bench.round();
    let one = n_tasks(&bench, "one");
    assert!((400..=600).contains(&one), "{one} of 1000");
}

#[test]
fn a_single_framework_is_offered_every_agent_whole() {
    let mut bench = Bench::new("drf");
    bench.join("F", "*");
    bench.add_agent("a1", "cpus:4;mem:8GiB");
    bench.add_agent("a2", "cpus:2;mem:2GiB;ports:[1-9]");
    let offers: Vec<_> = bench.round();
    let mut offers: Vec<_> = offers
        .iter()
        .map(|one| (one.agent.as_str(), &one.resources))
        .collect();
    offers.sort();
    let whole = [
        ("a1", resources("cpus:4;mem:8GiB")),
        ("a2", resources("cpus:2;mem:2GiB;ports:[1-9]")),
    ];
    assert_eq!(offers, whole.each_ref().map(|(agent, all)| (*agent, all)));
    assert!(bench.round().is_empty(), "what is offered is not offered again");
}

#[test]
fn a_declined_agent_is_not_offered_again_before_the_filter_expires() {
    for allocator in proffer_allocator::names() {
        let mut bench = Bench::new(allocator);
        bench.join("F", "*");
        bench.add_agent("a", "cpus:4;mem:8GiB");
        let offer = bench.round().remove(0);
        bench.decline(&offer, Duration::from_secs(5));
        assert!(bench.round().is_empty());
        bench.wait(Duration::from_millis(4999));
        assert!(bench.round().is_empty());
        bench.wait(Duration::from_millis(1));
        assert_eq!(bench.now, Timestamp(5000));
        assert_eq!(bench.round().len(), 1);
    }
}

#[test]
fn a_refusal_of_one_task_is_no_refusal_of_two() {
    let mut bench = Bench::new("drf");
    bench.join("F", "*");
    bench.add_agent("a", "cpus:4;mem:8GiB");
    bench.want("F", "*", vec![shape(0, "cpus:1;mem:1GiB", 1)]);
    let offer = bench.round().remove(0);
    bench.decline(&offer, Duration::from_secs(60));
    assert!(bench.round().is_empty());
    bench.want("F", "*", vec![shape(0, "cpus:1;mem:1GiB", 2)]);
    let offers: Vec<Offer> = bench.round();
    assert_eq!(offers[0].shapes, [(proffer_types::ShapeId(0), 2)]);
}

#[test]
fn reserved_ports_of_others_are_not_given_to_a_shape() {
    let mut bench = Bench::new("drf");
    bench.join("F", "eng");
    bench.add_agent(
        "a",
        "cpus:4;mem:8GiB;ports(ops):[1-4];ports(eng):[5-6];ports:[7-8]",
    );
    let shapes = vec![proffer_types::Shape {
        n_ports: 1,
        ..shape(0, "cpus:1;mem:1GiB", 10)
    }];
    bench.want("F", "eng", shapes);
    let offer = bench.round().remove(0);
    let ports = offer.resources.ranges(&ResourceName::Ports).unwrap();
    assert_eq!(*ports, Ranges::new([(5, 8)]));
}

#[test]
fn a_crumb_is_not_offered() {
    for (left, is_offered) in [
        ("cpus:0.009;mem:31MiB", false),
        ("cpus:0.01;mem:1MiB", true),
        ("mem:32MiB", true),
    ] {
        let mut bench = Bench::new("drf");
        bench.join("F", "*");
        bench.add_agent("a", left);
        assert_eq!(!bench.round().is_empty(), is_offered, "{left}");
    }
}

#[test]
fn a_spent_budget_is_taken_up_where_it_ended() {
    let mut bench = Bench::new("drf");
    bench.join("F", "*");
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
    assert_eq!(
        error.to_string(),
        "no allocator `lottery`; there are drf, random, fifo, priority"
    );
}
