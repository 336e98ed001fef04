//! Whoever runs fewest tasks is next, whatever their size.

use std::collections::{BTreeMap, BTreeSet};

use proffer_allocator::{Allocator, ChaCha8Rng, Engine, LeafIx, Ledger, Order, Refresh};

#[derive(Debug, Default)]
struct Fewest {
    queue: BTreeSet<(u64, LeafIx)>,
    n_claims: BTreeMap<LeafIx, u64>,
}

/// The allocator, as `--allocator mine` makes it.
pub fn new() -> Box<dyn Allocator> {
    Box::new(Engine::new(Fewest::default()))
}

fn n_claims(ledger: &Ledger, leaf: LeafIx) -> u64 {
    ledger.leaf(leaf).map_or(u64::MAX, |leaf| leaf.usage.n_claims)
}

impl Order for Fewest {
    fn name(&self) -> &'static str {
        "mine"
    }

    fn insert(&mut self, ledger: &Ledger, leaf: LeafIx) {
        let n = n_claims(ledger, leaf);
        self.n_claims.insert(leaf, n);
        self.queue.insert((n, leaf));
    }

    fn remove(&mut self, _: &Ledger, leaf: LeafIx) {
        if let Some(n) = self.n_claims.remove(&leaf) {
            self.queue.remove(&(n, leaf));
        }
    }

    fn charged(&mut self, ledger: &Ledger, leaf: LeafIx) {
        if self.n_claims.contains_key(&leaf) {
            self.remove(ledger, leaf);
            self.insert(ledger, leaf);
        }
    }

    fn first(&mut self, _: &Ledger, _: &mut ChaCha8Rng) -> Option<LeafIx> {
        self.queue.first().map(|(_, leaf)| *leaf)
    }

    fn before(&mut self, _: &Ledger, one: LeafIx, other: LeafIx) -> bool {
        (self.n_claims.get(&one), one) < (self.n_claims.get(&other), other)
    }

    fn refresh(&mut self, _: &Ledger, _: Refresh) {}

    fn check(&self, ledger: &Ledger, leaves: &BTreeSet<LeafIx>) {
        let queue = leaves.iter().map(|leaf| (n_claims(ledger, *leaf), *leaf));
        assert_eq!(self.queue, queue.collect(), "the queue");
    }
}
