//! Hierarchical weighted Dominant Resource Fairness (Ghodsi et al., NSDI 2011; Bhattacharya et al., SoCC 2013), and
//! the same under strict priorities of roles.
//!
//! Going down the tree of roles, the child with the lowest dominant share over its weight is next. Of equals, the one
//! with fewer offers so far comes first, then the one that registered first. Roles whose guarantee is not met go
//! before all others.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;

use super::tree::Tree;
use crate::engine::{Order, Refresh};
use crate::ledger::{LeafIx, Ledger};

#[derive(Debug)]
pub(crate) struct Drf {
    tree: Tree,
    name: &'static str,
}

impl Drf {
    pub(crate) fn by_share() -> Self {
        Self {
            tree: Tree::new(false),
            name: "drf",
        }
    }

    pub(crate) fn by_priority() -> Self {
        Self {
            tree: Tree::new(true),
            name: "priority",
        }
    }
}

impl Order for Drf {
    fn name(&self) -> &'static str {
        self.name
    }

    fn insert(&mut self, ledger: &Ledger, leaf: LeafIx) {
        self.tree.insert(ledger, leaf);
    }

    fn block(&mut self, ledger: &Ledger, leaf: LeafIx) {
        self.tree.block(ledger, leaf);
    }

    fn remove(&mut self, ledger: &Ledger, leaf: LeafIx) {
        self.tree.remove(ledger, leaf);
    }

    fn charged(&mut self, ledger: &Ledger, leaf: LeafIx) {
        self.tree.charged(ledger, leaf);
    }

    fn first(&mut self, ledger: &Ledger, _: &mut ChaCha8Rng) -> Option<LeafIx> {
        self.tree.first(ledger)
    }

    fn before(&mut self, ledger: &Ledger, one: LeafIx, other: LeafIx) -> bool {
        self.tree.before(ledger, one, other)
    }

    fn refresh(&mut self, ledger: &Ledger, what: Refresh) {
        match what {
            Refresh::Role(role) => self.tree.role_changed(ledger, role),
            Refresh::Totals => self.tree.totals_changed(),
            Refresh::Reservations => self.tree.mix_all(ledger),
        }
    }

    fn check(&self, ledger: &Ledger, leaves: &BTreeSet<LeafIx>) {
        self.tree.check(ledger, leaves);
    }
}
