//! The tree of roles: what each has in and below it, its weight, priority and quota.
//!
//! A role is there while it has a setting, a leaf, a role below it, or a reservation. The root stands above all.

use std::collections::BTreeSet;

use proffer_types::{Quota, ResourceName, Resources, Role};

use super::{Change, LeafIx, Ledger, ROOT, RoleIx};
use crate::Quantities;

/// The weight of a role that was given none, in thousandths.
pub const DEFAULT_WEIGHT_MILLIS: u64 = 1000;

/// What an operator sets of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleConfig {
    /// Among its siblings, in thousandths.
    pub weight_millis: u64,
    /// Higher goes first, under the `priority` allocator.
    pub priority: i32,
    pub quota: Quota,
}

impl Default for RoleConfig {
    fn default() -> Self {
        Self {
            weight_millis: DEFAULT_WEIGHT_MILLIS,
            priority: 0,
            quota: Quota::default(),
        }
    }
}

/// What a leaf, or everything below a role, has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// Offered or allocated; what fairness looks at.
    pub claimed: Quantities,
    /// The part of it that is neither reserved nor revocable; what quota looks at.
    pub common: Quantities,
    /// How many claims make it up.
    pub n_claims: u64,
    /// Offers ever made: of two equal shares, the one with fewer comes first.
    pub n_offers: u64,
    /// Frameworks subscribed there.
    pub n_frameworks: u64,
}

/// One role of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleEntry {
    /// `None` for the root.
    pub name: Option<Role>,
    /// `None` for the root.
    pub parent: Option<RoleIx>,
    pub config: RoleConfig,
    /// Of the role and all below it.
    pub usage: Usage,
    /// Reserved to the role and those below it, claimed or not.
    pub reserved: Quantities,
    pub(super) children: BTreeSet<RoleIx>,
    pub(super) leaves: BTreeSet<LeafIx>,
    /// What has to stay free for it: its own guarantee and those below it, as far as they are not consumed.
    unmet: Quantities,
    /// The sum over its children.
    unmet_below: Quantities,
}

impl RoleEntry {
    pub(super) fn root() -> Self {
        Self::new(None, None)
    }

    fn new(name: Option<Role>, parent: Option<RoleIx>) -> Self {
        Self {
            name,
            parent,
            config: RoleConfig::default(),
            usage: Usage::default(),
            reserved: Quantities::default(),
            children: BTreeSet::new(),
            leaves: BTreeSet::new(),
            unmet: Quantities::default(),
            unmet_below: Quantities::default(),
        }
    }

    /// What quota counts: the unreserved that is offered or allocated, and everything that is reserved.
    #[must_use]
    pub fn consumed(&self, name: &ResourceName) -> u128 {
        self.usage.common.get(name) + self.reserved.get(name)
    }

    /// What has to stay free for the role.
    #[must_use]
    pub fn unmet(&self) -> &Quantities {
        &self.unmet
    }

    /// Whether the role's own guarantee is not met, whatever is held free for those below it.
    #[must_use]
    pub fn wants_for_itself(&self) -> bool {
        self.unmet
            .iter()
            .any(|(name, units)| units > self.unmet_below.get(name))
    }

    fn unmet_of(&self, name: &ResourceName, consumed: u128, below: u128) -> u128 {
        let guarantee = u128::from(self.config.quota.guarantee.scalar(name));
        guarantee.saturating_sub(consumed).max(below)
    }

    /// The roles right below.
    pub fn children(&self) -> impl Iterator<Item = RoleIx> + '_ {
        self.children.iter().copied()
    }
}

impl Ledger {
    /// One role.
    #[must_use]
    pub fn role(&self, role: RoleIx) -> Option<&RoleEntry> {
        self.roles.get(role)
    }

    /// The handle of a role.
    #[must_use]
    pub fn role_ix(&self, role: &Role) -> Option<RoleIx> {
        self.roles_by_name.get(role).copied()
    }

    /// The roles that have a setting, a framework, a claim or a reservation in or below them, by name.
    pub fn roles(&self) -> impl Iterator<Item = (&Role, &RoleEntry)> {
        self.roles_by_name
            .iter()
            .map(|(name, ix)| (name, &self.roles[*ix]))
    }

    /// The setting of a role.
    #[must_use]
    pub fn role_config(&self, role: &Role) -> RoleConfig {
        self.role_ix(role)
            .map(|ix| self.roles[ix].config.clone())
            .unwrap_or_default()
    }

    /// How many roles have a setting other than the default.
    #[must_use]
    pub fn n_configured_roles(&self) -> usize {
        let configured = self
            .roles
            .iter()
            .filter(|(_, role)| role.config != RoleConfig::default());
        configured.count()
    }

    /// Whether any role has a guarantee.
    #[must_use]
    pub fn has_guarantees(&self) -> bool {
        self.n_guarantees > 0
    }

    /// A role and those above it, the root last.
    pub fn lineage(&self, role: RoleIx) -> impl Iterator<Item = RoleIx> + '_ {
        std::iter::successors(Some(role), |role| self.roles.get(*role)?.parent)
    }

    /// Sets what an operator set of a role.
    pub fn set_role(&mut self, role: &Role, config: RoleConfig) -> Change {
        let ix = self.ensure_role(role);
        let guaranteed = |config: &RoleConfig| usize::from(!config.quota.guarantee.is_empty());
        self.n_guarantees += guaranteed(&config);
        self.n_guarantees -= guaranteed(&self.roles[ix].config);
        let names = config
            .quota
            .guarantee
            .plus(&self.roles[ix].config.quota.guarantee);
        self.roles[ix].config = config;
        self.refresh_unmet(ix, &names);
        self.prune_role(ix);
        Change::Role(ix)
    }

    pub(super) fn ensure_role(&mut self, role: &Role) -> RoleIx {
        if let Some(ix) = self.role_ix(role) {
            return ix;
        }
        let parent = role.parent().map_or(ROOT, |parent| self.ensure_role(&parent));
        let ix = self
            .roles
            .insert(RoleEntry::new(Some(role.clone()), Some(parent)));
        self.roles[parent].children.insert(ix);
        self.roles_by_name.insert(role.clone(), ix);
        ix
    }

    /// Drops a role, and those above it, that nothing keeps. Returns the lowest that stays.
    pub(super) fn prune_role(&mut self, role: RoleIx) -> RoleIx {
        let mut ix = role;
        loop {
            let entry = &self.roles[ix];
            let idle = entry.leaves.is_empty()
                && entry.children.is_empty()
                && entry.reserved.is_empty()
                && entry.config == RoleConfig::default();
            let (Some(parent), Some(name), true) = (entry.parent, entry.name.clone(), idle) else {
                return ix;
            };
            self.roles[parent].children.remove(&ix);
            self.roles_by_name.remove(&name);
            self.roles.remove(ix);
            ix = parent;
        }
    }

    /// Counts resources in, or out of, what a leaf and the roles above it have.
    pub(super) fn count_usage(&mut self, leaf: LeafIx, resources: &Resources, joins: bool) {
        let common = resources.has_kinds().then(|| resources.plain());
        let common = common.as_ref().unwrap_or(resources);
        let count = |usage: &mut Usage| {
            if joins {
                usage.claimed.add(resources);
                usage.common.add(common);
            } else {
                usage.claimed.subtract(resources);
                usage.common.subtract(common);
            }
        };
        count(&mut self.leaves[leaf].usage);
        let role = self.leaves[leaf].role;
        let mut at = Some(role);
        while let Some(ix) = at {
            let entry = &mut self.roles[ix];
            count(&mut entry.usage);
            at = entry.parent;
        }
        self.refresh_unmet(role, common);
    }

    pub(super) fn count_claims(&mut self, leaf: LeafIx, joins: bool) {
        self.for_usages(leaf, |usage| {
            usage.n_claims = if joins {
                usage.n_claims + 1
            } else {
                usage.n_claims - 1
            };
        });
    }

    /// The leaf itself was counted already.
    pub(super) fn count_offer(&mut self, leaf: LeafIx) {
        let mut at = Some(self.leaves[leaf].role);
        while let Some(ix) = at {
            self.roles[ix].usage.n_offers += 1;
            at = self.roles[ix].parent;
        }
    }

    pub(super) fn count_framework(&mut self, leaf: LeafIx, joins: bool) {
        self.for_usages(leaf, |usage| {
            usage.n_frameworks = if joins {
                usage.n_frameworks + 1
            } else {
                usage.n_frameworks - 1
            };
        });
    }

    fn for_usages(&mut self, leaf: LeafIx, mut change: impl FnMut(&mut Usage)) {
        let entry = &mut self.leaves[leaf];
        change(&mut entry.usage);
        let mut at = Some(entry.role);
        while let Some(ix) = at {
            let entry = &mut self.roles[ix];
            change(&mut entry.usage);
            at = entry.parent;
        }
    }

    /// Counts what an agent has reserved in, or out of, the roles it is reserved to.
    pub(super) fn count_reserved(&mut self, total: &Resources, joins: bool) {
        for (kind, resources) in total.kinds() {
            let Some(top) = kind.reservations.last() else {
                continue;
            };
            let role = self.ensure_role(&top.role);
            let mut at = Some(role);
            while let Some(ix) = at {
                let entry = &mut self.roles[ix];
                if joins {
                    entry.reserved.add(resources);
                } else {
                    entry.reserved.subtract(resources);
                }
                at = entry.parent;
            }
            self.refresh_unmet(role, resources);
            self.prune_role(role);
        }
    }

    /// Brings what has to stay free in step, from a role up to the root, for the names of some resources.
    fn refresh_unmet(&mut self, role: RoleIx, names: &Resources) {
        if self.n_guarantees == 0 && self.roles[ROOT].unmet.is_empty() {
            return;
        }
        for (name, _) in names.scalars() {
            let mut at = Some(role);
            while let Some(ix) = at {
                let entry = &mut self.roles[ix];
                let below = entry.unmet_below.get(name);
                let old = entry.unmet.get(name);
                let new = entry.unmet_of(name, entry.consumed(name), below);
                at = entry.parent;
                // Those above may have consumed less too, whatever this one needs.
                if new == old {
                    continue;
                }
                entry.unmet.set(name, new);
                if let Some(parent) = at {
                    let sum = &mut self.roles[parent].unmet_below;
                    sum.set(name, sum.get(name) + new - old);
                }
            }
        }
    }

    /// How much of what has to stay free for roles would be met, if a role were given all there is.
    pub(crate) fn meets(&self, role: RoleIx, name: &ResourceName) -> u128 {
        let (mut at, mut fell) = (Some(role), None);
        while let Some(ix) = at {
            let entry = &self.roles[ix];
            let below = entry.unmet_below.get(name) - fell.unwrap_or(0);
            let old = entry.unmet.get(name);
            // Given without end, nothing of its own guarantee is left.
            fell = Some(old - old.min(below));
            at = entry.parent;
        }
        fell.unwrap_or(0)
    }
}
