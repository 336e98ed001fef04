//! What any allocator must do, whatever it thinks is fair: for the tests of who writes one.
//!
//! ```
//! proffer_allocator::conformance::check(|| proffer_allocator::by_name("drf").expect("it is built in"));
//! ```
//!
//! Everything is drawn from fixed seeds, so a failure comes again. What [`crate::Round`] refuses needs no test: an
//! allocator cannot promise what is not there. It can still forget somebody, never end, or depend on chance.

mod cluster;

use std::collections::BTreeMap;

use crate::{Allocator, LeafIx};
use cluster::{Cluster, Made};
use proffer_types::{GangId, ShapeId};

/// How many random clusters each rule is tried on.
const N_CLUSTERS: u64 = 30;
/// What happens to each of them.
const N_STEPS: usize = 40;
/// More than any of the clusters needs.
const AMPLE: u64 = 100_000;
/// The budgets that everything must come to an end with too.
const SMALL: [u64; 2] = [1, 7];

/// Checks all rules. Panics with the first that is broken.
pub fn check(make: impl Fn() -> Box<dyn Allocator>) {
    has_a_name(&make);
    offers_all_there_is_to_the_only_framework(&make);
    offers_again_what_was_given_back(&make);
    offers_what_comes_later(&make);
    respects_a_refusal_until_it_ends(&make);
    offers_what_is_stated_and_no_more(&make);
    offers_gangs_whole(&make);
    forgets_who_is_gone(&make);
    keeps_in_step_with_the_ledger(&make);
    comes_to_an_end(&make);
    depends_on_nothing_but_the_seed(&make);
}

/// An allocator is chosen by a name that does not change.
pub fn has_a_name(make: &dyn Fn() -> Box<dyn Allocator>) {
    let allocator = make();
    let name = allocator.name();
    assert!(!name.is_empty(), "an allocator has a name to choose it by");
    assert!(
        name.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c)),
        "`{name}`: a name is of a-z, 0-9, - and _, for it is a flag"
    );
    assert_eq!(name, make().name(), "the name is the same each time");
}

/// With a single framework that takes anything, every agent is offered whole.
pub fn offers_all_there_is_to_the_only_framework(make: &dyn Fn() -> Box<dyn Allocator>) {
    let mut cluster = Cluster::new(make(), 0);
    for nth in 0..10 {
        cluster.add_agent(nth, "cpus:4;mem:8GiB");
    }
    cluster.join(0, "*");
    let made = cluster.settle(AMPLE);
    assert_eq!(
        made.len(),
        10,
        "every agent is offered to the only framework there is"
    );
    let nothing = cluster.settle(AMPLE);
    assert!(
        nothing.is_empty(),
        "what is offered is not offered again: {nothing:?}"
    );
}

/// A task or an offer ends: what it had is offered in the next round.
pub fn offers_again_what_was_given_back(make: &dyn Fn() -> Box<dyn Allocator>) {
    let mut cluster = Cluster::new(make(), 0);
    cluster.add_agent(0, "cpus:4;mem:8GiB");
    cluster.join(0, "*");
    for nth in 0..3 {
        let made = cluster.settle(AMPLE);
        assert_eq!(made.len(), 1, "what was given back is offered again (time {nth})");
        let given_back = if nth == 1 {
            cluster.run(&made[0])
        } else {
            made[0].claim
        };
        cluster.end(given_back);
    }
}

/// Agents and frameworks that come after a round that had nothing to do are seen.
pub fn offers_what_comes_later(make: &dyn Fn() -> Box<dyn Allocator>) {
    let mut cluster = Cluster::new(make(), 0);
    cluster.settle(AMPLE);
    cluster.join(0, "eng/prod");
    cluster.settle(AMPLE);
    cluster.add_agent(0, "cpus:4;mem:8GiB");
    assert_eq!(
        cluster.settle(AMPLE).len(),
        1,
        "an agent that comes later is offered"
    );
    cluster.leave(0);
    cluster.settle(AMPLE);
    cluster.join(1, "eng");
    assert_eq!(
        cluster.settle(AMPLE).len(),
        1,
        "a framework that comes later is offered what is there"
    );
    cluster.add_agent(1, "cpus:4;mem:8GiB");
    cluster.set_agent_active(1, false);
    assert!(
        cluster.settle(AMPLE).is_empty(),
        "an agent that is away is not offered"
    );
    cluster.set_agent_active(1, true);
    assert_eq!(
        cluster.settle(AMPLE).len(),
        1,
        "an agent that comes back is offered"
    );
}

/// What was refused is offered to others meanwhile, and again afterwards.
pub fn respects_a_refusal_until_it_ends(make: &dyn Fn() -> Box<dyn Allocator>) {
    let mut cluster = Cluster::new(make(), 0);
    cluster.add_agent(0, "cpus:4;mem:8GiB");
    cluster.join(0, "*");
    let made = cluster.settle(AMPLE);
    cluster.decline(&made[0], 1000);
    assert!(
        cluster.settle(AMPLE).is_empty(),
        "what is refused is not offered at once"
    );
    cluster.wait(999);
    assert!(
        cluster.settle(AMPLE).is_empty(),
        "what is refused is not offered too early"
    );
    cluster.wait(1);
    assert_eq!(
        cluster.settle(AMPLE).len(),
        1,
        "what was refused is offered when the refusal ends"
    );
    let made = cluster.offers();
    cluster.decline(&made[0], 1_000_000);
    cluster.join(1, "*");
    let others = cluster.settle(AMPLE);
    assert_eq!(others.len(), 1, "what one refuses is offered to the other");
    assert_eq!(
        others[0].framework,
        cluster::framework(1),
        "and not to who refused it"
    );
}

/// A stated demand is met as far as there is room, and not exceeded.
pub fn offers_what_is_stated_and_no_more(make: &dyn Fn() -> Box<dyn Allocator>) {
    let mut cluster = Cluster::new(make(), 0);
    for nth in 0..2 {
        cluster.add_agent(nth, "cpus:4;mem:8GiB");
    }
    cluster.join(0, "*");
    cluster.want(0, "*", vec![cluster::shape(0, "cpus:1;mem:1GiB", 3, None)]);
    let tasks = |made: &[Made]| -> u32 { made.iter().flat_map(|one| &one.shapes).map(|(_, n)| n).sum() };
    assert_eq!(
        tasks(&cluster.settle(AMPLE)),
        3,
        "all that is wanted is offered, and no more"
    );
    cluster.want(0, "*", vec![cluster::shape(0, "cpus:1;mem:1GiB", 100, None)]);
    assert_eq!(
        tasks(&cluster.settle(AMPLE)),
        5,
        "more that is wanted is offered as far as there is room"
    );
}

/// A gang is offered whole in one round, or not at all.
pub fn offers_gangs_whole(make: &dyn Fn() -> Box<dyn Allocator>) {
    for seed in 0..N_CLUSTERS {
        let mut cluster = Cluster::new(make(), seed);
        cluster.populate();
        for _ in 0..N_STEPS {
            cluster.step();
            let made = cluster.round(AMPLE).0;
            let mut offered: BTreeMap<(LeafIx, GangId), BTreeMap<ShapeId, u32>> = BTreeMap::new();
            for one in &made {
                for (gang, (shape, n)) in one
                    .gang
                    .iter()
                    .flat_map(|gang| one.shapes.iter().map(move |of| (gang, of)))
                {
                    *offered
                        .entry((one.leaf, *gang))
                        .or_default()
                        .entry(*shape)
                        .or_default() += n;
                }
            }
            for ((leaf, gang), parts) in offered {
                let entry = cluster.ledger.leaf(leaf);
                let missing = entry.into_iter().flat_map(|entry| entry.wanted());
                let missing = missing.filter(|(shape, _)| shape.gang == Some(gang)).count();
                assert_eq!(
                    missing, 0,
                    "seed {seed}: of {gang:?} only {parts:?} was offered in one round"
                );
            }
        }
    }
}

/// Handles are given to others when their owners are gone: who comes in their place is nobody's heir.
pub fn forgets_who_is_gone(make: &dyn Fn() -> Box<dyn Allocator>) {
    let mut cluster = Cluster::new(make(), 0);
    for nth in 0..6 {
        cluster.add_agent(nth, "cpus:4;mem:8GiB");
        cluster.join(nth, ["a", "a/b", "c"][nth % 3]);
    }
    cluster.settle(AMPLE);
    for nth in [1, 3, 4] {
        cluster.remove_agent(nth);
        cluster.leave(nth);
    }
    cluster.settle(AMPLE);
    for nth in 6..9 {
        cluster.add_agent(nth, "cpus:2;mem:2GiB");
        cluster.join(nth, ["c", "d/e", "d"][nth % 3]);
    }
    cluster.settle(AMPLE);
    let offers = cluster.offers();
    for nth in 6..9 {
        let offered = offers.iter().any(|offer| offer.agent == cluster::agent(nth));
        assert!(offered, "an agent in the place of one that is gone is offered");
    }
    for nth in [1, 3, 4] {
        let known = offers
            .iter()
            .any(|offer| offer.agent == cluster::agent(nth) || offer.framework == cluster::framework(nth));
        assert!(!known, "nothing is offered of, or to, who is gone");
    }
}

/// Whatever happens, the ledger stays in order, what the allocator keeps agrees with it, and nothing is left that a
/// framework without a rival would take.
pub fn keeps_in_step_with_the_ledger(make: &dyn Fn() -> Box<dyn Allocator>) {
    for seed in 0..N_CLUSTERS {
        let mut cluster = Cluster::new(make(), seed);
        cluster.populate();
        for _ in 0..N_STEPS {
            cluster.step();
            cluster.settle(AMPLE);
        }
        cluster.leave_all();
        cluster.settle(AMPLE);
        cluster.join(99, "last");
        cluster.settle(AMPLE);
        let (leaf, now) = (cluster.leaf(99, "last"), cluster.now);
        for (agent, entry) in cluster.ledger.agents() {
            let left = cluster.ledger.offerable(leaf, agent, now);
            assert!(
                left.is_err(),
                "seed {seed}: {left:?} of {} is not offered to the only one left",
                entry.id
            );
        }
    }
}

/// However small the budget, the rounds come to an end with all that a large budget finds, and say so.
pub fn comes_to_an_end(make: &dyn Fn() -> Box<dyn Allocator>) {
    for seed in 0..N_CLUSTERS {
        for budget in SMALL {
            let mut cluster = Cluster::new(make(), seed);
            cluster.populate();
            for _ in 0..N_STEPS {
                cluster.step();
                cluster.settle(budget);
                let more = cluster.settle(AMPLE);
                assert!(
                    more.is_empty(),
                    "seed {seed}: a budget of {budget} ended before {more:?} were found"
                );
            }
        }
    }
}

/// The same history under the same seed gives the same offers.
pub fn depends_on_nothing_but_the_seed(make: &dyn Fn() -> Box<dyn Allocator>) {
    for seed in 0..N_CLUSTERS {
        let history = || {
            let mut cluster = Cluster::new(make(), seed);
            cluster.populate();
            let mut made = Vec::new();
            for _ in 0..N_STEPS {
                cluster.step();
                made.push(cluster.settle(AMPLE));
            }
            made
        };
        for (nth, (one, other)) in history().into_iter().zip(history()).enumerate() {
            assert_eq!(
                one, other,
                "seed {seed}, step {nth}: the same history has the same offers"
            );
        }
    }
}
