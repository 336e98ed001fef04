//! An operator changes a role's weight, priority or quota. Takes offers back where they stand in the way; kills nothing.

use std::collections::{BTreeMap, BTreeSet};

use proffer_allocator::{ClaimKind, Ledger, ROOT, RoleConfig, RoleIx};
use proffer_types::{OfferId, ResourceName, Resources, Role};

use super::offers;
use crate::cx::Cx;
use crate::limits::{MAX_CONFIGURED_ROLES, MAX_RESOURCE_NAMES, MAX_WEIGHT_MILLIS};
use crate::{Event, OperatorError};

/// What is to be changed of a role; what is absent stays.
pub(crate) struct Settings {
    pub(crate) weight_millis: Option<u64>,
    pub(crate) priority: Option<i32>,
    pub(crate) guarantee: Option<Resources>,
    pub(crate) limit: Option<BTreeMap<ResourceName, u64>>,
}

impl Settings {
    fn over(self, mut config: RoleConfig) -> RoleConfig {
        if let Some(weight_millis) = self.weight_millis {
            config.weight_millis = weight_millis;
        }
        if let Some(priority) = self.priority {
            config.priority = priority;
        }
        if let Some(guarantee) = self.guarantee {
            config.quota.guarantee = guarantee;
        }
        if let Some(limit) = self.limit {
            config.quota.limit = limit;
        }
        config
    }
}

pub(crate) fn handle(
    cx: &mut Cx<'_>,
    role: Role,
    settings: Settings,
    force: bool,
) -> Result<(), OperatorError> {
    let old = cx.state.ledger().role_config(&role);
    let new = settings.over(old.clone());
    check_form(&role, &new)?;
    if new == old {
        return Ok(());
    }
    let is_first = old == RoleConfig::default();
    if is_first && cx.state.ledger().n_configured_roles() >= MAX_CONFIGURED_ROLES {
        let limit = MAX_CONFIGURED_ROLES;
        return Err(OperatorError::TooManyRoles { limit });
    }
    if !force {
        check_limit(cx.state.ledger(), &role, &old, &new)?;
        check_guarantee(cx.state.ledger(), &role, &old, &new)?;
    }
    let was_in_use = is_in_use(cx.state.ledger(), &role);
    cx.emit(Event::RoleSet {
        role: role.clone(),
        config: new.clone(),
    });
    if new.weight_millis != old.weight_millis && was_in_use {
        // Outstanding offers are unfair by the new weight: all of them are taken back, as in Mesos.
        offers::rescind_where(cx, |_, _| true);
    }
    if new.quota != old.quota {
        meet_limit(cx, &role);
        meet_guarantees(cx, &role);
    }
    Ok(())
}

fn is_in_use(ledger: &Ledger, role: &Role) -> bool {
    let entry = ledger.role_ix(role).and_then(|role| ledger.role(role));
    entry.is_some_and(|entry| entry.usage.n_claims > 0 || entry.usage.n_frameworks > 0)
}

fn check_form(role: &Role, config: &RoleConfig) -> Result<(), OperatorError> {
    let role = role.clone();
    if !(1..=MAX_WEIGHT_MILLIS).contains(&config.weight_millis) {
        return Err(OperatorError::WeightOutOfRange { role });
    }
    let quota = &config.quota;
    let mut names = quota.guarantee.all_ranges().map(|(name, _)| name);
    let mut sets = quota.guarantee.all_sets().map(|(name, _)| name);
    let ports = quota.limit.keys().find(|name| **name == ResourceName::Ports);
    if let Some(name) = names.next().or_else(|| sets.next()).or(ports) {
        let resource = name.to_string();
        return Err(OperatorError::QuotaNotScalar { role, resource });
    }
    if quota.guarantee.has_kinds() {
        let resource = quota.guarantee.to_string();
        return Err(OperatorError::QuotaNotScalar { role, resource });
    }
    if quota.limit.len().max(quota.guarantee.scalars().count()) > MAX_RESOURCE_NAMES {
        let limit = MAX_RESOURCE_NAMES;
        return Err(OperatorError::TooManyNames { role, limit });
    }
    match quota.beyond_limit() {
        Some(name) => Err(OperatorError::GuaranteeBeyondLimit {
            guarantee: amount(name, quota.guarantee.scalar(name).into()),
            limit: amount(name, quota.limit.get(name).copied().unwrap_or_default().into()),
            role,
        }),
        None => Ok(()),
    }
}

/// A limit that is new must hold what tasks use and reservations hold now, and what is guaranteed below the role.
fn check_limit(
    ledger: &Ledger,
    role: &Role,
    old: &RoleConfig,
    new: &RoleConfig,
) -> Result<(), OperatorError> {
    let Some(ix) = ledger.role_ix(role) else {
        return Ok(());
    };
    let changed = new
        .quota
        .limit
        .iter()
        .filter(|(name, limit)| old.quota.limit.get(*name) != Some(*limit));
    let offered = offered(ledger, ix);
    for (name, limit) in changed {
        let consumed = ledger.role(ix).map_or(0, |entry| entry.consumed(name));
        let consumed = consumed.saturating_sub(u128::from(offered.scalar(name)));
        if consumed > u128::from(*limit) {
            return Err(OperatorError::LimitBelowConsumption {
                role: role.clone(),
                limit: amount(name, (*limit).into()),
                consumed: amount(name, consumed),
            });
        }
        check_below(role, name, sum_below(ledger, ix, None, name), *limit)?;
    }
    Ok(())
}

/// The unreserved that is merely offered to a role and those below it.
fn offered(ledger: &Ledger, role: RoleIx) -> Resources {
    let offers = ledger.claims().filter(|(_, claim)| {
        let leaf = ledger.leaf(claim.leaf);
        claim.kind == ClaimKind::Offer
            && leaf.is_some_and(|leaf| ledger.lineage(leaf.role).any(|above| above == role))
    });
    offers.fold(Resources::new(), |sum, (_, claim)| {
        sum.plus(&claim.resources.plain())
    })
}

/// A guarantee that grows must fit what is stated above it, up to what the whole cluster has; whatever a role
/// guarantees must hold what is guaranteed below it.
fn check_guarantee(
    ledger: &Ledger,
    role: &Role,
    old: &RoleConfig,
    new: &RoleConfig,
) -> Result<(), OperatorError> {
    for (name, units) in new.quota.guarantee.scalars() {
        let before = old.quota.guarantee.scalar(name);
        if let Some(ix) = ledger.role_ix(role)
            && units != before
        {
            check_below(role, name, sum_below(ledger, ix, None, name), units)?;
        }
        if units > before {
            check_above(ledger, role, name, units)?;
        }
    }
    Ok(())
}

/// So much of one resource, for people.
fn amount(name: &ResourceName, units: u128) -> Resources {
    Resources::new().with(name.clone(), u64::try_from(units).unwrap_or(u64::MAX))
}

fn check_below(role: &Role, name: &ResourceName, guaranteed: u128, stated: u64) -> Result<(), OperatorError> {
    if guaranteed <= u128::from(stated) {
        return Ok(());
    }
    Err(OperatorError::GuaranteesBeyondParent {
        parent: role.clone(),
        guaranteed: amount(name, guaranteed),
        stated: amount(name, stated.into()),
    })
}

fn check_above(ledger: &Ledger, role: &Role, name: &ResourceName, units: u64) -> Result<(), OperatorError> {
    let own = ledger.role_ix(role);
    let below = own.map_or(0, |ix| sum_below(ledger, ix, None, name));
    let mut sum = below.max(u128::from(units));
    let (mut child, mut at) = (own, role.parent());
    while let Some(parent) = at {
        let ix = ledger.role_ix(&parent);
        if let Some(ix) = ix {
            sum += sum_below(ledger, ix, child, name);
        }
        let quota = ledger.role_config(&parent).quota;
        let guarantee = quota.guarantee.scalar(name);
        let limit = quota.limit.get(name).copied();
        if let Some(stated) = limit
            .into_iter()
            .chain((guarantee > 0).then_some(guarantee))
            .min()
        {
            check_below(&parent, name, sum, stated)?;
        }
        sum = sum.max(u128::from(guarantee));
        (child, at) = (ix, parent.parent());
    }
    sum += sum_below(ledger, ROOT, child, name);
    let capacity = ledger.total().get(name);
    if sum > capacity {
        return Err(OperatorError::GuaranteesBeyondCapacity {
            guaranteed: amount(name, sum),
            capacity: amount(name, capacity),
        });
    }
    Ok(())
}

/// What is guaranteed to the roles right below one, but for one of them.
fn sum_below(ledger: &Ledger, role: RoleIx, but: Option<RoleIx>, name: &ResourceName) -> u128 {
    let children = ledger.role(role).into_iter().flat_map(|entry| entry.children());
    children
        .filter(|child| Some(*child) != but)
        .map(|child| {
            let own = ledger
                .role(child)
                .map_or(0, |entry| u128::from(entry.config.quota.guarantee.scalar(name)));
            own.max(sum_below(ledger, child, None, name))
        })
        .sum()
}

/// Takes offers to a role, and to those below it, back while it exceeds its limit.
fn meet_limit(cx: &mut Cx<'_>, role: &Role) {
    let limit = cx.state.ledger().role_config(role).quota.limit;
    if limit.is_empty() {
        return;
    }
    offers::rescind_where(cx, |cx, offer| {
        let ledger = cx.state.ledger();
        let Some((ix, entry)) = ledger.role_ix(role).and_then(|ix| Some((ix, ledger.role(ix)?))) else {
            return false;
        };
        let mut exceeded = limit
            .iter()
            .filter(|(name, limit)| entry.consumed(name) > u128::from(**limit));
        is_within(cx, offer, ix) && exceeded.any(|(name, _)| holds(cx, offer, name))
    });
}

/// Takes offers to others back while what is guaranteed to a role, and lacks, is not free. As many as it takes, where
/// that is enough at all.
fn meet_guarantees(cx: &mut Cx<'_>, role: &Role) {
    offers::rescind_where(cx, |cx, offer| {
        let ledger = cx.state.ledger();
        let Some(root) = ledger.role(ROOT) else {
            return false;
        };
        let is_own = ledger.role_ix(role).is_some_and(|ix| is_within(cx, offer, ix));
        let lacking: BTreeSet<_> = root
            .unmet()
            .iter()
            .filter(|(name, unmet)| ledger.free().get(name) < *unmet)
            .map(|(name, _)| name)
            .collect();
        !is_own && lacking.into_iter().any(|name| holds(cx, offer, name))
    });
}

fn is_within(cx: &Cx<'_>, offer: &OfferId, role: RoleIx) -> bool {
    let ledger = cx.state.ledger();
    let leaf = cx.state.offered(offer).and_then(|claim| ledger.leaf(claim.leaf));
    leaf.is_some_and(|leaf| ledger.lineage(leaf.role).any(|above| above == role))
}

/// Whether an offer holds any of a resource that is not reserved.
fn holds(cx: &Cx<'_>, offer: &OfferId, name: &ResourceName) -> bool {
    let claim = cx.state.offered(offer);
    claim.is_some_and(|claim| claim.resources.plain().scalar(name) > 0)
}
