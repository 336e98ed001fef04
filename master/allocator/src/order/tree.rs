//! The tree of roles as far as leaves below want something, with everybody's place among their siblings.
//!
//! Below the root stand top-level roles; below a role its own frameworks, taken together as one child of weight 1, and
//! the roles below it. A claim moves one leaf and the nodes above it: O(depth log children).

mod check;
mod shares;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::mix::Mix;
use super::siblings::{Child, NodeIx, Place, Siblings};
use crate::ledger::{Handle as _, LeafIx, Ledger, ROOT, RoleIx, Slots};

/// Whom a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// A role with all below it.
    Role(RoleIx),
    /// The frameworks of a role itself.
    Own(RoleIx),
}

#[derive(Debug, Clone)]
struct Node {
    who: Who,
    parent: Option<NodeIx>,
    /// Those below that want something, by order of registration.
    members: BTreeSet<(u64, Child)>,
    /// How many of them are in the order.
    n_active: usize,
    siblings: Siblings,
    mix: Mix,
    /// Where it stands among its own siblings; kept only where it has any.
    place: Option<Place>,
}

#[derive(Debug, Clone)]
struct Slot {
    node: NodeIx,
    order: u64,
    active: bool,
    place: Option<Place>,
}

#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: Slots<NodeIx, Node>,
    by_who: BTreeMap<Who, NodeIx>,
    slots: Vec<Option<Slot>>,
    by_priority: bool,
    /// Some node has more than one node below it: only then do the shares of nodes matter.
    mixed: bool,
    /// The totals are others than those that shares were mixed with.
    stale: bool,
}

const TOP: NodeIx = NodeIx(0);

impl Tree {
    pub(super) fn new(by_priority: bool) -> Self {
        let mut tree = Self {
            nodes: Slots::default(),
            by_who: BTreeMap::new(),
            slots: Vec::new(),
            by_priority,
            mixed: false,
            stale: false,
        };
        tree.new_node(Who::Role(ROOT), None);
        tree
    }

    pub(super) fn by_priority(&self) -> bool {
        self.by_priority
    }

    fn new_node(&mut self, who: Who, parent: Option<NodeIx>) -> NodeIx {
        let ix = self.nodes.insert(Node {
            who,
            parent,
            members: BTreeSet::new(),
            n_active: 0,
            siblings: Siblings::default(),
            mix: Mix::default(),
            place: None,
        });
        self.by_who.insert(who, ix);
        ix
    }

    fn node(&self, ix: NodeIx) -> &Node {
        &self.nodes[ix]
    }

    fn node_mut(&mut self, ix: NodeIx) -> &mut Node {
        &mut self.nodes[ix]
    }

    fn slot(&self, leaf: LeafIx) -> Option<&Slot> {
        self.slots.get(leaf.at())?.as_ref()
    }

    /// A leaf wants something: it becomes part of the order, or is part of it again.
    pub(super) fn insert(&mut self, ledger: &Ledger, leaf: LeafIx) {
        if self.slot(leaf).is_none() {
            let Some(entry) = ledger.leaf(leaf) else {
                return;
            };
            let node = self.ensure(ledger, Who::Own(entry.role));
            if self.slots.len() <= leaf.at() {
                self.slots.resize_with(leaf.at() + 1, || None);
            }
            self.slots[leaf.at()] = Some(Slot {
                node,
                order: entry.order,
                active: false,
                place: None,
            });
            self.add_member(ledger, node, entry.order, Child::Leaf(leaf));
        }
        if let Some(slot) = self.slots[leaf.at()].as_mut()
            && !slot.active
        {
            slot.active = true;
            let node = slot.node;
            self.activate(ledger, node, Child::Leaf(leaf));
        }
    }

    /// A leaf that can use nothing now: it stays a member, and counts for nothing.
    pub(super) fn block(&mut self, ledger: &Ledger, leaf: LeafIx) {
        if let Some(slot) = self.slots.get_mut(leaf.at()).and_then(Option::as_mut)
            && slot.active
        {
            slot.active = false;
            let node = slot.node;
            self.deactivate(ledger, node, Child::Leaf(leaf));
        }
    }

    /// A leaf wants nothing more, or is gone.
    pub(super) fn remove(&mut self, ledger: &Ledger, leaf: LeafIx) {
        self.block(ledger, leaf);
        if let Some(slot) = self.slots.get_mut(leaf.at()).and_then(Option::take) {
            self.remove_member(ledger, slot.node, slot.order, Child::Leaf(leaf));
        }
    }

    fn ensure(&mut self, ledger: &Ledger, who: Who) -> NodeIx {
        if let Some(ix) = self.by_who.get(&who) {
            return *ix;
        }
        let parent = match who {
            Who::Own(role) => Who::Role(role),
            Who::Role(role) => Who::Role(ledger.role(role).and_then(|role| role.parent).unwrap_or(ROOT)),
        };
        let parent = self.ensure(ledger, parent);
        self.new_node(who, Some(parent))
    }

    fn add_member(&mut self, ledger: &Ledger, ix: NodeIx, order: u64, child: Child) {
        let old = self.first_order(ix);
        let node = self.node_mut(ix);
        node.members.insert((order, child));
        if node.members.len() == 2 {
            let others: Vec<_> = node.members.iter().map(|(_, member)| *member).collect();
            if !self.mixed && matches!(child, Child::Node(_)) {
                self.mixed = true;
                self.mix_all(ledger);
            }
            for other in others.into_iter().filter(|other| *other != child) {
                self.put(ledger, ix, other);
            }
        }
        match old {
            None => {
                if let Some(parent) = self.node(ix).parent {
                    self.add_member(ledger, parent, order, Child::Node(ix));
                }
            }
            Some(old) => self.reorder(ledger, ix, old),
        }
    }

    fn remove_member(&mut self, ledger: &Ledger, ix: NodeIx, order: u64, child: Child) {
        let old = self.first_order(ix);
        let node = self.node_mut(ix);
        node.members.remove(&(order, child));
        match node.members.len() {
            1 => node.mix = Mix::default(),
            _ => node.mix.release(child),
        }
        match (self.node(ix).members.is_empty(), old) {
            (true, Some(old)) => {
                let (who, parent) = (self.node(ix).who, self.node(ix).parent);
                if let Some(parent) = parent {
                    self.remove_member(ledger, parent, old, Child::Node(ix));
                    self.by_who.remove(&who);
                    self.nodes.remove(ix);
                }
            }
            (_, Some(old)) => {
                self.reorder(ledger, ix, old);
                // What those left have is counted in another way.
                self.rise(ledger, ix);
            }
            (_, None) => {}
        }
    }

    fn first_order(&self, ix: NodeIx) -> Option<u64> {
        self.node(ix).members.first().map(|(order, _)| *order)
    }

    /// The earliest registration below a node may be another by now.
    fn reorder(&mut self, ledger: &Ledger, ix: NodeIx, old: u64) {
        let (new, parent) = (self.first_order(ix), self.node(ix).parent);
        let (Some(new), Some(parent)) = (new, parent) else {
            return;
        };
        if new == old {
            return;
        }
        let first = self.first_order(parent).unwrap_or(old);
        let members = &mut self.node_mut(parent).members;
        members.remove(&(old, Child::Node(ix)));
        members.insert((new, Child::Node(ix)));
        self.put(ledger, parent, Child::Node(ix));
        self.reorder(ledger, parent, first);
    }

    fn activate(&mut self, ledger: &Ledger, ix: NodeIx, child: Child) {
        self.node_mut(ix).n_active += 1;
        self.put(ledger, ix, child);
        if self.node(ix).n_active == 1
            && let Some(parent) = self.node(ix).parent
        {
            self.activate(ledger, parent, Child::Node(ix));
        } else {
            self.rise(ledger, ix);
        }
    }

    fn deactivate(&mut self, ledger: &Ledger, ix: NodeIx, child: Child) {
        self.node_mut(ix).n_active -= 1;
        self.take_out(ix, child);
        self.node_mut(ix).mix.unset(child);
        self.node_mut(ix).mix.release(child);
        if self.node(ix).n_active == 0
            && let Some(parent) = self.node(ix).parent
        {
            self.deactivate(ledger, parent, Child::Node(ix));
        } else {
            self.rise(ledger, ix);
        }
    }

    fn is_active(&self, child: Child) -> bool {
        match child {
            Child::Leaf(leaf) => self.slot(leaf).is_some_and(|slot| slot.active),
            Child::Node(ix) => self.node(ix).n_active > 0,
        }
    }

    fn take_out(&mut self, ix: NodeIx, child: Child) {
        let place = match child {
            Child::Leaf(leaf) => self.slots[leaf.at()].as_mut().and_then(|slot| slot.place.take()),
            Child::Node(node) => self.node_mut(node).place.take(),
        };
        if let Some(place) = place {
            self.node_mut(ix).siblings.remove(&place);
        }
    }

    /// Puts a child where it belongs among its siblings, and into the share of its node.
    fn put(&mut self, ledger: &Ledger, ix: NodeIx, child: Child) {
        self.take_out(ix, child);
        if !self.is_active(child) {
            return;
        }
        if self.mixed && ix != TOP && self.node(ix).members.len() > 1 {
            let claimed = self.claimed_by(ledger, child);
            self.node_mut(ix).mix.hold(child, claimed);
            let (vector, weight) = (self.vector(ledger, child), self.weight(ledger, child));
            self.node_mut(ix).mix.set(child, &vector, weight);
        }
        if self.node(ix).members.len() > 1 {
            let place = self.place(ledger, child);
            match child {
                Child::Leaf(leaf) => {
                    if let Some(slot) = self.slots[leaf.at()].as_mut() {
                        slot.place = Some(place.clone());
                    }
                }
                Child::Node(node) => self.node_mut(node).place = Some(place.clone()),
            }
            self.node_mut(ix).siblings.insert(place);
        }
    }

    /// What a leaf has, or what is below a node, changed: it and all above it move.
    fn rise(&mut self, ledger: &Ledger, ix: NodeIx) {
        let mut at = ix;
        while let Some(parent) = self.node(at).parent {
            if self.mixed || self.node(parent).members.len() > 1 {
                self.put(ledger, parent, Child::Node(at));
            }
            // What a role still wants for itself depends on what those below it have.
            if ledger.has_guarantees()
                && let Who::Role(role) = self.node(parent).who
                && let Some(own) = self.by_who.get(&Who::Own(role)).copied()
            {
                self.put(ledger, parent, Child::Node(own));
            }
            at = parent;
        }
    }

    /// A leaf has more or less than before.
    pub(super) fn charged(&mut self, ledger: &Ledger, leaf: LeafIx) {
        if let Some(slot) = self.slot(leaf) {
            let node = slot.node;
            self.put(ledger, node, Child::Leaf(leaf));
            self.rise(ledger, node);
            return;
        }
        // It wants nothing, but what it has counts for the roles above it.
        let Some(entry) = ledger.leaf(leaf) else {
            return;
        };
        self.role_changed(ledger, entry.role);
    }

    /// Something about a role changed: it and all above it move.
    pub(super) fn role_changed(&mut self, ledger: &Ledger, role: RoleIx) {
        let lineage = ledger.lineage(role).map(Who::Role);
        let mut nodes = std::iter::once(Who::Own(role))
            .chain(lineage)
            .filter_map(|who| self.by_who.get(&who));
        if let Some(node) = nodes.next().copied() {
            self.rise(ledger, node);
        }
    }

    /// The first leaf in the order.
    pub(super) fn first(&mut self, ledger: &Ledger) -> Option<LeafIx> {
        self.freshen(ledger);
        let mut at = TOP;
        loop {
            match self.first_child(ledger, at)? {
                Child::Leaf(leaf) => return Some(leaf),
                Child::Node(node) => at = node,
            }
        }
    }

    fn first_child(&mut self, ledger: &Ledger, ix: NodeIx) -> Option<Child> {
        let node = self.node(ix);
        if node.n_active == 0 {
            return None;
        }
        if node.members.len() == 1 {
            return node.members.first().map(|(_, child)| *child);
        }
        loop {
            let head = self.node(ix).siblings.head(ledger.total())?;
            if self
                .stored(head)
                .is_some_and(|place| *place == self.place(ledger, head))
            {
                return Some(head);
            }
            self.put(ledger, ix, head);
        }
    }

    /// Whether one of two leaves in the order comes before the other.
    pub(super) fn before(&mut self, ledger: &Ledger, one: LeafIx, other: LeafIx) -> bool {
        self.freshen(ledger);
        let (one, other) = (self.path(one), self.path(other));
        let mut pairs = one.iter().zip(&other);
        let Some((one, other)) = pairs.find(|(one, other)| one != other) else {
            return false;
        };
        let (one, other) = (self.place(ledger, *one), self.place(ledger, *other));
        one.compare(&other, ledger.total()) == Ordering::Less
    }

    /// From below the root down to the leaf itself.
    fn path(&self, leaf: LeafIx) -> Vec<Child> {
        let mut path = vec![Child::Leaf(leaf)];
        let mut at = self.slot(leaf).map(|slot| slot.node);
        while let Some(ix) = at.filter(|ix| *ix != TOP) {
            path.push(Child::Node(ix));
            at = self.node(ix).parent;
        }
        path.reverse();
        path
    }

    fn stored(&self, child: Child) -> Option<&Place> {
        match child {
            Child::Leaf(leaf) => self.slot(leaf)?.place.as_ref(),
            Child::Node(node) => self.node(node).place.as_ref(),
        }
    }

    /// The totals changed: shares that were mixed with the old ones are mixed anew, when they are next looked at.
    pub(super) fn totals_changed(&mut self) {
        self.stale = true;
    }

    fn freshen(&mut self, ledger: &Ledger) {
        if !std::mem::take(&mut self.stale) || !self.mixed {
            return;
        }
        let mixtures = self.by_who.values().copied();
        let mixtures: Vec<_> = mixtures
            .filter(|ix| *ix != TOP && self.is_mixture(ledger, *ix))
            .collect();
        for ix in mixtures {
            let members: Vec<_> = self.node(ix).members.iter().map(|(_, child)| *child).collect();
            for child in members {
                self.put(ledger, ix, child);
            }
            self.rise(ledger, ix);
        }
    }

    /// Mixes all shares anew, from below.
    pub(super) fn mix_all(&mut self, ledger: &Ledger) {
        self.mix_below(ledger, TOP);
    }

    fn mix_below(&mut self, ledger: &Ledger, ix: NodeIx) {
        let members: Vec<_> = self.node(ix).members.iter().map(|(_, child)| *child).collect();
        for child in members {
            if let Child::Node(below) = child {
                self.mix_below(ledger, below);
            }
            self.put(ledger, ix, child);
        }
    }
}
