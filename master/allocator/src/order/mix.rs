//! The share of a role from the shares of those below it, as in hierarchical DRF (Bhattacharya et al., SoCC 2013).
//!
//! Summing up what everybody below has would starve: one who alone can use a scarce resource raises the share of its
//! role, and so holds its siblings back. Instead every child is scaled down to the smallest share among them before
//! they are added up. Children that can use, or want, nothing now do not decide on the scale; what they have counts in
//! full, of those resources that the others use: of a resource that only they use, the others can have none anyway.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::ResourceName;

use super::siblings::{Child, POINT};
use crate::Quantities;

/// Bits behind the point of a direction.
const DIRECTION_POINT: u32 = 32;

/// Parts of the cluster by resource, with [`POINT`] bits behind the point.
pub(super) type Vector = BTreeMap<ResourceName, u128>;

/// What is had of each resource, as a part of all there is.
pub(super) fn vector(claimed: &Quantities, total: &Quantities) -> Vector {
    let parts = claimed.iter().filter(|(name, _)| total.get(name) > 0);
    parts
        .map(|(name, units)| (name.clone(), (units << POINT) / total.get(name)))
        .collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// Over the weight.
    share: u128,
    /// The direction of its vector, times its weight in thousandths.
    direction: Vector,
}

/// The children of one role that are in the order: they make up its share.
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
        let dominant = vector.values().copied().max().unwrap_or(0);
        let share = dominant * 1000 / weight;
        let along = |part: u128| (part << DIRECTION_POINT) / dominant.max(1) * weight;
        let direction: Vector = vector
            .iter()
            .filter(|(_, part)| **part > 0)
            .map(|(name, part)| (name.clone(), along(*part)))
            .collect();
        for (name, part) in &direction {
            *self.sum.entry(name.clone()).or_default() += part;
        }
        self.shares.insert((share, child));
        self.parts.insert(child, Part { share, direction });
    }

    /// Leaves a child out.
    pub(super) fn unset(&mut self, child: Child) {
        let Some(part) = self.parts.remove(&child) else {
            return;
        };
        self.shares.remove(&(part.share, child));
        for (name, part) in &part.direction {
            if let Some(sum) = self.sum.get_mut(name) {
                *sum -= part;
            }
        }
        self.sum.retain(|_, sum| *sum > 0);
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
        let parts = self.sum.iter().map(|(name, sum)| {
            let scaled = (smallest * (sum / 1000)) >> DIRECTION_POINT;
            (name.clone(), scaled + others.get(name).copied().unwrap_or(0))
        });
        parts.collect()
    }
}
