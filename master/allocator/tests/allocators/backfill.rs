//! What may go before the first that waits, and whose turn it is.

use std::time::Duration;

use proffer_types::{Backfill, Demand, Shape};

use crate::bench::{Bench, Offer, shape};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Two agents of four cores. On each runs a task of two cores, for two minutes on `a1` and for four on `a2`.
fn busy() -> Bench {
    let mut bench = Bench::new("drf");
    for (agent, minutes) in [("a1", 2), ("a2", 4)] {
        bench.add_agent(agent, "cpus:4;mem:8GiB");
        bench.join("others", "others");
        bench.want("others", "others", vec![shape(minutes, "cpus:2;mem:1GiB", 1)]);
        let ends = bench.now.after(MINUTE * u32::try_from(minutes).unwrap());
        for offer in bench.round() {
            bench.accept_until(&offer, ends);
        }
    }
    bench.want("others", "others", vec![]);
    bench.join("F", "*");
    bench
}

fn limited(shape: Shape, limit: Duration) -> Shape {
    Shape {
        time_limit: Some(limit),
        ..shape
    }
}

fn want(bench: &mut Bench, backfill: Backfill, shapes: &[Shape]) {
    let shapes = shapes.to_vec();
    bench.want("F", "*", Demand { shapes, backfill });
}

/// `<agent>:<shape>` of each offer.
fn placed(offers: &[Offer]) -> Vec<String> {
    let of = |offer: &Offer| {
        let shapes = offer.shapes.iter();
        let shapes: Vec<_> = shapes.map(|(shape, n)| format!("{}*{n}", shape.0)).collect();
        format!("{}:{}", offer.agent.as_str(), shapes.join(","))
    };
    let mut placed: Vec<_> = offers.iter().map(of).collect();
    placed.sort();
    placed
}

#[test]
fn where_nothing_may_go_before_it_the_first_blocks_all_others_until_it_has_all() {
    let mut bench = busy();
    let (first, next) = (shape(0, "cpus:4;mem:1GiB", 1), shape(1, "cpus:1;mem:1GiB", 1));
    want(&mut bench, Backfill::None, &[first.clone(), next.clone()]);
    assert_eq!(placed(&bench.round()), [""; 0]);
    want(&mut bench, Backfill::None, &[next, first]);
    assert_eq!(
        placed(&bench.round()),
        ["a1:1*1"],
        "the second is the one that waits now"
    );
}

#[test]
fn what_ends_soonest_is_held_for_the_first_and_others_go_before_it_if_they_are_over_by_then() {
    let mut bench = busy();
    let first = limited(shape(0, "cpus:4;mem:1GiB", 1), 10 * MINUTE);
    let long = limited(shape(1, "cpus:2;mem:1GiB", 2), 3 * MINUTE);
    let short = limited(shape(2, "cpus:1;mem:1GiB", 2), MINUTE);
    want(&mut bench, Backfill::Easy, std::slice::from_ref(&first));
    assert!(bench.round().is_empty());
    bench.wait(SECOND);
    assert!(bench.round().is_empty());
    assert_eq!(
        bench.ledger.holds().count(),
        1,
        "on a1, where there is room first"
    );
    want(&mut bench, Backfill::Easy, &[first, long, short]);
    assert_eq!(
        placed(&bench.round()),
        ["a1:2*2", "a2:1*1"],
        "the long one would be in the way on a1"
    );
}

#[test]
fn what_will_be_free_beside_the_first_is_anybodys_for_however_long() {
    let mut bench = busy();
    let first = limited(shape(0, "cpus:3;mem:1GiB", 1), 10 * MINUTE);
    want(&mut bench, Backfill::Easy, std::slice::from_ref(&first));
    bench.round();
    bench.wait(SECOND);
    bench.round();
    // Of the two cores that are free on a1 now, two will be given back there in time: one is to spare.
    let endless = shape(1, "cpus:1;mem:1GiB", 9);
    want(&mut bench, Backfill::Easy, &[first, endless]);
    assert_eq!(placed(&bench.round()), ["a1:1*1", "a2:1*2"]);
}

/// So long does the first, which is large, wait before the longest task ends.
fn one_ends_before_its_limit(waits: Duration) {
    let mut bench = Bench::new("drf");
    bench.add_agent("a1", "cpus:6;mem:8GiB");
    for (name, size, minutes) in [("long", "cpus:3;mem:1GiB", 10), ("short", "cpus:2;mem:1GiB", 2)] {
        bench.join(name, name);
        bench.want(name, name, vec![shape(0, size, 1)]);
        let ends = bench.now.after(MINUTE * minutes);
        for offer in bench.round() {
            bench.accept_until(&offer, ends);
        }
        bench.want(name, name, vec![]);
    }
    bench.join("F", "*");
    let first = limited(shape(0, "cpus:6;mem:1GiB", 1), 10 * MINUTE);
    want(&mut bench, Backfill::Easy, std::slice::from_ref(&first));
    bench.round();
    bench.wait(waits);
    bench.round();
    bench.end_of("long", "a1");
    // It would be over before the long one had to be, and not before the short one has to.
    let between = limited(shape(1, "cpus:1;mem:1GiB", 9), 5 * MINUTE);
    want(&mut bench, Backfill::Easy, &[first, between]);
    assert_eq!(placed(&bench.round()), [""; 0]);
}

#[test]
fn what_ends_before_its_limit_leaves_others_less_time_before_the_first() {
    one_ends_before_its_limit(SECOND);
    one_ends_before_its_limit(crate::bench::HOLD_AFTER);
}

#[test]
fn each_task_of_an_offer_ends_by_itself_when_what_is_free_soonest_is_held() {
    let mut bench = Bench::new("drf");
    bench.add_agent("a1", "cpus:10;mem:20GiB");
    bench.join("others", "others");
    bench.want("others", "others", vec![shape(0, "cpus:10;mem:1GiB", 1)]);
    let ends = bench.now.after(MINUTE);
    for offer in bench.round() {
        bench.accept_until(&offer, ends);
    }
    bench.want("others", "others", vec![]);
    bench.join("F", "*");
    let of = |id, each, count, minutes| limited(shape(id, each, count), MINUTE * minutes);
    // Once the others are gone, there is room for the first two, in one offer. Of its three cores two are back after five minutes.
    let wanted = [
        of(1, "cpus:2;mem:1GiB", 1, 5),
        of(2, "cpus:1;mem:1GiB", 1, 60),
        of(3, "cpus:8;mem:1GiB", 1, 10),
        of(4, "cpus:1;mem:1GiB", 9, 30),
        of(5, "cpus:1;mem:1GiB", 9, 4),
    ];
    want(&mut bench, Backfill::Easy, &wanted);
    bench.round();
    bench.wait(SECOND);
    bench.round();
    bench.end_of("others", "a1");
    assert_eq!(
        placed(&bench.round()),
        ["a1:1*1,2*1,4*1,5*6"],
        "one core is to spare beside the third, and six are until then"
    );
}

#[test]
fn the_first_gets_its_room_when_it_was_to_be_there_whatever_went_before() {
    let mut bench = busy();
    let first = limited(shape(0, "cpus:4;mem:1GiB", 1), 10 * MINUTE);
    let short = limited(shape(1, "cpus:1;mem:1GiB", 100), 30 * SECOND);
    want(&mut bench, Backfill::Easy, &[first, short]);
    let start = bench.now;
    let mut running = Vec::new();
    loop {
        let offers = bench.round();
        if offers.iter().any(|offer| offer.shapes[0].0.0 == 0) {
            break;
        }
        let ends = bench.now.after(30 * SECOND);
        running.extend(offers.iter().map(|offer| (ends, bench.accept_until(offer, ends))));
        bench.wait(SECOND);
        let (over, open): (Vec<_>, _) = running.into_iter().partition(|(ends, _)| *ends <= bench.now);
        running = open;
        over.into_iter().for_each(|(_, task)| bench.end(task));
        if bench.now == start.after(2 * MINUTE) {
            bench.end_of("others", "a1");
        }
        assert!(
            bench.now <= start.after(2 * MINUTE),
            "it waits for longer than what ran before it"
        );
    }
    assert_eq!(bench.now, start.after(2 * MINUTE));
}

#[test]
fn nothing_is_held_at_once_where_nobody_knows_when_there_is_room() {
    let mut bench = Bench::new("drf");
    bench.add_agent("a1", "cpus:4;mem:8GiB");
    bench.join("others", "others");
    bench.want("others", "others", vec![shape(0, "cpus:2;mem:1GiB", 1)]);
    for offer in bench.round() {
        bench.accept_all(&offer);
    }
    bench.join("F", "*");
    want(&mut bench, Backfill::Easy, &[shape(0, "cpus:3;mem:1GiB", 1)]);
    bench.round();
    bench.wait(2 * SECOND);
    let (_, outcome) = bench.round_of(1000);
    assert_eq!(bench.ledger.holds().count(), 0);
    assert_eq!(
        outcome.next,
        Some(bench.now.after(SECOND)),
        "it is looked at again"
    );
}

#[test]
fn flows_are_served_in_turn_and_each_as_stated() {
    let mut bench = Bench::new("drf");
    bench.add_agent("a1", "cpus:7;mem:8GiB");
    bench.join("F", "*");
    let of = |flow, id, count| Shape {
        flow,
        ..shape(id, "cpus:1;mem:1GiB", count)
    };
    let shapes = [of(1, 0, 2), of(1, 1, 100), of(2, 2, 100), of(3, 3, 1)];
    want(&mut bench, Backfill::Any, &shapes);
    assert_eq!(placed(&bench.round()), ["a1:0*2,2*3,3*1,1*1"]);
}

/// One agent of five cores: two are free in two minutes, the other three now.
fn one_agent() -> Bench {
    let mut bench = Bench::new("drf");
    bench.add_agent("a1", "cpus:5;mem:8GiB");
    bench.join("others", "others");
    bench.want("others", "others", vec![shape(0, "cpus:2;mem:1GiB", 1)]);
    for offer in bench.round() {
        bench.accept_until(&offer, bench.now.after(2 * MINUTE));
    }
    bench.join("F", "*");
    bench
}

#[test]
fn who_becomes_the_first_is_kept_waiting_by_nobody_who_is_served_in_the_same_round() {
    let mut bench = one_agent();
    let hour = |id, each| limited(shape(id, each, 1), 60 * MINUTE);
    let (now, next, last) = (
        hour(0, "cpus:2;mem:1GiB"),
        hour(1, "cpus:3;mem:1GiB"),
        hour(2, "cpus:1;mem:1GiB"),
    );
    // They have waited for long: no agent was there that they may use.
    let change = bench.ledger.set_agent_active(&crate::bench::agent("a1"), false);
    bench.observe(change);
    want(
        &mut bench,
        Backfill::Easy,
        &[now.clone(), next.clone(), last.clone()],
    );
    assert!(bench.round().is_empty());
    bench.wait(MINUTE);
    let change = bench.ledger.set_agent_active(&crate::bench::agent("a1"), true);
    bench.observe(change);
    want(&mut bench, Backfill::Easy, &[now, next, last]);
    assert_eq!(placed(&bench.round()), ["a1:0*1"]);
}

#[test]
fn what_is_held_for_the_first_is_held_no_more_when_another_is_the_first() {
    let mut bench = one_agent();
    let first = limited(shape(0, "cpus:4;mem:1GiB", 1), MINUTE);
    let urgent = limited(shape(1, "cpus:3;mem:1GiB", 1), 60 * MINUTE);
    want(&mut bench, Backfill::Easy, std::slice::from_ref(&first));
    bench.round();
    bench.wait(SECOND);
    bench.round();
    assert_eq!(bench.ledger.holds().count(), 1);
    want(&mut bench, Backfill::Easy, &[urgent, first]);
    assert_eq!(placed(&bench.round()), ["a1:1*1"]);
}

#[test]
fn where_nothing_may_go_before_the_first_nothing_is_held_for_the_large_behind_it() {
    let mut bench = one_agent();
    let (first, large) = (shape(0, "cpus:4;mem:1GiB", 1), shape(1, "cpus:5;mem:1GiB", 1));
    want(&mut bench, Backfill::None, &[first, large]);
    bench.round();
    bench.wait(2 * crate::bench::HOLD_AFTER);
    bench.round();
    let waiting: Vec<_> = bench.ledger.holds().map(|(_, hold)| hold.waiting).collect();
    assert_eq!(
        waiting,
        [proffer_allocator::Waiting::Shape(proffer_types::ShapeId(0))]
    );
}
