//! Progressive filling: who is next is the order's to say, where and how much is decided here. Cost follows change.
//!
//! Agents with something free stand in a log, by when they last changed. A leaf has a cursor into it: what is older was
//! looked at and is of no use to it until it changes. So a pair is examined once a change, and a round that was cut
//! short goes on where it ended. Within a round, a leaf that found nothing is blocked: it is asked again in the next.

mod gangs;
mod holds;
mod log;
mod place;
mod waiters;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use proffer_types::{GangId, Shape, ShapeId};
use rand_chacha::ChaCha8Rng;

use crate::ledger::{AgentIx, Handle as _, LeafIx, Ledger, RoleIx};
use crate::{Allocator, Change, Outcome, Round};
use log::Log;
use place::Served;
use waiters::Waiters;

/// Who is next: the part of an allocator that makes it fair, or not.
pub trait Order: fmt::Debug + Send {
    /// The allocator's name.
    fn name(&self) -> &'static str;
    /// A leaf wants something; it is not in the order, or was blocked.
    fn insert(&mut self, ledger: &Ledger, leaf: LeafIx);
    /// A leaf wants nothing more, or is gone. Nothing happens when it is neither in the order nor blocked.
    fn remove(&mut self, ledger: &Ledger, leaf: LeafIx);
    /// A leaf in the order found nothing in this round.
    fn block(&mut self, ledger: &Ledger, leaf: LeafIx) {
        self.remove(ledger, leaf);
    }
    /// What a leaf has, or what there is in all, changed.
    fn charged(&mut self, ledger: &Ledger, leaf: LeafIx);
    /// The first of those in the order.
    fn first(&mut self, ledger: &Ledger, rng: &mut ChaCha8Rng) -> Option<LeafIx>;
    /// Whether one of two leaves in the order comes before the other.
    fn before(&mut self, ledger: &Ledger, one: LeafIx, other: LeafIx) -> bool;
    /// Who of some leaves in the order is next, where all others have nothing new to look at.
    fn among(&mut self, ledger: &Ledger, _: &mut ChaCha8Rng, leaves: &[LeafIx]) -> Option<LeafIx> {
        let leaves = leaves.iter().copied();
        leaves.reduce(|best, leaf| {
            if self.before(ledger, leaf, best) {
                leaf
            } else {
                best
            }
        })
    }
    /// Settings of a role changed, or the totals did.
    fn refresh(&mut self, ledger: &Ledger, what: Refresh);
    /// Compares what is kept with what the ledger says, for the leaves that are in the order. Panics with what differs.
    fn check(&self, ledger: &Ledger, leaves: &BTreeSet<LeafIx>);
}

/// What changed beneath all leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Weight, priority or quota of a role.
    Role(RoleIx),
    /// What there is in all.
    Totals,
    /// What is reserved to roles.
    Reservations,
}

/// With more leaves than this that have something new to look at, all are walked in order instead.
const MAX_PICKED: usize = 32;

/// What is remembered of one leaf.
#[derive(Debug, Default)]
struct Seen {
    /// In the order, or blocked.
    wants: bool,
    blocked: bool,
    /// Where the log was looked at for whole remainders.
    cursor: u64,
    /// And for each shape.
    shapes: BTreeMap<ShapeId, SeenShape>,
    /// And for each gang, with its shapes as they were then.
    gangs: BTreeMap<GangId, (u64, Vec<Arc<Shape>>)>,
    /// Agents to look at again, whatever the cursor says: a filter expired.
    again: BTreeSet<AgentIx>,
}

/// What is remembered of one shape.
#[derive(Debug)]
struct SeenShape {
    /// As it was then.
    shape: Arc<Shape>,
    cursor: u64,
    /// Which of the agents to look at again were looked at, so that a small budget comes to an end.
    again_after: Option<AgentIx>,
}

impl SeenShape {
    fn new(shape: &Arc<Shape>) -> Self {
        Self {
            shape: Arc::clone(shape),
            cursor: 0,
            again_after: None,
        }
    }
}

impl Seen {
    fn forget(&mut self) {
        self.cursor = 0;
        self.shapes.clear();
        self.gangs.clear();
    }

    fn look_again(&mut self, agent: AgentIx) {
        self.again.insert(agent);
        self.gangs.clear();
        self.shapes.values_mut().for_each(|seen| seen.again_after = None);
    }

    /// What was to be looked at again was looked at.
    fn looked_again(&mut self) {
        self.again.clear();
        self.shapes.values_mut().for_each(|seen| seen.again_after = None);
    }
}

/// An allocator around an order.
#[derive(Debug)]
pub struct Engine<O> {
    order: O,
    log: Log,
    leaves: Vec<Seen>,
    /// Leaves that have something to look at though the log is settled.
    fresh: BTreeSet<LeafIx>,
    /// Leaves that found nothing in this round.
    blocked: Vec<LeafIx>,
    /// Leaves that quota kept from something: what others give back may be theirs, wherever it is.
    bounded: BTreeSet<LeafIx>,
    /// Agents with reservations when they were last looked at.
    with_kinds: BTreeSet<AgentIx>,
    waiting: Waiters,
    changed: Vec<Change>,
    /// Roles of leaves that gave something back, and those above them, as they were then.
    gave_back: BTreeSet<RoleIx>,
}

impl<O: Order> Engine<O> {
    /// An allocator that asks `order` who is next.
    #[must_use]
    pub fn new(order: O) -> Self {
        Self {
            order,
            log: Log::default(),
            leaves: Vec::new(),
            fresh: BTreeSet::new(),
            blocked: Vec::new(),
            bounded: BTreeSet::new(),
            with_kinds: BTreeSet::new(),
            waiting: Waiters::default(),
            changed: Vec::new(),
            gave_back: BTreeSet::new(),
        }
    }

    fn seen(&mut self, leaf: LeafIx) -> &mut Seen {
        if self.leaves.len() <= leaf.at() {
            self.leaves.resize_with(leaf.at() + 1, Seen::default);
        }
        &mut self.leaves[leaf.at()]
    }

    /// Brings everything in step with the ledger, as far as changes were heard of. Leaves go before others come: a
    /// handle may have been given to another in between.
    fn follow(&mut self, ledger: &Ledger) {
        let mut changes = std::mem::take(&mut self.changed);
        // Stable: it comes in runs that are sorted, which a stable sort only merges.
        changes.sort();
        changes.dedup();
        for change in &changes {
            if let Change::Leaf(leaf) = change {
                self.drop_leaf(ledger, *leaf);
                self.seen(*leaf).forget();
            }
        }
        let (mut released, mut left, mut roles, mut reserved) = (false, false, false, false);
        for change in &changes {
            match change {
                Change::Agent(agent) => {
                    self.log.follow(ledger, *agent);
                    released = true;
                    self.order.refresh(ledger, Refresh::Totals);
                    let kinds = ledger
                        .agent(*agent)
                        .is_some_and(|agent| agent.total().has_kinds());
                    let had_kinds = match kinds {
                        true => !self.with_kinds.insert(*agent),
                        false => self.with_kinds.remove(agent),
                    };
                    reserved |= kinds || had_kinds;
                }
                Change::Released(agent, leaf, role) => {
                    self.log.follow(ledger, *agent);
                    released = true;
                    self.follow_leaf(ledger, *leaf);
                    if ledger.leaf(*leaf).is_some_and(|leaf| leaf.states_demand()) {
                        // What an offer had room for is wanted again, elsewhere perhaps.
                        self.fresh.insert(*leaf);
                    }
                    left |= ledger.leaf(*leaf).is_none_or(|leaf| leaf.role != *role);
                }
                Change::Claimed(agent, leaf) => {
                    self.log.shrink(ledger, *agent);
                    self.follow_leaf(ledger, *leaf);
                }
                Change::Leaf(leaf) | Change::Demand(leaf) => {
                    self.follow_leaf(ledger, *leaf);
                    self.waiting.insert(ledger, *leaf);
                    self.fresh.insert(*leaf);
                }
                Change::Role(role) => {
                    self.order.refresh(ledger, Refresh::Role(*role));
                    roles = true;
                }
                Change::FilterExpired(agent, leaf) => {
                    self.seen(*leaf).look_again(*agent);
                    self.fresh.insert(*leaf);
                }
            }
        }
        if roles {
            self.look_at_all_again();
        }
        if reserved && ledger.has_guarantees() {
            self.order.refresh(ledger, Refresh::Reservations);
        }
        let gave_back = std::mem::take(&mut self.gave_back);
        if left {
            // A leaf was dropped since; those above it have less all the same.
            for role in gave_back {
                self.order.refresh(ledger, Refresh::Role(role));
            }
        }
        if released {
            for leaf in std::mem::take(&mut self.bounded) {
                self.seen(leaf).forget();
                self.fresh.insert(leaf);
            }
        }
    }

    fn look_at_all_again(&mut self) {
        self.log.unsettle();
        self.leaves.iter_mut().for_each(Seen::forget);
    }

    fn drop_leaf(&mut self, ledger: &Ledger, leaf: LeafIx) {
        self.order.remove(ledger, leaf);
        let seen = self.seen(leaf);
        seen.wants = false;
        if std::mem::take(&mut seen.blocked) {
            self.blocked.retain(|other| *other != leaf);
        }
    }

    /// Puts a leaf where it belongs: into the order, out of it, or elsewhere in it.
    fn follow_leaf(&mut self, ledger: &Ledger, leaf: LeafIx) {
        let wants = ledger.leaf(leaf).is_some_and(|leaf| leaf.wants());
        match (self.seen(leaf).wants, wants) {
            (true, true) => self.order.charged(ledger, leaf),
            (false, true) => {
                self.seen(leaf).wants = true;
                self.order.insert(ledger, leaf);
                self.waiting.insert(ledger, leaf);
            }
            (true, false) => self.drop_leaf(ledger, leaf),
            // What it has still counts for those above it.
            (false, false) => self.order.charged(ledger, leaf),
        }
    }

    /// Who is to be served next, if anybody has anything left to look at.
    fn next(&mut self, round: &mut Round<'_>) -> Option<LeafIx> {
        let (ledger, rng) = round.parts();
        if self.log.is_settled() && self.fresh.len() <= MAX_PICKED {
            let open = self.fresh.iter().copied().filter(|leaf| {
                let seen = self.leaves.get(leaf.at());
                seen.is_some_and(|seen| seen.wants && !seen.blocked)
            });
            return self.order.among(ledger, rng, &open.collect::<Vec<_>>());
        }
        self.order.first(ledger, rng)
    }

    fn block(&mut self, ledger: &Ledger, leaf: LeafIx) {
        self.order.block(ledger, leaf);
        self.seen(leaf).blocked = true;
        self.blocked.push(leaf);
        self.fresh.remove(&leaf);
    }

    /// The round is over: everybody looked at everything.
    fn settle(&mut self, ledger: &Ledger) {
        self.log.settle();
        self.fresh.clear();
        self.unblock(ledger);
    }

    fn unblock(&mut self, ledger: &Ledger) {
        for leaf in std::mem::take(&mut self.blocked) {
            self.seen(leaf).blocked = false;
            self.order.insert(ledger, leaf);
        }
    }
}

impl<O: Order> Allocator for Engine<O> {
    fn name(&self) -> &'static str {
        self.order.name()
    }

    fn observe(&mut self, ledger: &Ledger, change: &Change) {
        if let Change::Released(_, _, role) = change {
            self.gave_back.extend(ledger.lineage(*role));
        }
        self.changed.push(*change);
    }

    fn allocate(&mut self, round: &mut Round<'_>) -> Outcome {
        if !self.changed.is_empty() || holds::is_one_over(round) {
            // Those that found nothing before the change may find something now.
            self.unblock(round.ledger());
            self.follow(round.ledger());
            self.serve_holders(round);
        }
        while !(self.log.is_empty() || self.log.is_settled() && self.fresh.is_empty()) {
            if round.is_spent() {
                return Outcome {
                    more: true,
                    next: None,
                };
            }
            let Some(leaf) = self.next(round) else {
                break;
            };
            match self.serve(round, leaf) {
                Served::Something => self.follow_leaf(round.ledger(), leaf),
                Served::Nothing => self.block(round.ledger(), leaf),
                Served::CutShort => {}
            }
        }
        self.settle(round.ledger());
        Outcome {
            more: false,
            next: self.place_holds(round),
        }
    }

    fn check(&self, ledger: &Ledger) {
        self.log.check(ledger);
        let wanting: BTreeSet<_> = ledger
            .leaves()
            .filter(|(_, leaf)| leaf.wants())
            .map(|(ix, _)| ix)
            .collect();
        let blocked: BTreeSet<_> = self.blocked.iter().copied().collect();
        for (at, seen) in self.leaves.iter().enumerate() {
            let leaf = LeafIx::new(u32::try_from(at).expect("a handle is a u32"));
            assert_eq!(
                seen.wants,
                wanting.contains(&leaf),
                "whether leaf {at} wants something"
            );
            assert_eq!(
                seen.blocked,
                blocked.contains(&leaf),
                "whether leaf {at} is blocked"
            );
        }
        self.order
            .check(ledger, &wanting.difference(&blocked).copied().collect());
    }
}
