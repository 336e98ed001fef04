//! Where a child belongs, by what the ledger says: its share, mixed of those below it where they are several.

use std::cmp::Reverse;

use super::super::mix::{Vector, dominant, on_top, vector};
use super::super::siblings::{Child, Fixed, NodeIx, Place, Prefix, Tie};
use super::{Tree, Who};
use crate::Quantities;
use crate::ledger::{DEFAULT_WEIGHT_MILLIS, Ledger, ROOT, RoleIx};

impl Tree {
    /// Where a child belongs by what the ledger says now.
    pub(super) fn place(&self, ledger: &Ledger, child: Child) -> Place {
        let total = ledger.total();
        let (weight, prefix) = (self.weight(ledger, child), self.prefix(ledger, child));
        match child {
            Child::Leaf(leaf) => {
                let Some(entry) = ledger.leaf(leaf) else {
                    // Gone, which the tree is about to hear.
                    let (n_offers, order) = (u64::MAX, u64::MAX);
                    let tie = Tie {
                        n_offers,
                        order,
                        role: ROOT,
                        child,
                    };
                    return Place::of(&Quantities::default(), total, weight, prefix, tie);
                };
                let (n_offers, order) = (entry.usage.n_offers, entry.order);
                let tie = Tie {
                    n_offers,
                    order,
                    role: ROOT,
                    child,
                };
                Place::of(&entry.usage.claimed, total, weight, prefix, tie)
            }
            Child::Node(ix) => {
                let order = self.first_order(ix).unwrap_or(u64::MAX);
                let tie = Tie {
                    n_offers: self.n_offers(ledger, ix),
                    order,
                    role: match self.node(ix).who {
                        Who::Role(role) | Who::Own(role) => role,
                    },
                    child,
                };
                if self.is_mixture(ledger, ix) {
                    let share = dominant(&self.vector(ledger, child));
                    let share = share * 1000 / u128::from(weight.max(1));
                    Place::Fixed(Fixed { prefix, share, tie })
                } else {
                    Place::of(&self.claimed(ledger, ix), total, weight, prefix, tie)
                }
            }
        }
    }

    /// Whether the share of a node is made of several, and not that of the one leaf below it.
    pub(super) fn is_mixture(&self, ledger: &Ledger, ix: NodeIx) -> bool {
        let node = self.node(ix);
        if node.members.len() > 1 {
            return true;
        }
        let mixture_below = node.members.iter().any(|(_, child)| match child {
            Child::Node(below) => self.is_mixture(ledger, *below),
            Child::Leaf(_) => false,
        });
        mixture_below || self.mixed && !self.others(ledger, ix).is_empty()
    }

    /// What is claimed below a node by those who can use, or want, nothing more.
    pub(super) fn others(&self, ledger: &Ledger, ix: NodeIx) -> Quantities {
        let mut others = self.claimed(ledger, ix);
        match self.only_active(ix) {
            Some(only) => others.take_out(&self.claimed_by(ledger, only)),
            None => others.take_out(self.node(ix).mix.held()),
        }
        others
    }

    /// The one below a node, if there is just one and it is in the order: nothing has to be mixed there.
    pub(super) fn only_active(&self, ix: NodeIx) -> Option<Child> {
        let members = &self.node(ix).members;
        let only = members.first().filter(|_| members.len() == 1);
        only.map(|(_, child)| *child)
            .filter(|child| self.is_active(*child))
    }

    pub(super) fn vector(&self, ledger: &Ledger, child: Child) -> Vector {
        match child {
            Child::Leaf(leaf) => {
                let claimed = ledger.leaf(leaf).map(|leaf| &leaf.usage.claimed);
                claimed
                    .map(|claimed| vector(claimed, ledger.total()))
                    .unwrap_or_default()
            }
            Child::Node(ix) if self.is_mixture(ledger, ix) => {
                let others = vector(&self.others(ledger, ix), ledger.total());
                match self.only_active(ix) {
                    Some(only) => on_top(&self.vector(ledger, only), &others),
                    None => self.node(ix).mix.vector(&others),
                }
            }
            Child::Node(ix) => vector(&self.claimed(ledger, ix), ledger.total()),
        }
    }

    /// All that is claimed in and below a node, or by its role itself.
    pub(super) fn claimed(&self, ledger: &Ledger, ix: NodeIx) -> Quantities {
        match self.node(ix).who {
            Who::Role(role) => ledger
                .role(role)
                .map(|role| role.usage.claimed.clone())
                .unwrap_or_default(),
            Who::Own(role) => {
                let Some(entry) = ledger.role(role) else {
                    return Quantities::default();
                };
                let mut own = entry.usage.claimed.clone();
                for child in entry.children().filter_map(|child| ledger.role(child)) {
                    own.take_out(&child.usage.claimed);
                }
                own
            }
        }
    }

    pub(super) fn claimed_by(&self, ledger: &Ledger, child: Child) -> Quantities {
        match child {
            Child::Leaf(leaf) => ledger
                .leaf(leaf)
                .map(|leaf| leaf.usage.claimed.clone())
                .unwrap_or_default(),
            Child::Node(ix) => self.claimed(ledger, ix),
        }
    }

    pub(super) fn n_offers(&self, ledger: &Ledger, ix: NodeIx) -> u64 {
        let all = |role: RoleIx| ledger.role(role).map_or(0, |role| role.usage.n_offers);
        match self.node(ix).who {
            Who::Role(role) => all(role),
            Who::Own(role) => {
                let below = ledger.role(role).into_iter().flat_map(|entry| entry.children());
                all(role) - below.map(all).sum::<u64>()
            }
        }
    }

    pub(super) fn weight(&self, ledger: &Ledger, child: Child) -> u64 {
        match child {
            Child::Node(ix) => match self.node(ix).who {
                Who::Role(role) => ledger
                    .role(role)
                    .map_or(DEFAULT_WEIGHT_MILLIS, |role| role.config.weight_millis),
                Who::Own(_) => DEFAULT_WEIGHT_MILLIS,
            },
            Child::Leaf(_) => DEFAULT_WEIGHT_MILLIS,
        }
    }

    pub(super) fn prefix(&self, ledger: &Ledger, child: Child) -> Prefix {
        let role = |ix: RoleIx| ledger.role(ix);
        let (sated, priority) = match child {
            Child::Leaf(_) => (true, 0),
            Child::Node(ix) => match self.node(ix).who {
                Who::Role(ix) => {
                    role(ix).map_or((true, 0), |role| (role.unmet().is_empty(), role.config.priority))
                }
                Who::Own(ix) => (role(ix).is_none_or(|role| !role.wants_for_itself()), 0),
            },
        };
        let priority = Reverse(if self.by_priority { priority } else { 0 });
        Prefix { priority, sated }
    }
}
