//! First come, first served: strict order of registration, whatever anybody has. Starves everybody else.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;

use crate::engine::{Order, Refresh};
use crate::ledger::{LeafIx, Ledger};

#[derive(Debug, Default)]
pub(crate) struct Fifo {
    queue: BTreeSet<(u64, LeafIx)>,
    orders: BTreeMap<LeafIx, u64>,
}

impl Order for Fifo {
    fn name(&self) -> &'static str {
        "fifo"
    }

    fn insert(&mut self, ledger: &Ledger, leaf: LeafIx) {
        let order = ledger.leaf(leaf).map_or(u64::MAX, |leaf| leaf.order);
        self.orders.insert(leaf, order);
        self.queue.insert((order, leaf));
    }

    fn remove(&mut self, _: &Ledger, leaf: LeafIx) {
        if let Some(order) = self.orders.remove(&leaf) {
            self.queue.remove(&(order, leaf));
        }
    }

    fn charged(&mut self, _: &Ledger, _: LeafIx) {}

    fn first(&mut self, _: &Ledger, _: &mut ChaCha8Rng) -> Option<LeafIx> {
        self.queue.first().map(|(_, leaf)| *leaf)
    }

    fn before(&mut self, _: &Ledger, one: LeafIx, other: LeafIx) -> bool {
        (self.orders.get(&one), one) < (self.orders.get(&other), other)
    }

    fn refresh(&mut self, _: &Ledger, _: Refresh) {}

    fn check(&self, ledger: &Ledger, leaves: &BTreeSet<LeafIx>) {
        let queue = leaves
            .iter()
            .filter_map(|leaf| Some((ledger.leaf(*leaf)?.order, *leaf)));
        assert_eq!(self.queue, queue.collect(), "the queue");
    }
}
