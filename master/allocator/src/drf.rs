//! Hierarchical weighted Dominant Resource Fairness (Ghodsi et al., NSDI 2011), as Mesos practises it.
//!
//! Going down the tree of roles, each agent's whole remainder goes to the child with the lowest dominant share
//! over its weight, and within a role to the framework with the lowest dominant share. Shares are exact; a role's
//! share is over everything claimed in and below it. Of equals, the one with fewer offers so far comes first, then
//! the one that registered first. A role that has both frameworks and roles below it competes with the latter
//! through its own frameworks as one child of weight 1. Agents are visited in an order shuffled under the seed.
//!
//! Known limit: a framework that alone can use a scarce resource raises the share of its role, and so holds its
//! sibling roles back (naive H-DRF; Bhattacharya et al., SoCC 2013). To leave such a one out of the sum, the
//! allocator would have to know which frameworks are blocked, and they do not state what they need.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::{FrameworkId, Role};
use rand::seq::SliceRandom;

use crate::allocator::{Pending, standing_reason};
use crate::ledger::DEFAULT_WEIGHT_MILLIS;
use crate::round::is_allocatable;
use crate::{Allocator, Change, Counted, Ledger, OfferError, Outcome, Reason, Round, Share, Usage};

#[derive(Debug, Default)]
pub(crate) struct Drf {
    pending: Pending,
    passed_over: BTreeMap<FrameworkId, BTreeMap<Reason, u64>>,
}

impl Allocator for Drf {
    fn name(&self) -> &'static str {
        "drf"
    }

    fn observe(&mut self, _ledger: &Ledger, change: &Change) {
        self.pending.observe(change);
        if let Change::FrameworkRemoved(framework) = change {
            self.passed_over.remove(framework);
        }
    }

    fn allocate(&mut self, round: &mut Round<'_>) -> Outcome {
        let mut agents = self.pending.agents(round.ledger());
        agents.shuffle(round.rng());
        let mut ranking = ranking(round.ledger());
        for agent in agents {
            if round.is_spent() {
                return Outcome {
                    more: true,
                    next: None,
                };
            }
            self.pending.done(&agent);
            let entry = round.ledger().agent(&agent).filter(|entry| entry.active);
            let Some(free) = entry.map(|entry| entry.free.clone()) else {
                continue;
            };
            if !is_allocatable(&free) {
                self.pass_over(&ranking, Reason::NothingFree);
                round.spend(ranking.len());
                continue;
            }
            for (nth, (framework, role)) in ranking.iter().enumerate() {
                match round.offer(framework, role, &agent, &free) {
                    Ok(()) => {
                        self.passed_over.remove(framework);
                        self.pass_over(&ranking[nth + 1..], Reason::LowerShareFirst);
                        round.spend(ranking.len() - nth - 1);
                        ranking = self::ranking(round.ledger());
                        break;
                    }
                    Err(OfferError::Filtered) => self.pass_over(&ranking[nth..=nth], Reason::Refused),
                    Err(
                        OfferError::NotWanting
                        | OfferError::NotThere
                        | OfferError::TooSmall
                        | OfferError::DoesNotFit,
                    ) => {}
                }
            }
        }
        let next = round.ledger().next_filter_expiry();
        Outcome { more: false, next }
    }

    fn explain(&self, ledger: &Ledger, framework: &FrameworkId) -> Vec<Counted<Reason>> {
        let standing = standing_reason(ledger, framework).map(|what| Counted { what, count: 1 });
        let counts = self.passed_over.get(framework).into_iter().flatten();
        let counts = counts.map(|(what, count)| Counted {
            what: *what,
            count: *count,
        });
        standing.into_iter().chain(counts).collect()
    }
}

impl Drf {
    fn pass_over(&mut self, ranking: &[(FrameworkId, Role)], reason: Reason) {
        for (framework, _) in ranking {
            let counts = self.passed_over.entry(framework.clone()).or_default();
            *counts.entry(reason).or_default() += 1;
        }
    }
}

/// Where a child stands among its siblings; the lowest comes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    share: Share,
    n_offers: u64,
    order: u64,
}

/// One role of the tree, as far as frameworks in or below it want offers.
#[derive(Debug, Default)]
struct Node {
    children: BTreeSet<Role>,
    /// With the order of their registration.
    frameworks: Vec<(u64, FrameworkId)>,
    /// The earliest registration in or below.
    order: Option<u64>,
}

/// The tree of roles in which offers are wanted.
struct Tree<'a> {
    ledger: &'a Ledger,
    top: BTreeSet<Role>,
    nodes: BTreeMap<Role, Node>,
}

/// Everybody who wants offers, in the order in which an agent is offered to them.
fn ranking(ledger: &Ledger) -> Vec<(FrameworkId, Role)> {
    let tree = Tree::new(ledger);
    let top = tree.top.iter().map(|role| tree.ranked_role(role)).collect();
    merge(top)
}

type Ranked = (Standing, Vec<(FrameworkId, Role)>);

fn merge(mut children: Vec<Ranked>) -> Vec<(FrameworkId, Role)> {
    children.sort_by(|a, b| a.0.cmp(&b.0));
    children.into_iter().flat_map(|(_, ranking)| ranking).collect()
}

impl<'a> Tree<'a> {
    fn new(ledger: &'a Ledger) -> Self {
        let (mut top, mut nodes) = (BTreeSet::new(), BTreeMap::<Role, Node>::new());
        for (id, entry) in ledger.frameworks() {
            for role in entry.wanting() {
                let node = nodes.entry(role.clone()).or_default();
                node.frameworks.push((entry.order, id.clone()));
                let mut at = role.clone();
                loop {
                    let node = nodes.entry(at.clone()).or_default();
                    node.order = Some(node.order.map_or(entry.order, |order| order.min(entry.order)));
                    let Some(parent) = at.parent() else {
                        top.insert(at);
                        break;
                    };
                    nodes.entry(parent.clone()).or_default().children.insert(at);
                    at = parent;
                }
            }
        }
        Self { ledger, top, nodes }
    }

    fn ranked_role(&self, role: &Role) -> Ranked {
        let node = &self.nodes[role];
        let standing = |usage, weight| self.standing(usage, weight, node.order.unwrap_or(u64::MAX));
        let own = node.frameworks.iter().map(|(order, framework)| {
            let usage = self.ledger.leaf(role, framework);
            let place = self.standing(usage, DEFAULT_WEIGHT_MILLIS, *order);
            (place, vec![(framework.clone(), role.clone())])
        });
        let own = merge(own.collect());
        let ranking = if node.children.is_empty() {
            own
        } else {
            let order = node.frameworks.iter().map(|(order, _)| *order).min();
            let virtual_leaf = order.map(|order| {
                let usage = self.ledger.role(role);
                (self.standing(usage, DEFAULT_WEIGHT_MILLIS, order), own)
            });
            let below = node.children.iter().map(|child| self.ranked_role(child));
            merge(below.chain(virtual_leaf).collect())
        };
        let usage = self.ledger.subtree(role);
        (standing(usage, self.ledger.weight_millis(role)), ranking)
    }

    fn standing(&self, usage: Option<&Usage>, weight_millis: u64, order: u64) -> Standing {
        Standing {
            share: usage.map_or(Share::ZERO, |u| u.share(self.ledger.total(), weight_millis)),
            n_offers: usage.map_or(0, |usage| usage.n_offers),
            order,
        }
    }
}
