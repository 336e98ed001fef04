//! Whether the tree says what the ledger says; for tests and the simulator.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::{Child, NodeIx, TOP, Tree, Who};
use crate::Share;
use crate::ledger::{DEFAULT_WEIGHT_MILLIS, Handle as _, LeafIx, Ledger};

impl Tree {
    /// Compares the tree with one that is built anew, and where all stand in one row, that row with a plain sort.
    /// Panics with what differs.
    pub(in crate::order) fn check(&self, ledger: &Ledger, leaves: &BTreeSet<LeafIx>) {
        assert_eq!(self.active(), *leaves, "which leaves are in the order");
        self.check_places(ledger);
        let mut rebuilt = self.rebuilt(ledger);
        let mut kept = self.clone();
        // Shares that are to be mixed anew when they are next looked at are looked at now.
        kept.freshen(ledger);
        kept.check_against(&rebuilt, ledger);
        let mut row = Vec::new();
        loop {
            let (next, due) = (kept.first(ledger), rebuilt.first(ledger));
            assert_eq!(next, due, "who is next after {row:?}");
            let Some(leaf) = next else {
                break;
            };
            row.push(leaf);
            kept.block(ledger, leaf);
            rebuilt.block(ledger, leaf);
        }
        if !self.mixed {
            let mut sorted = row.clone();
            sorted.sort_by(|one, other| plain_order(ledger, *one, *other));
            assert_eq!(row, sorted, "those of one role by exact share");
        }
    }

    fn active(&self) -> BTreeSet<LeafIx> {
        let slots = (0_u32..).zip(&self.slots);
        let active = slots.filter(|(_, slot)| slot.as_ref().is_some_and(|slot| slot.active));
        active.map(|(at, _)| LeafIx::new(at)).collect()
    }

    fn rebuilt(&self, ledger: &Ledger) -> Self {
        let mut rebuilt = Self::new(self.by_priority);
        // Once there were siblings, the shares of nodes are kept for good.
        rebuilt.mixed = self.mixed;
        let slots = (0_u32..).zip(&self.slots).filter(|(_, slot)| slot.is_some());
        let members: Vec<_> = slots.map(|(at, _)| LeafIx::new(at)).collect();
        members.iter().for_each(|leaf| rebuilt.insert(ledger, *leaf));
        let active = self.active();
        let blocked = members.iter().filter(|leaf| !active.contains(leaf));
        blocked.for_each(|leaf| rebuilt.block(ledger, *leaf));
        rebuilt
    }

    /// Under totals that changed since, a place may be too early, but never too late.
    fn check_places(&self, ledger: &Ledger) {
        for ix in self.by_who.values() {
            let node = self.node(*ix);
            let members = node.members.iter().map(|(_, child)| *child);
            let active: Vec<_> = members.filter(|child| self.is_active(*child)).collect();
            let who = node.who;
            assert_eq!(
                node.n_active,
                active.len(),
                "how many below {who:?} are in the order"
            );
            if node.members.len() < 2 {
                continue;
            }
            assert_eq!(node.siblings.len(), active.len(), "the siblings below {who:?}");
            for child in active.into_iter().filter(|_| !self.stale) {
                let (stored, due) = (self.stored(child), self.place(ledger, child));
                let early =
                    stored.is_some_and(|stored| stored.compare(&due, ledger.total()) != Ordering::Greater);
                assert!(early, "{child:?} stands at {stored:?}, too late for {due:?}");
            }
        }
    }

    fn check_against(&self, rebuilt: &Self, ledger: &Ledger) {
        let whom = |tree: &Self| -> BTreeSet<Who> { tree.by_who.keys().copied().collect() };
        assert_eq!(whom(self), whom(rebuilt), "who has a node");
        for (who, ix) in &self.by_who {
            let other = rebuilt.by_who[who];
            let members = self.named(*ix);
            assert_eq!(members, rebuilt.named(other), "those below {who:?}");
            // What all have together is of no use to anybody.
            if self.mixed && self.node(*ix).n_active > 0 && *ix != TOP {
                let mixed = self.vector(ledger, Child::Node(*ix));
                let due = rebuilt.vector(ledger, Child::Node(other));
                assert_eq!(mixed, due, "the shares of {who:?}, mixed");
            }
        }
    }

    /// Those below a node, by order of registration, under names that do not depend on when a node was made.
    fn named(&self, ix: NodeIx) -> BTreeSet<(u64, Result<LeafIx, Who>)> {
        let members = self.node(ix).members.iter();
        let named = members.map(|(order, child)| match child {
            Child::Leaf(leaf) => (*order, Ok(*leaf)),
            Child::Node(ix) => (*order, Err(self.node(*ix).who)),
        });
        named.collect()
    }
}

/// Dominant share, fewer offers, earlier registration: from the ledger alone.
fn plain_order(ledger: &Ledger, one: LeafIx, other: LeafIx) -> Ordering {
    let key = |leaf: LeafIx| {
        let entry = ledger.leaf(leaf);
        let share =
            entry.map(|leaf| Share::dominant(&leaf.usage.claimed, ledger.total(), DEFAULT_WEIGHT_MILLIS));
        (share, entry.map(|leaf| (leaf.usage.n_offers, leaf.order)), leaf)
    };
    key(one).cmp(&key(other))
}
