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
    /// The same of only those who have something new to look at: for the shares of roles, all others are blocked.
    few: Option<(BTreeSet<LeafIx>, Tree)>,
}

impl Drf {
    pub(crate) fn by_share() -> Self {
        Self {
            tree: Tree::new(false),
            name: "drf",
            few: None,
        }
    }

    pub(crate) fn by_priority() -> Self {
        Self {
            tree: Tree::new(true),
            name: "priority",
            few: None,
        }
    }

    fn drop_of_few(&mut self, ledger: &Ledger, leaf: LeafIx) {
        if let Some((leaves, tree)) = &mut self.few
            && leaves.remove(&leaf)
        {
            tree.remove(ledger, leaf);
        }
    }
}

impl Order for Drf {
    fn name(&self) -> &'static str {
        self.name
    }

    fn insert(&mut self, ledger: &Ledger, leaf: LeafIx) {
        self.few = None;
        self.tree.insert(ledger, leaf);
    }

    fn block(&mut self, ledger: &Ledger, leaf: LeafIx) {
        self.drop_of_few(ledger, leaf);
        self.tree.block(ledger, leaf);
    }

    fn remove(&mut self, ledger: &Ledger, leaf: LeafIx) {
        self.drop_of_few(ledger, leaf);
        self.tree.remove(ledger, leaf);
    }

    fn charged(&mut self, ledger: &Ledger, leaf: LeafIx) {
        if let Some((_, tree)) = &mut self.few {
            tree.charged(ledger, leaf);
        }
        self.tree.charged(ledger, leaf);
    }

    fn first(&mut self, ledger: &Ledger, _: &mut ChaCha8Rng) -> Option<LeafIx> {
        self.tree.first(ledger)
    }

    fn before(&mut self, ledger: &Ledger, one: LeafIx, other: LeafIx) -> bool {
        self.tree.before(ledger, one, other)
    }

    fn among(&mut self, ledger: &Ledger, _: &mut ChaCha8Rng, leaves: &[LeafIx]) -> Option<LeafIx> {
        if let [] | [_] = leaves {
            return leaves.first().copied();
        }
        let by_priority = self.tree.by_priority();
        let (known, tree) = self
            .few
            .get_or_insert_with(|| (BTreeSet::new(), Tree::new(by_priority)));
        let wanted: BTreeSet<_> = leaves.iter().copied().collect();
        known
            .difference(&wanted)
            .for_each(|leaf| tree.remove(ledger, *leaf));
        wanted
            .difference(known)
            .for_each(|leaf| tree.insert(ledger, *leaf));
        *known = wanted;
        tree.first(ledger)
    }

    fn refresh(&mut self, ledger: &Ledger, what: Refresh) {
        self.few = None;
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
