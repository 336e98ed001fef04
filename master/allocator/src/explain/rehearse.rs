//! What a framework would be offered if it stated more: tried on a copy of the ledger, by the engine that makes offers.
//!
//! Nothing is changed. The copy is as of now: others who wait are left out, since what is free now was of no use to them
//! or is being offered to them already; what they hold, in use or for later, stays theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proffer_types::{AgentId, FrameworkId, GangId, Resources, Role, Shape, ShapeId, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::{MAX_PAIRS, MAX_SHAPES, reasons};
use crate::order::Fifo;
use crate::{
    Allocator as _, Change, Claim, ClaimIx, ClaimKind, Counted, Engine, FrameworkEntry, Grant, Hold, Host,
    LeafEntry, LeafIx, Ledger, Part, Reason, Round,
};

/// The (agent, shape) pairs that one rehearsal looks at: some tenths of a second, on the thread of whoever asks.
const BUDGET: u64 = 200_000;
/// What one waits for is held for it no sooner: nobody waits in a rehearsal.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What was found for a demand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rehearsal {
    /// One for each shape, in their order.
    pub shapes: Vec<Found>,
    /// Not everything was looked at, to keep the answer quick: there may be room for more.
    pub is_cut: bool,
}

/// What was found for one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// By its id in the demand.
    pub shape: ShapeId,
    /// How many of its tasks would start on each agent, with its hostname.
    pub places: Vec<(AgentId, String, u32)>,
    /// Of what is left, why; absent where nothing is. Of many shapes that wait, only the first are told why, as by `explain`.
    pub missing: Option<Part>,
}

/// A copy of the ledger that is claimed from.
struct Copy {
    ledger: Ledger,
    made: Vec<ClaimIx>,
}

impl Host for Copy {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn grant(&mut self, grant: Grant) -> ClaimIx {
        let mut claim = Claim::new(ClaimKind::Offer, grant.leaf, grant.agent, grant.resources);
        (claim.shapes, claim.gang) = (grant.shapes, grant.gang);
        let claim = self.ledger.claim(claim);
        self.made.push(claim);
        claim
    }

    fn grow(&mut self, claim: ClaimIx, more: &Resources, shape: (ShapeId, u32)) {
        self.ledger.grow(claim, more, &[shape]);
    }

    /// What is held stays as it is.
    fn hold(&mut self, _: LeafIx, _: Option<Hold>) {}
}

/// Tries to find room for what a framework would state in a role, behind what it states there already. None when there is
/// no such framework.
#[must_use]
pub fn rehearse(
    ledger: &Ledger,
    framework: &FrameworkId,
    role: &Role,
    demand: &[Shape],
    now: Timestamp,
) -> Option<Rehearsal> {
    let entry = ledger.framework(framework)?;
    let mut copy = Copy {
        ledger: ledger.clone(),
        made: Vec::new(),
    };
    let others: Vec<_> = ledger
        .frameworks()
        .map(|(id, entry)| (id.clone(), entry.roles.clone()))
        .collect();
    for (other, roles) in others.iter().filter(|(other, _)| other != framework) {
        copy.ledger.suppress(other, roles);
    }
    copy.ledger.set_framework(framework, alone_in(entry, role));
    let leaf = copy.ledger.leaf_ix(framework, role)?;
    let shapes = renamed(demand);
    let mut all = copy.ledger.leaf(leaf).map(LeafEntry::stated).unwrap_or_default();
    all.shapes.extend(shapes.iter().cloned());
    copy.ledger.set_demand(framework, role, Some(all), now);
    let is_cut = entry.active && play(&mut copy, leaf, now);
    let mut n_left = (MAX_PAIRS / ledger.n_agents().max(1)).clamp(1, MAX_SHAPES);
    let tell = |(of, shape): (&Shape, &Shape)| {
        let found = found(&copy, entry, (leaf, role), of.id, shape, (now, n_left > 0));
        n_left = n_left.saturating_sub(usize::from(found.missing.is_some()));
        found
    };
    Some(Rehearsal {
        shapes: demand.iter().zip(&shapes).map(tell).collect(),
        is_cut,
    })
}

/// The framework as it would be in the role, and as if it wanted nothing in its others.
fn alone_in(entry: &FrameworkEntry, role: &Role) -> FrameworkEntry {
    let mut entry = entry.clone();
    entry.suppressed = std::mem::take(&mut entry.roles);
    entry.suppressed.remove(role);
    entry.roles = entry.suppressed.clone();
    entry.roles.insert(role.clone());
    entry
}

/// The shapes under ids that are none of those a framework chose: theirs count from 0.
fn renamed(demand: &[Shape]) -> Vec<Shape> {
    let gangs: BTreeSet<_> = demand.iter().filter_map(|shape| shape.gang).collect();
    let gangs: BTreeMap<_, _> = gangs.into_iter().zip((0..u64::MAX).rev().map(GangId)).collect();
    let ids = (0..u64::MAX).rev().map(ShapeId);
    let rename = |(shape, id): (&Shape, ShapeId)| Shape {
        id,
        gang: shape.gang.and_then(|gang| gangs.get(&gang).copied()),
        ..shape.clone()
    };
    demand.iter().zip(ids).map(rename).collect()
}

/// A round of which nobody hears; returns whether it was cut short.
fn play(copy: &mut Copy, leaf: LeafIx, now: Timestamp) -> bool {
    let mut engine = Engine::new(Fifo::default());
    for (agent, _) in copy.ledger.agents() {
        engine.observe(&copy.ledger, &Change::Agent(agent));
    }
    engine.observe(&copy.ledger, &Change::Leaf(leaf));
    // No choice is left to chance: the one leaf is always next.
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let round = Round::new(copy, now, &mut rng, BUDGET);
    engine.allocate(&mut round.with_hold_after(NEVER)).more
}

fn found(
    copy: &Copy,
    entry: &FrameworkEntry,
    (leaf, role): (LeafIx, &Role),
    id: ShapeId,
    shape: &Shape,
    (now, is_told): (Timestamp, bool),
) -> Found {
    let claims = copy.made.iter().filter_map(|claim| copy.ledger.claim_of(*claim));
    let mut n_found = 0;
    let mut places: BTreeMap<_, u32> = BTreeMap::new();
    for claim in claims {
        let n = claim.n_of(shape.id);
        n_found += n;
        if n > 0 {
            *places.entry(claim.agent).or_default() += n;
        }
    }
    let place = |(agent, n)| {
        let agent = copy.ledger.agent(agent)?;
        Some((agent.id.clone(), agent.info.hostname.clone(), n))
    };
    let n_missing = shape.count.saturating_sub(n_found);
    let wanted = (Arc::new(shape.clone()), n_missing);
    let why = || match entry.active {
        _ if !is_told => Vec::new(),
        true if copy.ledger.n_agents() == 0 => vec![Counted::of(Reason::NoAgents)],
        true => reasons(&copy.ledger, leaf, Some(&wanted), now),
        false => vec![Counted::of(Reason::NotConnected)],
    };
    Found {
        shape: id,
        places: places.into_iter().filter_map(place).collect(),
        missing: (n_missing > 0).then(|| Part {
            role: role.clone(),
            reasons: why(),
            shape: Some(wanted.clone()),
        }),
    }
}
