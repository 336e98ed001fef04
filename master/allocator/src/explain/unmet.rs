//! What is wanted that no agent has room for: what whoever adds and removes agents goes by.
//!
//! All that is wanted is given room on what agents have free, the large before the small, on a copy that keeps only sums. Filters
//! and holds are no obstacles: they end. What finds no room is unmet as far as the limits of roles allow it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proffer_types::{
    AgentId, FrameworkId, OfferConstraints, ResourceName, Resources, Role, Shape, Timestamp,
};

use crate::Quantities;
use crate::ledger::{AgentEntry, AgentIx, ClaimKind, LeafEntry, LeafIx, Ledger, ROOT, RoleIx, take_tasks};

/// The most shapes that are told.
const MAX_UNMET: usize = 1_000;
/// The (agent, shape) pairs that are looked at: some tenths of a second, on the thread of whoever asks.
const BUDGET: usize = 200_000;

/// What is wanted that no agent has room for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnmetDemand {
    /// Those that have waited longest first.
    pub unmet: Vec<Unmet>,
    /// Agents that offers for stated shapes are of, or that have room for what is wanted.
    pub needed: BTreeSet<AgentId>,
    /// What of all agents together has to stay free for the guarantees of roles.
    pub held_for_guarantees: Resources,
    /// Not everything was looked at, to keep the answer quick.
    pub is_cut: bool,
}

/// Tasks of one shape for which there is no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    pub framework: FrameworkId,
    pub role: Role,
    pub shape: Arc<Shape>,
    /// Of how many tasks neither an offer is under way nor an agent has room, though quota allows them.
    pub n: u32,
    /// Of how many further tasks a limit keeps the role, whose limit that is and of which resource.
    pub over_limit: Option<(u32, Role, ResourceName)>,
    /// Those of the role, in addition to the shape's.
    pub constraints: OfferConstraints,
    /// The only region whose agents will do, of those that say where they are.
    pub region: Option<String>,
    /// When it was first stated, or last got anything.
    pub since: Timestamp,
}

/// One shape that is wanted.
struct Wanted<'a> {
    leaf: (LeafIx, &'a LeafEntry),
    shape: &'a Arc<Shape>,
    open: u32,
    since: Timestamp,
}

/// What is still free, and what limits still allow, while room is looked for.
struct Room<'a> {
    ledger: &'a Ledger,
    agents: Vec<(AgentIx, AgentEntry)>,
    needed: BTreeSet<AgentId>,
    /// Of what is unreserved, in all.
    free: Quantities,
    /// What was given to each role and those below it, beyond what they consume.
    given: BTreeMap<RoleIx, Quantities>,
    budget: usize,
}

/// Looks for room for all that is wanted. Linear in agents times shapes, up to a bound. What waits for one certain agent, or
/// comes with every agent, is left out.
#[must_use]
pub fn unmet_demand(ledger: &Ledger) -> UnmetDemand {
    let mut wanted: Vec<_> = ledger.leaves().flat_map(|leaf| wanted(leaf.0, leaf.1)).collect();
    wanted.sort_by_key(|wanted| std::cmp::Reverse(part_of(ledger, &wanted.shape.resources)));
    let mut room = Room::new(ledger);
    let mut unmet: Vec<_> = wanted.iter().filter_map(|wanted| room.take(wanted)).collect();
    unmet.sort_by_key(|unmet| unmet.since);
    let is_cut = room.budget == 0 || unmet.len() > MAX_UNMET;
    unmet.truncate(MAX_UNMET);
    UnmetDemand {
        unmet,
        needed: room.needed,
        held_for_guarantees: ledger
            .role(ROOT)
            .map(|root| root.unmet().to_resources())
            .unwrap_or_default(),
        is_cut,
    }
}

fn wanted(leaf: LeafIx, entry: &LeafEntry) -> impl Iterator<Item = Wanted<'_>> {
    let waits: BTreeMap<_, _> = entry.waits().map(|(since, shape)| (shape.id, since)).collect();
    let listens = entry.listening && entry.states_demand();
    let wanted = entry.wanted().filter(move |_| listens);
    wanted.filter_map(move |(shape, open)| {
        let is_anywhere = shape.agent.is_none() && !shape.daemon;
        is_anywhere.then_some(Wanted {
            leaf: (leaf, entry),
            shape,
            open,
            since: *waits.get(&shape.id)?,
        })
    })
}

/// The largest part of all there is of a resource, in millionths; what there is none of is largest.
fn part_of(ledger: &Ledger, resources: &Resources) -> u128 {
    let part = |(name, units): (&ResourceName, u64)| {
        let total = ledger.total().get(name);
        (u128::from(units) * 1_000_000)
            .checked_div(total)
            .unwrap_or(u128::MAX)
    };
    resources.scalars().map(part).max().unwrap_or(0)
}

impl<'a> Room<'a> {
    fn new(ledger: &'a Ledger) -> Self {
        let agents = ledger.agents().filter(|(_, entry)| entry.active);
        let is_for_shapes = |agent: AgentIx| {
            let mut claims = ledger.claims_on(agent);
            claims.any(|(_, claim)| claim.kind == ClaimKind::Offer && !claim.shapes.is_empty())
        };
        let offered = ledger.agents().filter(|(agent, _)| is_for_shapes(*agent));
        Self {
            ledger,
            needed: offered.map(|(_, entry)| entry.id.clone()).collect(),
            agents: agents.map(|(agent, entry)| (agent, entry.clone())).collect(),
            free: ledger.free().clone(),
            given: BTreeMap::new(),
            budget: BUDGET,
        }
    }

    /// Gives as many tasks room as there is; tells of the rest.
    fn take(&mut self, wanted: &Wanted<'_>) -> Option<Unmet> {
        let mut left = wanted.open;
        for at in 0..self.agents.len() {
            if left == 0 || self.budget == 0 {
                break;
            }
            self.budget -= 1;
            left -= self.take_on(at, wanted, left);
        }
        if left == 0 || self.budget == 0 {
            return None;
        }
        let (leaf, shape) = (wanted.leaf.1, wanted.shape);
        let (n, limit) = self.within_limits(leaf.role, &shape.resources, left);
        self.give(leaf.role, &shape.resources.times(n));
        Some(Unmet {
            framework: leaf.framework.clone(),
            role: self.ledger.role(leaf.role)?.name.clone()?,
            shape: Arc::clone(shape),
            n,
            over_limit: limit.map(|(role, name)| (left - n, role, name)),
            constraints: leaf.preferences.constraints.clone(),
            region: self.ledger.only_region(leaf.capabilities).map(str::to_owned),
            since: wanted.since,
        })
    }

    /// How many tasks get room on one agent.
    fn take_on(&mut self, at: usize, wanted: &Wanted<'_>, most: u32) -> u32 {
        let ((leaf, entry), shape) = (wanted.leaf, wanted.shape);
        let Some((agent, there)) = self.agents.get(at) else {
            return 0;
        };
        if self.ledger.admits(leaf, *agent, shape).is_err() {
            return 0;
        }
        let has = |max| max - self.ledger.n_on(*agent, leaf, shape.id).min(max);
        let most = shape.max_per_agent.map_or(most, |max| most.min(has(max)));
        let Ok(open) = self.ledger.open_to(entry, there) else {
            return 0;
        };
        let bound = at_most(&open, shape).min(most);
        // Halved until it fits: what is left over by that is taken by the rest of the loop.
        let (mut n, mut step, mut taken) = (0, bound, Resources::new());
        while step > 0 && n < bound {
            let try_n = (n + step).min(bound);
            match take_tasks(&open, shape, try_n).filter(|bundle| self.is_within(entry.role, &bundle.plain()))
            {
                Some(bundle) => (n, taken) = (try_n, bundle),
                None => step /= 2,
            }
        }
        if n > 0 {
            self.needed.insert(there.id.clone());
            let plain = taken.plain();
            let free = plain
                .scalars()
                .map(|(name, units)| (name.clone(), u128::from(units)));
            for (name, units) in free.collect::<Vec<_>>() {
                self.free.set(&name, self.free.get(&name).saturating_sub(units));
            }
            self.give(entry.role, &plain);
            if let Some((_, there)) = self.agents.get_mut(at) {
                there.free.subtract(&taken);
            }
        }
        n
    }

    /// Whether limits and guarantees leave a role so much more of what is unreserved.
    fn is_within(&self, role: RoleIx, plain: &Resources) -> bool {
        let guaranteed = plain.scalars().all(|(name, units)| {
            let unmet = self.ledger.role(ROOT).map_or(0, |root| root.unmet().get(name));
            let kept = unmet - self.ledger.meets(role, name).min(unmet);
            self.free.get(name) >= kept + u128::from(units)
        });
        guaranteed && self.within_limits(role, plain, 1).0 == 1
    }

    /// How many bundles limits leave a role, of so many, and which limit leaves no more.
    fn within_limits(
        &self,
        role: RoleIx,
        each: &Resources,
        most: u32,
    ) -> (u32, Option<(Role, ResourceName)>) {
        let mut within = (most, None);
        for ix in self.ledger.lineage(role) {
            let Some(entry) = self.ledger.role(ix) else {
                continue;
            };
            for (name, units) in each.scalars() {
                let (Some(limit), Some(role)) = (entry.config.quota.limit.get(name), &entry.name) else {
                    continue;
                };
                let given = self.given.get(&ix).map_or(0, |given| given.get(name));
                let left = u128::from(*limit).saturating_sub(entry.consumed(name) + given);
                let n = u32::try_from(left / u128::from(units.max(1))).unwrap_or(u32::MAX);
                if n < within.0 {
                    within = (n, Some((role.clone(), name.clone())));
                }
            }
        }
        within
    }

    fn give(&mut self, role: RoleIx, plain: &Resources) {
        for ix in self.ledger.lineage(role) {
            self.given.entry(ix).or_default().add(plain);
        }
    }
}

/// No more tasks than this fit, whatever is reserved.
fn at_most(open: &Resources, shape: &Shape) -> u32 {
    let flat = open.flattened();
    let fit = |has: u64, each: u64| has.checked_div(each).unwrap_or(u64::MAX);
    let scalars = shape
        .resources
        .scalars()
        .map(|(name, units)| fit(flat.scalar(name), units));
    let ports = flat
        .ranges(&ResourceName::Ports)
        .map_or(0, proffer_types::Ranges::count);
    let n = scalars.fold(fit(ports, u64::from(shape.n_ports)), u64::min);
    u32::try_from(n).unwrap_or(u32::MAX)
}
