//! Weighted lots: going down the tree of roles, each child is drawn as often as its weight says, whatever it has.
//! In the long run shares follow weights, and nobody is starved by somebody who always has less.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::engine::{Order, Refresh};
use crate::ledger::{DEFAULT_WEIGHT_MILLIS, LeafIx, Ledger, ROOT, RoleIx};

#[derive(Debug, Default)]
pub(crate) struct Random {
    /// By role, its own leaves in the order.
    leaves: BTreeMap<RoleIx, BTreeSet<LeafIx>>,
    /// By leaf, its role and those above it, the root first: as they were when it was put in.
    paths: BTreeMap<LeafIx, Vec<RoleIx>>,
    /// By role, the roles right below it with a leaf in the order, and how many leaves.
    below: BTreeMap<RoleIx, BTreeMap<RoleIx, usize>>,
}

impl Random {
    fn count(&mut self, path: &[RoleIx], joins: bool) {
        for pair in path.windows(2) {
            let below = self.below.entry(pair[0]).or_default();
            let n = below.entry(pair[1]).or_default();
            *n = if joins { *n + 1 } else { *n - 1 };
            if *n == 0 {
                below.remove(&pair[1]);
            }
            if below.is_empty() {
                self.below.remove(&pair[0]);
            }
        }
    }
}

impl Order for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn insert(&mut self, ledger: &Ledger, leaf: LeafIx) {
        let Some(entry) = ledger.leaf(leaf) else {
            return;
        };
        let mut path: Vec<_> = ledger.lineage(entry.role).collect();
        path.reverse();
        self.leaves.entry(entry.role).or_default().insert(leaf);
        self.count(&path, true);
        self.paths.insert(leaf, path);
    }

    fn remove(&mut self, _: &Ledger, leaf: LeafIx) {
        let Some(path) = self.paths.remove(&leaf) else {
            return;
        };
        self.count(&path, false);
        if let Some(role) = path.last()
            && let Some(leaves) = self.leaves.get_mut(role)
        {
            leaves.remove(&leaf);
            if leaves.is_empty() {
                self.leaves.remove(role);
            }
        }
    }

    fn charged(&mut self, _: &Ledger, _: LeafIx) {}

    fn first(&mut self, ledger: &Ledger, rng: &mut ChaCha8Rng) -> Option<LeafIx> {
        let weight = |role: &RoleIx| {
            ledger
                .role(*role)
                .map_or(DEFAULT_WEIGHT_MILLIS, |role| role.config.weight_millis.max(1))
        };
        let mut at = ROOT;
        loop {
            let (own, below) = (self.leaves.get(&at), self.below.get(&at));
            let own_weight = if own.is_some() { DEFAULT_WEIGHT_MILLIS } else { 0 };
            let all = own_weight
                + below
                    .into_iter()
                    .flat_map(BTreeMap::keys)
                    .map(weight)
                    .sum::<u64>();
            if all == 0 {
                return None;
            }
            let mut lot = rng.random_range(0..all);
            if lot < own_weight {
                let own = own?;
                return own.iter().nth(rng.random_range(0..own.len())).copied();
            }
            lot -= own_weight;
            let mut drawn = below?.keys();
            at = *drawn.find(|role| match lot.checked_sub(weight(role)) {
                Some(rest) => {
                    lot = rest;
                    false
                }
                None => true,
            })?;
        }
    }

    fn before(&mut self, _: &Ledger, one: LeafIx, other: LeafIx) -> bool {
        one < other
    }

    fn among(&mut self, ledger: &Ledger, rng: &mut ChaCha8Rng, leaves: &[LeafIx]) -> Option<LeafIx> {
        let mut few = Self::default();
        leaves.iter().for_each(|leaf| few.insert(ledger, *leaf));
        few.first(ledger, rng)
    }

    fn refresh(&mut self, _: &Ledger, _: Refresh) {}

    fn check(&self, ledger: &Ledger, leaves: &BTreeSet<LeafIx>) {
        let drawn: BTreeSet<_> = self.leaves.values().flatten().copied().collect();
        assert_eq!(drawn, *leaves, "who takes part in the draw");
        let mut rebuilt = Self::default();
        leaves.iter().for_each(|leaf| rebuilt.insert(ledger, *leaf));
        assert_eq!(self.below, rebuilt.below, "how many take part below each role");
    }
}
