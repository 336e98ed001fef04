//! Who has waited longest gets what ends: one hold a role, for a gang or a task larger than half of an average agent.
//! Smaller tasks find room as others end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proffer_types::{Resources, Shape, Timestamp};

use super::place::{Score, first_helping, most_that_fit};
use super::{Engine, Order};
use crate::Round;
use crate::ledger::{AgentIx, Held, Hold, LeafIx, Ledger, RoleIx, Waiting, take_tasks};

/// How many that wait are planned for in a role and a round: a plan looks at all agents, and of those that can never be
/// placed there may be many. The others come in the next round.
const MAX_PLANS: usize = 8;

impl<O: Order> Engine<O> {
    /// Those for whom something is held come before all others, as soon as something changed.
    pub(super) fn serve_holders(&mut self, round: &mut Round<'_>) {
        let holds: Vec<_> = round
            .ledger()
            .holds()
            .map(|(leaf, hold)| (leaf, hold.clone()))
            .collect();
        for (leaf, hold) in holds {
            let wanted = wanted(round.ledger(), leaf, hold.waiting);
            let served = match (hold.waiting, wanted) {
                (_, None) => true,
                (Waiting::Gang(gang), Some(_)) => self.serve_gang(round, leaf, gang),
                (Waiting::Shape(_), Some(shape)) => hold.agents.keys().any(|agent| {
                    let fits = first_helping(round, leaf, *agent, &shape, 1).is_ok();
                    fits && round.offer_tasks(leaf, *agent, &shape, 1).is_ok()
                }),
            };
            let resources = hold.agents.values().map(|held| &held.resources);
            if served || !round.ledger().may_ever_have(leaf, resources) {
                round.hold(leaf, None);
                self.waiting.look_again();
                for agent in hold.agents.keys() {
                    self.log.follow(round.ledger(), *agent);
                }
                self.follow_leaf(round.ledger(), leaf);
            }
        }
    }

    /// Holds for who has waited too long, and says when to look again.
    pub(super) fn place_holds(&mut self, round: &mut Round<'_>) -> Option<Timestamp> {
        let holding = |ledger: &Ledger, role| {
            let mut holders = ledger.holds().filter_map(|(leaf, _)| ledger.leaf(leaf));
            holders.any(|leaf| leaf.role == role)
        };
        let roles: Vec<_> = self.waiting.by_role.keys().copied().collect();
        for role in roles {
            if holding(round.ledger(), role) {
                continue;
            }
            for _ in 0..MAX_PLANS {
                let Some((leaf, waiting)) = self.waiting.overdue(round, role) else {
                    break;
                };
                let agents = plan(round.ledger(), leaf, waiting, round.now());
                if !agents.is_empty() {
                    round.hold(leaf, Some(Hold { waiting, agents }));
                    break;
                }
                self.waiting.put_off(role, leaf, waiting, round.now());
            }
        }
        let by_role = self.waiting.by_role.iter();
        let open = by_role.filter(|(role, _)| !holding(round.ledger(), **role));
        open.filter_map(|(_, waiters)| waiters.due)
            .min()
            .map(|since| since.after(round.hold_after()))
    }
}

/// Those of one role who state what they want and have not all of it.
#[derive(Debug, Default)]
struct OfRole {
    leaves: BTreeSet<LeafIx>,
    /// Nobody has waited since before this; `None` if nobody waits who could be starved.
    due: Option<Timestamp>,
    /// For whom nothing could be held, and when that was found: their turn is over until they have waited again.
    put_off: BTreeMap<(LeafIx, Waiting), Timestamp>,
}

/// Those who state what they want and have not all of it.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_role: BTreeMap<RoleIx, OfRole>,
}

impl Waiters {
    /// A leaf may wait for something.
    pub(super) fn insert(&mut self, ledger: &Ledger, leaf: LeafIx) {
        let Some(entry) = ledger.leaf(leaf) else {
            return;
        };
        if let Some((since, _)) = entry.longest_wait(|shape| is_large(ledger, shape)) {
            let waiters = self.by_role.entry(entry.role).or_default();
            waiters.leaves.insert(leaf);
            waiters.due = Some(waiters.due.map_or(since, |due| due.min(since)));
        }
    }

    /// Who of a role has waited longest, and for what, if it is time for a hold.
    fn overdue(&mut self, round: &Round<'_>, role: RoleIx) -> Option<(LeafIx, Waiting)> {
        let (ledger, now) = (round.ledger(), round.now());
        let waiters = self.by_role.get_mut(&role)?;
        if waiters.due?.after(round.hold_after()) > now {
            return None;
        }
        let put_off = &mut waiters.put_off;
        put_off.retain(|_, since| since.after(round.hold_after()) > now);
        let mut longest: Option<(Timestamp, u64, LeafIx, Waiting)> = None;
        waiters.leaves.retain(|leaf| {
            let entry = ledger
                .leaf(*leaf)
                .filter(|entry| entry.role == role && entry.wants());
            let entry = entry.filter(|entry| entry.longest_wait(|shape| is_large(ledger, shape)).is_some());
            let Some(entry) = entry else {
                return false;
            };
            let its_turn = |shape: &Shape| !put_off.contains_key(&(*leaf, waiting_for(shape)));
            let wait = entry.longest_wait(|shape| is_large(ledger, shape) && its_turn(shape));
            if let Some((since, shape)) = wait
                && longest.is_none_or(|longest| (since, entry.order) < (longest.0, longest.1))
            {
                longest = Some((since, entry.order, *leaf, waiting_for(shape)));
            }
            true
        });
        let since = longest.map(|(since, ..)| since);
        waiters.due = since.into_iter().chain(put_off.values().copied()).min();
        if waiters.leaves.is_empty() {
            self.by_role.remove(&role);
        }
        let (since, _, leaf, waiting) = longest?;
        (since.after(round.hold_after()) <= now).then_some((leaf, waiting))
    }

    /// Something is held no more: for whom nothing could be held, something may be held now.
    fn look_again(&mut self) {
        for waiters in self.by_role.values_mut() {
            if !std::mem::take(&mut waiters.put_off).is_empty() {
                waiters.due = Some(Timestamp::default());
            }
        }
    }

    /// Nothing can be held for who has waited longest, as the agents are now: its wait begins anew, and others are not
    /// kept waiting by it.
    fn put_off(&mut self, role: RoleIx, leaf: LeafIx, waiting: Waiting, now: Timestamp) {
        if let Some(waiters) = self.by_role.get_mut(&role) {
            waiters.put_off.insert((leaf, waiting), now);
        }
    }
}

fn waiting_for(shape: &Shape) -> Waiting {
    shape.gang.map_or(Waiting::Shape(shape.id), Waiting::Gang)
}

/// Whether a task may be starved by smaller ones: it is one of a gang, or takes more than half of an average agent.
fn is_large(ledger: &Ledger, shape: &Shape) -> bool {
    let n_agents = u128::try_from(ledger.n_agents()).unwrap_or(u128::MAX);
    let mut scalars = shape.resources.scalars();
    shape.gang.is_some()
        || scalars.any(|(name, units)| u128::from(units) * 2 * n_agents > ledger.total().get(name))
}

/// The shape that a hold is for, while it is wanted; any of a gang.
fn wanted(ledger: &Ledger, leaf: LeafIx, waiting: Waiting) -> Option<Arc<Shape>> {
    let mut wanted = ledger.leaf(leaf)?.wanted();
    let found = wanted.find(|(shape, _)| match waiting {
        Waiting::Shape(id) => shape.id == id,
        Waiting::Gang(gang) => shape.gang == Some(gang),
    });
    found.map(|(shape, _)| Arc::clone(shape))
}

/// Which agents to hold, and what of them: those that will be free soonest, as far as time limits tell. Nothing when
/// not all of it could ever be there at once, or quota forbids it.
fn plan(ledger: &Ledger, leaf: LeafIx, waiting: Waiting, now: Timestamp) -> BTreeMap<AgentIx, Held> {
    let Some(entry) = ledger.leaf(leaf) else {
        return BTreeMap::new();
    };
    let shapes: Vec<_> = match waiting {
        Waiting::Shape(id) => entry
            .wanted()
            .filter(|(shape, _)| shape.id == id)
            .map(|(shape, _)| (shape, 1))
            .collect(),
        Waiting::Gang(gang) => entry
            .wanted()
            .filter(|(shape, _)| shape.gang == Some(gang))
            .collect(),
    };
    let mut plan: BTreeMap<AgentIx, Held> = BTreeMap::new();
    for (shape, count) in shapes {
        let mut missing = count;
        for (free_by, agent) in soonest(ledger, leaf, shape, now) {
            if missing == 0 {
                break;
            }
            let held = plan
                .get(&agent)
                .map(|held| held.resources.clone())
                .unwrap_or_default();
            let Some(entry) = ledger.agent(agent) else {
                continue;
            };
            let left = entry.total().plain().minus(&held);
            let most = missing.min(shape.max_per_agent.unwrap_or(u32::MAX));
            let Some((n, _)) = most_that_fit(&left, shape, most) else {
                continue;
            };
            let resources = held.plus(&shape.resources.times(n));
            plan.insert(agent, Held { resources, free_by });
            missing -= n;
        }
        if missing > 0 {
            return BTreeMap::new();
        }
    }
    if !ledger.may_ever_have(leaf, plan.values().map(|held| &held.resources)) {
        return BTreeMap::new();
    }
    plan
}

/// The agents a task could run on if they were empty and that are held for nobody: first those whose tasks all have a
/// time limit, by the latest end; then the others, by how well they suit.
fn soonest(
    ledger: &Ledger,
    leaf: LeafIx,
    shape: &Shape,
    now: Timestamp,
) -> Vec<(Option<Timestamp>, AgentIx)> {
    let could = |agent: AgentIx, total: &Resources| {
        ledger.held_on(agent).is_none() && take_tasks(&total.plain(), shape, 1).is_some()
    };
    let agents = ledger.agents().filter(|(ix, agent)| could(*ix, agent.total()));
    let allowed = agents.filter(|(ix, _)| ledger.admits(leaf, *ix, shape).is_ok());
    let mut agents: Vec<_> = allowed
        .map(|(ix, _)| {
            let ends = ledger.claims_on(ix).map(|(_, claim)| claim.ends_by);
            let last = ends
                .reduce(|last, end| Some(last?.max(end?)))
                .unwrap_or(Some(now));
            (last, Score::of(ledger, leaf, ix, shape), ix)
        })
        .collect();
    agents.sort_by(|(one, a, _), (other, b, _)| {
        let unknown = |end: &Option<Timestamp>| end.is_none();
        (unknown(one), *one)
            .cmp(&(unknown(other), *other))
            .then(b.compare(a))
    });
    agents.into_iter().map(|(last, _, ix)| (last, ix)).collect()
}
