//! Whatever happens: nothing is promised twice, nobody is offered what they must not be, and nothing is left that
//! somebody could use.

use std::collections::BTreeMap;

use proffer_allocator::{AgentIx, Allocator, Change, Handle as _, LeafIx, Ledger, Outcome, Round};
use proffer_types::{GangId, OfferConstraints, Resources, Shape};
use proptest::prelude::*;
use proptest::test_runner::Config;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::bench::{Bench, Offer};
use crate::cluster::{AMPLE, Play, story};

/// As many as fit into a few seconds, where `PROPTEST_CASES` does not ask for more than its usual 256.
const N_CASES: u32 = 400;
const N_MOVES: usize = 40;

pub(crate) fn some(n_cases: u32) -> Config {
    let usual = Config::default();
    Config {
        cases: usual.cases * n_cases / 256,
        failure_persistence: None,
        ..usual
    }
}

fn allocator() -> impl Strategy<Value = &'static str> {
    prop_oneof![2 => Just("drf"), 1 => Just("priority"), 1 => Just("random"), 1 => Just("fifo")]
}

proptest! {
    #![proptest_config(some(N_CASES))]

    #[test]
    fn offers_go_only_where_they_may_and_everything_that_may_be_offered_is(
        allocator in allocator(),
        story in story(N_MOVES),
    ) {
        let mut play = Play::new(allocator);
        for step in &story {
            play.step(step, AMPLE);
        }
    }

    #[test]
    fn a_small_budget_comes_to_the_end_too(
        allocator in allocator(),
        budget in 1..12_u64,
        story in story(N_MOVES),
    ) {
        let mut play = Play::new(allocator);
        for step in &story {
            play.step(step, budget);
        }
    }
}

proptest! {
    #![proptest_config(some(N_CASES / 8))]

    #[test]
    fn the_same_story_has_the_same_end(allocator in allocator(), story in story(N_MOVES)) {
        let (mut one, mut other) = (Play::new(allocator), Play::new(allocator));
        for step in &story {
            prop_assert_eq!(one.step(step, AMPLE), other.step(step, AMPLE));
        }
        prop_assert_eq!(one.bench.ledger, other.bench.ledger);
    }
}

/// Offers anything to anybody, under every pretext.
#[derive(Debug)]
struct Wild(ChaCha8Rng);

impl Allocator for Wild {
    fn name(&self) -> &'static str {
        "wild"
    }

    fn observe(&mut self, _: &Ledger, _: &Change) {}

    fn allocate(&mut self, round: &mut Round<'_>) -> Outcome {
        let shapes: Vec<_> = (round.ledger().leaves())
            .flat_map(|(_, leaf)| leaf.wanted())
            .map(|(shape, _)| (**shape).clone())
            .collect();
        for _ in 0..50 {
            let (leaf, agent) = (
                LeafIx::new(self.0.random_range(0..8)),
                AgentIx::new(self.0.random_range(0..8)),
            );
            if self.0.random_bool(0.5) {
                let _ = round.offer_all(leaf, agent);
            }
            let Some(shape) = shapes.get(self.0.random_range(0..4)) else {
                continue;
            };
            let mut shape = shape.clone();
            match self.0.random_range(0..8) {
                0 => shape.resources = Resources::new(),
                1 => shape.n_ports = 0,
                2 => shape.max_per_agent = None,
                3 => shape.constraints = OfferConstraints::default(),
                4 => shape.gang = None,
                _ => {}
            }
            let _ = round.offer_tasks(leaf, agent, &shape, self.0.random_range(0..4));
        }
        Outcome::default()
    }
}

proptest! {
    #![proptest_config(some(N_CASES / 4))]

    #[test]
    fn a_round_lets_no_allocator_offer_what_may_not_be_offered(story in story(N_MOVES), seed in any::<u64>()) {
        let mut play = Play::with(Box::new(Wild(ChaCha8Rng::seed_from_u64(seed))));
        for step in &story {
            play.make_and_allocate(step, AMPLE);
        }
    }
}

/// Of every gang that was offered, all was, in one round.
pub(crate) fn gangs_are_whole(bench: &Bench, offers: &[Offer]) {
    let mut offered: BTreeMap<(LeafIx, GangId), BTreeMap<_, u32>> = BTreeMap::new();
    for offer in offers {
        let leaf = bench.ledger.leaf_ix(&offer.framework, &offer.role).unwrap();
        for (gang, (id, n)) in offer
            .gang
            .into_iter()
            .flat_map(|gang| offer.shapes.iter().map(move |one| (gang, one)))
        {
            *offered.entry((leaf, gang)).or_default().entry(*id).or_default() += n;
        }
    }
    for ((leaf, gang), parts) in offered {
        let entry = bench.ledger.leaf(leaf).unwrap();
        let missing: Vec<_> = entry
            .wanted()
            .filter(|(shape, _)| shape.gang == Some(gang))
            .collect();
        assert!(
            missing.is_empty(),
            "of {gang:?} only {parts:?} was offered, not {missing:?}"
        );
    }
}

/// Work-conserving: of what is free and held back for nobody there is nothing that somebody wants.
pub(crate) fn nothing_is_left(bench: &Bench) {
    let ledger = &bench.ledger;
    for (leaf, entry) in ledger.leaves().filter(|(_, leaf)| leaf.wants()) {
        for (agent, machine) in ledger.agents() {
            let left = if entry.states_demand() {
                let mut wanted = entry.wanted();
                wanted.any(|(shape, open)| could_run(bench, leaf, agent, shape, open))
            } else {
                // Shared volumes are always there; they are offered again when something else changed.
                let all = ledger.offerable(leaf, agent, bench.now);
                all.is_ok_and(|all| !all.without_shared().is_empty())
            };
            let framework = &entry.framework;
            assert!(
                !left,
                "{framework} was not offered {} of {}",
                machine.free, machine.id
            );
        }
    }
}

fn could_run(bench: &Bench, leaf: LeafIx, agent: AgentIx, shape: &Shape, open: u32) -> bool {
    let (ledger, now) = (&bench.ledger, bench.now);
    if shape.gang.is_some_and(|gang| !is_alone(ledger, leaf, gang)) {
        return false;
    }
    let max = shape.max_per_agent.unwrap_or(u32::MAX);
    let most = open.min(max.saturating_sub(ledger.n_on(agent, leaf, shape.id)));
    (1..=most).any(|n| {
        let bundle = ledger.slice(leaf, agent, shape, n, now);
        bundle.is_ok_and(|bundle| ledger.filtered_until(leaf, agent, &bundle, now).is_none())
    })
}

/// Whether a gang is a single task, which needs no packing.
fn is_alone(ledger: &Ledger, leaf: LeafIx, gang: GangId) -> bool {
    let entry = ledger.leaf(leaf).unwrap();
    let members = entry.wanted().filter(|(shape, _)| shape.gang == Some(gang));
    let members: Vec<_> = members.map(|(shape, open)| (shape.count, open)).collect();
    members == [(1, 1)]
}
