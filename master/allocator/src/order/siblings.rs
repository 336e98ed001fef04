//! The children of one node, by who comes first: priority, a guarantee that is not met, dominant share, fewer offers,
//! earlier registration.
//!
//! A share is a maximum over resources, and totals change under it. So children stand grouped by the resource that
//! dominated when they were placed, within a group by what they have of it over their weight, which no total changes.
//! A place in a group is never above the child's true share: whoever takes the head checks it, and moves it if it is.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};

use proffer_types::ResourceName;

use crate::ledger::{Handle, LeafIx, RoleIx};
use crate::{Quantities, Share};

/// Bits behind the point of a fixed share.
pub(super) const POINT: u32 = 48;

/// One node of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeIx(pub(super) u32);

impl Handle for NodeIx {
    fn new(at: u32) -> Self {
        Self(at)
    }
    fn at(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Child {
    Leaf(LeafIx),
    Node(NodeIx),
}

/// What goes before the share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix {
    pub(super) priority: Reverse<i32>,
    /// No guarantee in or below it is left unmet.
    pub(super) sated: bool,
}

/// What comes after the share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tie {
    pub(super) n_offers: u64,
    pub(super) order: u64,
    /// Of several roles of one framework: which role, however old the node is.
    pub(super) role: RoleIx,
    pub(super) child: Child,
}

/// So much of one resource, over a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ratio {
    pub(super) prefix: Prefix,
    pub(super) claimed: u128,
    /// Few bytes, for there are many keys.
    pub(super) weight_millis: u32,
    pub(super) tie: Tie,
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        let shares = || {
            if self.weight_millis == other.weight_millis {
                return self.claimed.cmp(&other.claimed);
            }
            let left = self.claimed * u128::from(other.weight_millis);
            left.cmp(&(other.claimed * u128::from(self.weight_millis)))
        };
        (self.prefix.cmp(&other.prefix))
            .then_with(shares)
            .then(self.tie.cmp(&other.tie))
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A share that is no single ratio, with [`POINT`] bits behind the point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fixed {
    pub(super) prefix: Prefix,
    pub(super) share: u128,
    pub(super) tie: Tie,
}

/// Where a child stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Ratio(ResourceName, Ratio),
    Fixed(Fixed),
}

impl Place {
    /// The place of what has `claimed`, under the resource that dominates now.
    pub(super) fn of(
        claimed: &Quantities,
        total: &Quantities,
        weight_millis: u64,
        prefix: Prefix,
        tie: Tie,
    ) -> Self {
        let parts = claimed
            .iter()
            .map(|(name, units)| (Share::of(units, total.get(name), 1000), name, units));
        let dominant = parts.reduce(|best, part| if part.0 > best.0 { part } else { best });
        let (name, claimed) = match dominant {
            Some((share, name, units)) if share > Share::ZERO => (name.clone(), units),
            _ => (ResourceName::Cpus, 0),
        };
        let weight_millis = u32::try_from(weight_millis.max(1)).unwrap_or(u32::MAX);
        Self::Ratio(
            name,
            Ratio {
                prefix,
                claimed,
                weight_millis,
                tie,
            },
        )
    }

    fn prefix(&self) -> Prefix {
        match self {
            Self::Ratio(_, ratio) => ratio.prefix,
            Self::Fixed(fixed) => fixed.prefix,
        }
    }

    fn tie(&self) -> Tie {
        match self {
            Self::Ratio(_, ratio) => ratio.tie,
            Self::Fixed(fixed) => fixed.tie,
        }
    }

    fn share(&self, total: &Quantities) -> Share {
        match self {
            Self::Ratio(name, ratio) => ratio.share(name, total),
            Self::Fixed(fixed) => fixed.share(),
        }
    }

    /// Which of two siblings comes first.
    pub(super) fn compare(&self, other: &Self, total: &Quantities) -> Ordering {
        (self.prefix().cmp(&other.prefix()))
            .then_with(|| self.share(total).cmp(&other.share(total)))
            .then_with(|| self.tie().cmp(&other.tie()))
    }
}

impl Ratio {
    fn share(&self, name: &ResourceName, total: &Quantities) -> Share {
        Share::of(self.claimed, total.get(name), u64::from(self.weight_millis))
    }
}

impl Fixed {
    fn share(&self) -> Share {
        Share {
            numerator: self.share,
            denominator: 1 << POINT,
        }
    }
}

/// The children of one node that are in the order.
#[derive(Debug, Clone, Default)]
pub(super) struct Siblings {
    ratios: BTreeMap<ResourceName, BTreeSet<Ratio>>,
    fixed: BTreeSet<Fixed>,
}

impl Siblings {
    pub(super) fn insert(&mut self, place: Place) {
        match place {
            Place::Ratio(name, ratio) => drop(self.ratios.entry(name).or_default().insert(ratio)),
            Place::Fixed(fixed) => drop(self.fixed.insert(fixed)),
        }
    }

    pub(super) fn remove(&mut self, place: &Place) {
        match place {
            Place::Ratio(name, ratio) => {
                let group = self.ratios.get_mut(name);
                group.map(|group| group.remove(ratio));
            }
            Place::Fixed(fixed) => drop(self.fixed.remove(fixed)),
        }
    }

    /// The first child, if every place is true.
    pub(super) fn head(&self, total: &Quantities) -> Option<Child> {
        let ratios = self.ratios.iter().filter_map(|(name, group)| {
            let head = group.first()?;
            Some((head.prefix, head.share(name, total), head.tie))
        });
        let fixed = self
            .fixed
            .first()
            .map(|head| (head.prefix, head.share(), head.tie));
        ratios.chain(fixed).min().map(|(_, _, tie)| tie.child)
    }

    pub(super) fn len(&self) -> usize {
        self.ratios.values().map(BTreeSet::len).sum::<usize>() + self.fixed.len()
    }
}
