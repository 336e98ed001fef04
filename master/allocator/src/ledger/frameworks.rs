//! Frameworks, and their leaves: one for each of their roles.
//!
//! A leaf is there while its framework is in the role, or has claims in it.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::{Backfill, Capabilities, FrameworkId, OfferPreferences, Role, ShapeId};

use super::demand::Wanted;
use super::{AgentIx, Change, LeafIx, Ledger, RoleIx, Usage};

/// One framework that may be offered something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FrameworkEntry {
    /// Order of first registration.
    pub order: u64,
    /// Only an active framework is offered anything.
    pub active: bool,
    pub roles: BTreeSet<Role>,
    pub suppressed: BTreeSet<Role>,
    pub capabilities: Capabilities,
    pub preferences: BTreeMap<Role, OfferPreferences>,
}

/// One framework in one of its roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafEntry {
    pub framework: FrameworkId,
    pub role: RoleIx,
    /// Order of the framework's first registration.
    pub order: u64,
    /// The framework is connected, in the role, and has not suppressed it.
    pub listening: bool,
    pub capabilities: Capabilities,
    pub preferences: OfferPreferences,
    pub usage: Usage,
    /// Whether the framework is in the role; otherwise only claims are left.
    pub(super) subscribed: bool,
    /// What it stated; offers without a statement are of whole remainders.
    pub(super) demand: Option<Vec<Wanted>>,
    /// What of that may go before what is stated first.
    pub backfill: Backfill,
    /// Tasks that offers under way have room for.
    pub(super) offered: BTreeMap<ShapeId, u32>,
    /// Where it has a filter.
    pub(super) filtered: BTreeSet<AgentIx>,
}

impl LeafEntry {
    /// Whether the framework would be offered something, if there were something to offer.
    #[must_use]
    pub fn wants(&self) -> bool {
        self.listening
            && self
                .demand
                .as_ref()
                .is_none_or(|_| self.wanted().next().is_some())
    }
}

impl Ledger {
    /// One framework.
    #[must_use]
    pub fn framework(&self, framework: &FrameworkId) -> Option<&FrameworkEntry> {
        self.frameworks.get(framework)
    }

    /// The frameworks, by id.
    pub fn frameworks(&self) -> impl Iterator<Item = (&FrameworkId, &FrameworkEntry)> {
        self.frameworks.iter()
    }

    /// One leaf.
    #[must_use]
    pub fn leaf(&self, leaf: LeafIx) -> Option<&LeafEntry> {
        self.leaves.get(leaf)
    }

    /// The leaves, by handle.
    pub fn leaves(&self) -> impl Iterator<Item = (LeafIx, &LeafEntry)> {
        self.leaves.iter()
    }

    /// The handle of a framework in a role.
    #[must_use]
    pub fn leaf_ix(&self, framework: &FrameworkId, role: &Role) -> Option<LeafIx> {
        self.leaves_by_id.get(framework)?.get(role).copied()
    }

    /// The leaves of one framework, by role.
    pub fn leaves_of(&self, framework: &FrameworkId) -> impl Iterator<Item = (&Role, LeafIx)> {
        let leaves = self.leaves_by_id.get(framework).into_iter().flatten();
        leaves.map(|(role, leaf)| (role, *leaf))
    }

    /// Adds a framework or replaces what is known of it. Demand and filters stay for the roles it keeps.
    pub fn set_framework(&mut self, framework: &FrameworkId, entry: FrameworkEntry) -> Vec<Change> {
        let mut changes = Vec::new();
        let old = self.frameworks.insert(framework.clone(), entry.clone());
        for role in &entry.roles {
            let leaf = self.ensure_leaf(framework, role);
            self.subscribe(leaf, true);
        }
        for role in old.iter().flat_map(|old| &old.roles) {
            if !entry.roles.contains(role) {
                changes.extend(self.unsubscribe(framework, role));
            }
        }
        changes.extend(self.refresh_leaves(framework));
        changes
    }

    /// Starts or stops offering to a framework. Stopping drops its filters and its demand.
    pub fn set_framework_active(&mut self, framework: &FrameworkId, active: bool) -> Vec<Change> {
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return Vec::new();
        };
        entry.active = active;
        let mut changes = Vec::new();
        if !active {
            let leaves: Vec<_> = self.leaves_of(framework).map(|(_, leaf)| leaf).collect();
            for leaf in leaves {
                self.drop_filters(leaf);
                self.leaves[leaf].demand = None;
                changes.extend(self.drop_hold(leaf));
            }
        }
        changes.extend(self.refresh_leaves(framework));
        changes
    }

    /// Adds roles in which a framework wants no offers.
    pub fn suppress(&mut self, framework: &FrameworkId, roles: &BTreeSet<Role>) -> Vec<Change> {
        if let Some(entry) = self.frameworks.get_mut(framework) {
            entry.suppressed.extend(roles.iter().cloned());
        }
        self.refresh_leaves(framework)
    }

    /// Ends suppression and filters of a framework in these roles.
    pub fn revive(&mut self, framework: &FrameworkId, roles: &BTreeSet<Role>) -> Vec<Change> {
        if let Some(entry) = self.frameworks.get_mut(framework) {
            entry.suppressed.retain(|role| !roles.contains(role));
        }
        for role in roles {
            if let Some(leaf) = self.leaf_ix(framework, role) {
                self.drop_filters(leaf);
            }
        }
        self.refresh_leaves(framework)
    }

    /// Forgets a framework, its demand and its filters. Its claims stay until they are released.
    pub fn remove_framework(&mut self, framework: &FrameworkId) -> Vec<Change> {
        let Some(old) = self.frameworks.remove(framework) else {
            return Vec::new();
        };
        let roles = old.roles.iter();
        roles.flat_map(|role| self.unsubscribe(framework, role)).collect()
    }

    /// The handle of a framework in a role, for a claim; made when there is none.
    pub fn ensure_leaf(&mut self, framework: &FrameworkId, role: &Role) -> LeafIx {
        if let Some(leaf) = self.leaf_ix(framework, role) {
            return leaf;
        }
        let role_ix = self.ensure_role(role);
        let entry = self.frameworks.get(framework);
        let leaf = self.leaves.insert(LeafEntry {
            framework: framework.clone(),
            role: role_ix,
            order: entry.map_or(u64::MAX, |entry| entry.order),
            listening: false,
            capabilities: Capabilities::default(),
            preferences: OfferPreferences::default(),
            usage: Usage::default(),
            subscribed: false,
            demand: None,
            backfill: Backfill::default(),
            offered: BTreeMap::new(),
            filtered: BTreeSet::new(),
        });
        let leaves = self.leaves_by_id.entry(framework.clone()).or_default();
        leaves.insert(role.clone(), leaf);
        self.roles[role_ix].leaves.insert(leaf);
        leaf
    }

    fn subscribe(&mut self, leaf: LeafIx, joins: bool) {
        let entry = &mut self.leaves[leaf];
        if entry.subscribed != joins {
            entry.subscribed = joins;
            self.count_framework(leaf, joins);
        }
    }

    fn unsubscribe(&mut self, framework: &FrameworkId, role: &Role) -> Vec<Change> {
        let Some(leaf) = self.leaf_ix(framework, role) else {
            return Vec::new();
        };
        let mut changes = self.drop_hold(leaf);
        // It may be dropped right here: nobody can tell of it afterwards.
        changes.push(Change::Leaf(leaf));
        self.drop_filters(leaf);
        let entry = &mut self.leaves[leaf];
        entry.demand = None;
        entry.listening = false;
        self.subscribe(leaf, false);
        self.prune_leaf(leaf);
        changes
    }

    /// Brings the leaves in step with their framework.
    fn refresh_leaves(&mut self, framework: &FrameworkId) -> Vec<Change> {
        let Some(entry) = self.frameworks.get(framework) else {
            return Vec::new();
        };
        let leaves = self.leaves_by_id.get(framework).into_iter().flatten();
        let mut changes = Vec::new();
        for (role, ix) in leaves {
            let leaf = &mut self.leaves[*ix];
            leaf.order = entry.order;
            leaf.listening = entry.active && leaf.subscribed && !entry.suppressed.contains(role);
            leaf.capabilities = entry.capabilities;
            leaf.preferences = entry.preferences.get(role).cloned().unwrap_or_default();
            changes.push(Change::Leaf(*ix));
        }
        changes
    }

    /// Drops a leaf that its framework left and that claims nothing. Returns its role, or the lowest above it that
    /// stays.
    pub(super) fn prune_leaf(&mut self, leaf: LeafIx) -> RoleIx {
        let entry = &self.leaves[leaf];
        let role = entry.role;
        if entry.subscribed || entry.usage.n_claims > 0 {
            return role;
        }
        let Some(entry) = self.leaves.remove(leaf) else {
            return role;
        };
        if let Some(leaves) = self.leaves_by_id.get_mut(&entry.framework) {
            leaves.retain(|_, other| *other != leaf);
            if leaves.is_empty() {
                self.leaves_by_id.remove(&entry.framework);
            }
        }
        self.roles[role].leaves.remove(&leaf);
        self.prune_role(role)
    }
}
