//! The share of a role from the shares of those below it, as in hierarchical DRF (Bhattacharya et al., SoCC 2013).
//!
//! Summing up what everybody below has would starve: one who alone can use a scarce resource raises the share of its
//! role, and so holds its siblings back. Instead every child is scaled down to the smallest share among them before
//! they are added up. Children that can use, or want, nothing now do not decide on the scale; what they have counts in
//! full, of those resources that the others use: of a resource that only they use, the others can have none anyway.

use std::collections::{BTreeMap, BTreeSet};

use super::siblings::{Child, POINT};
use crate::Quantities;

/// Bits behind the point of a direction.
const DIRECTION_POINT: u32 = 32;

/// Parts of the cluster by resource, with [`POINT`] bits behind the point.
pub(super) type Vector = Quantities;

/// What is had of each resource, as a part of all there is.
pub(super) fn vector(claimed: &Quantities, total: &Quantities) -> Vector {
    let mut vector = Vector::default();
    for (name, units) in claimed.iter().filter(|(name, _)| total.get(name) > 0) {
        vector.set(name, (units << POINT) / total.get(name));
    }
    vector
}

/// What some use, and on top what others have of the same resources.
pub(super) fn on_top(used: &Vector, others: &Vector) -> Vector {
    let mut vector = used.clone();
    for (name, part) in used.iter() {
        vector.set(name, part + others.get(name));
    }
    vector
}

/// The largest part.
pub(super) fn dominant(vector: &Vector) -> u128 {
    vector.iter().map(|(_, part)| part).max().unwrap_or(0)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// Over the weight.
    share: u128,
    /// The direction of its vector, times its weight in thousandths.
    direction: Vector,
}

/// The children in the order of a role that has several: they make up its share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Mix {
    parts: BTreeMap<Child, Part>,
    shares: BTreeSet<(u128, Child)>,
    sum: Vector,
    /// What they have.
    holds: BTreeMap<Child, Quantities>,
    held: Quantities,
}

impl Mix {
    /// Puts a child in, with what it has by now.
    pub(super) fn set(&mut self, child: Child, vector: &Vector, weight_millis: u64) {
        self.unset(child);
        let weight = u128::from(weight_millis.max(1));
        let dominant = dominant(vector);
        let share = dominant * 1000 / weight;
        let mut direction = Vector::default();
        for (name, part) in vector.iter() {
            direction.set(name, (part << DIRECTION_POINT) / dominant.max(1) * weight);
        }
        self.sum.put_in(&direction);
        self.shares.insert((share, child));
        self.parts.insert(child, Part { share, direction });
    }

    /// Leaves a child out.
    pub(super) fn unset(&mut self, child: Child) {
        let Some(part) = self.parts.remove(&child) else {
            return;
        };
        self.shares.remove(&(part.share, child));
        self.sum.take_out(&part.direction);
    }

    /// Remembers what somebody in the order has.
    pub(super) fn hold(&mut self, child: Child, claimed: Quantities) {
        self.release(child);
        self.held.put_in(&claimed);
        self.holds.insert(child, claimed);
    }

    /// Somebody is not in the order any more.
    pub(super) fn release(&mut self, child: Child) {
        if let Some(claimed) = self.holds.remove(&child) {
            self.held.take_out(&claimed);
        }
    }

    /// What those in the order have.
    pub(super) fn held(&self) -> &Quantities {
        &self.held
    }

    /// All children at the smallest share among them, and on top what others have of the same resources.
    pub(super) fn vector(&self, others: &Vector) -> Vector {
        let smallest = self.shares.first().map_or(0, |(share, _)| *share);
        let mut used = Vector::default();
        for (name, sum) in self.sum.iter() {
            used.set(name, (smallest * (sum / 1000)) >> DIRECTION_POINT);
        }
        on_top(&used, others)
    }
}
