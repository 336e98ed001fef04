//! Whether a grant may be made, said a second time and as plainly as possible, from the claims alone.

use std::collections::BTreeMap;

use proffer_allocator::{ClaimKind, Grant, Ledger, RoleIx};
use proffer_types::{ResourceName, Resources, Timestamp};

/// Panics with the rule that a grant breaks. It is judged before it is in the ledger.
pub(crate) fn judge(ledger: &Ledger, grant: &Grant, is_first: bool, now: Timestamp) {
    let leaf = ledger
        .leaf(grant.leaf)
        .expect("offers go to leaves that are there");
    let agent = ledger
        .agent(grant.agent)
        .expect("agents that are there are offered");
    let who = format!("{} of {} to {}", grant.resources, agent.id, leaf.framework);
    let role = ledger
        .role(leaf.role)
        .and_then(|role| role.name.clone())
        .expect("a leaf has a role");

    let framework = ledger
        .framework(&leaf.framework)
        .expect("frameworks that are there are offered");
    assert!(framework.active, "{who}: the framework is away");
    assert!(framework.roles.contains(&role), "{who}: it is not in {role}");
    assert!(
        !framework.suppressed.contains(&role),
        "{who}: {role} is suppressed"
    );
    assert!(agent.active, "{who}: the agent is not active");
    assert!(!grant.resources.is_empty(), "{who}: nothing is offered");

    assert!(fits(ledger, grant), "{who}: more than is free");

    let region = agent.info.domain.as_ref().map(|domain| domain.region.as_str());
    let at_home = region.is_none_or(|region| region == "home");
    assert!(
        at_home || framework.capabilities.region_aware,
        "{who}: it is in another region"
    );
    let preferences = framework.preferences.get(&role).cloned().unwrap_or_default();
    assert!(
        preferences.constraints.hold(&agent.info),
        "{who}: against its constraints"
    );

    for (kind, _) in grant.resources.kinds() {
        assert!(kind.is_allocatable_to(&role), "{who}: reserved to another");
        assert!(
            !kind.revocable || framework.capabilities.revocable,
            "{who}: revocable"
        );
        let shared = kind.shared_volume().is_some();
        assert!(!shared || framework.capabilities.shared, "{who}: shared");
    }
    if let (Some(minimums), true) = (&preferences.min_allocatable, grant.shapes.is_empty()) {
        let enough = |minimum: &Resources| {
            minimum
                .scalars()
                .all(|(name, units)| grant.resources.scalar(name) >= units)
        };
        assert!(
            minimums.is_empty() || minimums.iter().any(enough),
            "{who}: below min_allocatable"
        );
    }
    if is_first {
        let filtered = ledger.filtered_until(grant.leaf, grant.agent, &grant.resources, now);
        assert_eq!(filtered, None, "{who}: it was refused");
    }
    judge_shapes(ledger, grant, &who);
    judge_limits(ledger, leaf.role, &grant.resources, &who);
    judge_headroom(ledger, leaf.role, &grant.resources, &who);
    judge_holds(ledger, grant, &who, now);
}

/// Total less every claim, kind by kind, has room for it.
fn fits(ledger: &Ledger, grant: &Grant) -> bool {
    let mut free = ledger.agent(grant.agent).unwrap().total().clone();
    for (_, claim) in ledger.claims().filter(|(_, claim)| claim.agent == grant.agent) {
        free.subtract(&claim.resources);
    }
    free.contains(&grant.resources)
}

fn judge_shapes(ledger: &Ledger, grant: &Grant, who: &str) {
    let leaf = ledger.leaf(grant.leaf).unwrap();
    assert_eq!(
        leaf.states_demand(),
        !grant.shapes.is_empty(),
        "{who}: as it stated"
    );
    let agent = ledger.agent(grant.agent).unwrap();
    for (id, n) in &grant.shapes {
        let wanted: BTreeMap<_, _> = leaf
            .wanted()
            .map(|(shape, open)| (shape.id, (shape, open)))
            .collect();
        let (shape, open) = wanted
            .get(id)
            .unwrap_or_else(|| panic!("{who}: {id:?} is not wanted"));
        assert!(n <= open, "{who}: {n} of {id:?}, but {open} are wanted");
        assert!(
            shape.constraints.hold(&agent.info),
            "{who}: against the constraints of the shape"
        );
        assert!(
            shape.agent.as_ref().is_none_or(|only| *only == agent.id),
            "{who}: another agent is wanted"
        );
        let there: u32 = (ledger.claims())
            .filter(|(_, claim)| claim.agent == grant.agent && claim.leaf == grant.leaf)
            .map(|(_, claim)| claim.n_of(*id))
            .sum();
        let max = shape.max_per_agent.unwrap_or(u32::MAX);
        assert!(there + n <= max, "{who}: more than {max} of {id:?} there");
        let ports = ResourceName::Ports;
        let n_ports = grant
            .resources
            .ranges(&ports)
            .map_or(0, proffer_types::Ranges::count);
        if let [_] = grant.shapes.as_slice() {
            assert_eq!(
                n_ports,
                u64::from(shape.n_ports * n),
                "{who}: the ports of the shape"
            );
            let scalars = |of: &Resources| -> BTreeMap<_, _> {
                of.scalars().map(|(name, units)| (name.clone(), units)).collect()
            };
            assert_eq!(
                scalars(&grant.resources),
                scalars(&shape.resources.times(*n)),
                "{who}: what fits and no more"
            );
        }
        assert_eq!(shape.gang, grant.gang, "{who}: the gang of the shape");
    }
}

/// What is claimed in and below a role and is neither reserved nor revocable.
fn common(ledger: &Ledger, role: RoleIx, name: &ResourceName) -> u128 {
    let below = |leaf| ledger.lineage(leaf).any(|above| above == role);
    let claims = ledger
        .claims()
        .filter(|(_, claim)| below(ledger.leaf(claim.leaf).unwrap().role));
    claims
        .map(|(_, claim)| u128::from(claim.resources.plain().scalar(name)))
        .sum()
}

/// What is reserved to a role and those below it, on all agents.
fn reserved(ledger: &Ledger, role: RoleIx, name: &ResourceName) -> u128 {
    let Some(of) = ledger.role(role).and_then(|role| role.name.clone()) else {
        return 0;
    };
    let agents = ledger.agents();
    agents
        .map(|(_, agent)| u128::from(agent.total().reserved_to(&of).scalar(name)))
        .sum()
}

fn judge_limits(ledger: &Ledger, role: RoleIx, offered: &Resources, who: &str) {
    for ix in ledger.lineage(role) {
        let entry = ledger.role(ix).unwrap();
        for (name, limit) in &entry.config.quota.limit {
            let more = u128::from(offered.plain().scalar(name));
            let consumed = common(ledger, ix, name) + reserved(ledger, ix, name);
            let within = more == 0 || consumed + more <= u128::from(*limit);
            assert!(
                within,
                "{who}: beyond the limit of {:?}, {consumed} of {limit} {name} before",
                entry.name
            );
        }
    }
}

/// What must stay free for a role: the part of its guarantee that it does not consume, or what those below it need.
fn unmet(ledger: &Ledger, role: RoleIx, name: &ResourceName, extra: &dyn Fn(RoleIx) -> u128) -> u128 {
    let entry = ledger.role(role).unwrap();
    let below: u128 = entry
        .children()
        .map(|child| unmet(ledger, child, name, extra))
        .sum();
    let consumed = common(ledger, role, name) + reserved(ledger, role, name) + extra(role);
    let guarantee = u128::from(entry.config.quota.guarantee.scalar(name));
    guarantee.saturating_sub(consumed).max(below)
}

/// After the grant there is as much free as all unmet guarantees need, or the need fell as much as what is free.
fn judge_headroom(ledger: &Ledger, role: RoleIx, offered: &Resources, who: &str) {
    let lineage: Vec<_> = ledger.lineage(role).collect();
    let plain = offered.plain();
    for (name, units) in plain.scalars() {
        let units = u128::from(units);
        let free: u128 = (ledger.agents())
            .filter(|(_, agent)| agent.active)
            .map(|(_, agent)| u128::from(agent.free.plain().scalar(name)))
            .sum();
        let before = unmet(ledger, proffer_allocator::ROOT, name, &|_| 0);
        let after = unmet(ledger, proffer_allocator::ROOT, name, &|ix| {
            if lineage.contains(&ix) { units } else { 0 }
        });
        let kept = free - units >= after || before - after == units;
        assert!(
            kept,
            "{who}: {free} {name} free, guarantees need {before}, and {after} afterwards"
        );
    }
}

/// Nobody else gets what is held, unless they are over in time or enough of it is given back by others who are.
fn judge_holds(ledger: &Ledger, grant: &Grant, who: &str, now: Timestamp) {
    let Some((holder, held)) = ledger
        .held_on(grant.agent)
        .filter(|(holder, _)| *holder != grant.leaf)
    else {
        return;
    };
    let leaf = ledger.leaf(grant.leaf).unwrap();
    let shape = leaf
        .wanted()
        .find(|(shape, _)| grant.shapes.iter().any(|(id, _)| *id == shape.id));
    let resumed = match shape {
        Some((shape, _)) if shape.resumes => suspended(ledger, grant),
        Some(_) | None => Resources::new(),
    };
    let over = shape.and_then(|(shape, _)| Some(now.after(shape.time_limit?)));
    if over.zip(held.free_by).is_some_and(|(over, free)| over <= free) {
        return;
    }
    let free = &ledger.agent(grant.agent).unwrap().free;
    let tasks = (ledger.claims_on(grant.agent)).filter(|(_, claim)| claim.kind == ClaimKind::Task);
    let tasks = tasks.filter_map(|(_, claim)| Some((claim.ends_by?, claim.resources.plain())));
    let offers = (ledger.claims_on(grant.agent)).filter(|(_, claim)| claim.kind == ClaimKind::Offer);
    let offers = offers.flat_map(|(_, claim)| ledger.ends_of_offered(claim, now));
    let over: Vec<_> = tasks
        .chain(offers)
        .filter(|(end, _)| Some(*end) <= held.free_by)
        .map(|(_, resources)| resources)
        .collect();
    for (name, units) in held.resources.scalars() {
        let taken = grant.resources.plain().scalar(name);
        let given_back: u64 = over.iter().map(|resources| resources.scalar(name)).sum();
        let taken = taken.saturating_sub(resumed.scalar(name));
        let left = (free.plain().scalar(name) + given_back).saturating_sub(taken);
        assert!(
            taken == 0 || left >= units,
            "{who}: {name} is held for {holder:?}"
        );
    }
}

/// What may be offered to the suspended tasks of a leaf on an agent, whatever is held there.
fn suspended(ledger: &Ledger, grant: &Grant) -> Resources {
    let claims = ledger.claims_on(grant.agent).map(|(_, claim)| claim);
    let own: Vec<_> = claims.filter(|claim| claim.leaf == grant.leaf).collect();
    let of_kind = |kind| -> Resources {
        let claims = own.iter().filter(|claim| claim.kind == kind);
        claims.map(|claim| &claim.suspended).sum()
    };
    of_kind(ClaimKind::Task).minus(&of_kind(ClaimKind::Offer))
}
