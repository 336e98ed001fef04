//! Who has waited longest gets what ends: one hold a role, for a gang or a task larger than half of an average agent.
//! Smaller tasks find room as others end.

use std::collections::BTreeMap;
use std::sync::Arc;

use proffer_types::{Resources, Shape, Timestamp};

use super::place::{Score, first_helping};
use super::{Engine, Order};
use crate::Round;
use crate::ledger::{AgentIx, Held, Hold, LeafIx, Ledger, RoleIx, Waiting, take_tasks};

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
            if served {
                round.hold(leaf, None);
                for agent in hold.agents.keys() {
                    self.log.follow(round.ledger(), *agent);
                }
                self.follow_leaf(round.ledger(), leaf);
            }
        }
    }

    /// Holds for who has waited too long, and says when to look again.
    pub(super) fn place_holds(&mut self, round: &mut Round<'_>) -> Option<Timestamp> {
        let mut next = None;
        let roles: Vec<_> = self.starving.keys().copied().collect();
        for role in roles {
            if let Some(at) = self.place_hold(round, role) {
                next = Some(next.map_or(at, |next: Timestamp| next.min(at)));
            }
        }
        next
    }

    fn place_hold(&mut self, round: &mut Round<'_>, role: RoleIx) -> Option<Timestamp> {
        let (ledger, now) = (round.ledger(), round.now());
        let leaves = self.starving.get_mut(&role)?;
        leaves.retain(|leaf| {
            ledger
                .leaf(*leaf)
                .is_some_and(|leaf| leaf.role == role && leaf.wants())
        });
        if leaves.is_empty() {
            self.starving.remove(&role);
            return None;
        }
        if leaves.iter().any(|leaf| ledger.hold(*leaf).is_some()) {
            return None;
        }
        let longest = leaves.iter().filter_map(|leaf| {
            let entry = ledger.leaf(*leaf)?;
            let (since, shape) = entry.longest_wait(|shape| is_large(ledger, shape))?;
            Some((since, entry.order, *leaf, Arc::clone(shape)))
        });
        let (since, _, leaf, shape) = longest.min_by_key(|(since, order, ..)| (*since, *order))?;
        let due = since
            .after(round.hold_after())
            .max(self.hold_again.get(&leaf).copied().unwrap_or_default());
        if due > now {
            return Some(due);
        }
        let waiting = shape.gang.map_or(Waiting::Shape(shape.id), Waiting::Gang);
        let plan = plan(ledger, leaf, waiting, now);
        if plan.is_empty() {
            let again = now.after(round.hold_after());
            self.hold_again.insert(leaf, again);
            return Some(again);
        }
        self.hold_again.remove(&leaf);
        round.hold(
            leaf,
            Some(Hold {
                waiting,
                agents: plan,
            }),
        );
        None
    }
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
/// not all of it could ever be there at once.
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
            let Some(n) = (1..=most)
                .take_while(|n| take_tasks(&left, shape, *n).is_some())
                .last()
            else {
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
