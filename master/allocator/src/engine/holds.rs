//! Who has waited longest gets what ends: one hold a role, for a gang or a task larger than half of an average agent, or for
//! the first of a statement that says so. Smaller tasks find room as others end.
//!
//! What is waited for may never come: tasks need not end. So a hold is over some time, as LSF's reservations are
//! (`MAX_RESERVE_TIME`, lsb.queues(5)), and an agent that was held for nothing is held for nobody for as long as it was. Where nobody says
//! how long tasks run, each hold lasts twice as long as the one before: whatever does end is waited for in the end, and
//! others have half of the time whatever does not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proffer_types::{Backfill, Resources, Shape, Timestamp};

use super::place::{Score, first_helping, most_that_fit};
use super::waiters::Waiters;
use super::{Engine, Order};
use crate::Round;
use crate::ledger::{AgentIx, ClaimKind, Held, Hold, LeafIx, Ledger, RoleIx, Waiting, take_tasks};

/// How many that wait are planned for in a role and a round: a plan looks at all agents, and of those that can never be
/// placed there may be many. The others come in the next round.
const MAX_PLANS: usize = 8;
/// So many times the wait before it lasts the first hold for what ends nobody knows when: short beside a service, long
/// beside most tasks of jobs; ten minutes by default.
const FIRST_HOLD: u32 = 10;
/// And the longest, which keeps others from an agent for as long: a day by default, as far ahead as Slurm plans
/// (`bf_window`, slurm.conf(5)).
const LONGEST_HOLD: u32 = 1_440;

impl<O: Order> Engine<O> {
    /// Those for whom something is held come before all others, as soon as something changed. What was held for long
    /// enough is not any more.
    pub(super) fn serve_holders(&mut self, round: &mut Round<'_>) {
        let holds: Vec<_> = round
            .ledger()
            .holds()
            .map(|(leaf, hold)| (leaf, hold.clone()))
            .collect();
        for (leaf, hold) in holds {
            let wanted = wanted(round.ledger(), leaf, hold.waiting);
            // Another is the first by now, and is not to be kept waiting by this one.
            let is_first = || {
                round
                    .ledger()
                    .leaf(leaf)
                    .is_some_and(|entry| entry.is_first(hold.waiting))
            };
            if self.waiting.is_held_as_first(leaf, hold.waiting) && !is_first() {
                self.release(round, leaf, &hold);
                continue;
            }
            let is_open = wanted.is_some() && hold.until > round.now();
            let served = match (hold.waiting, wanted) {
                (_, None) => false,
                (Waiting::Gang(gang), Some(_)) => self.serve_gang(round, leaf, gang),
                (Waiting::Shape(_), Some(shape)) => hold.agents.keys().any(|agent| {
                    let fits = first_helping(round, leaf, *agent, &shape, 1).is_ok();
                    fits && round.offer_tasks(leaf, *agent, &shape, 1).is_ok()
                }),
            };
            let resources = hold.agents.values().map(|held| &held.resources);
            if served || !is_open || !round.ledger().may_ever_have(leaf, resources) {
                self.release(round, leaf, &hold);
                if !served {
                    let longest = round.hold_after().saturating_mul(LONGEST_HOLD);
                    self.waiting
                        .held_in_vain(round.ledger(), leaf, &hold, round.now(), longest);
                }
            } else if is_easy(round.ledger(), leaf)
                && let Some(sooner) = sooner(round, &hold)
            {
                round.hold(leaf, Some(sooner));
            }
        }
    }

    fn release(&mut self, round: &mut Round<'_>, leaf: LeafIx, hold: &Hold) {
        round.hold(leaf, None);
        self.waiting.look_again();
        for agent in hold.agents.keys() {
            self.log.follow(round.ledger(), *agent);
        }
        self.follow_leaf(round.ledger(), leaf);
    }

    /// Holds for who has waited too long, and says when to look again.
    pub(super) fn place_holds(&mut self, round: &mut Round<'_>) -> Option<Timestamp> {
        self.waiting.forget_past(round.ledger(), round.now());
        let mut turns = self.waiting.roles();
        turns.retain(|role| !is_held(round.ledger(), *role));
        // Whoever has waited longest first: two roles may want the same agent.
        turns.sort_by_cached_key(|role| self.waiting.overdue(round, *role).map(|overdue| overdue.since));
        for role in turns {
            self.place_hold(round, role);
        }
        let open = |role: RoleIx| !is_held(round.ledger(), role);
        let due = self.waiting.due(open);
        let over = round.ledger().holds().map(|(_, hold)| hold.until);
        over.chain(due).chain(self.waiting.next_rested()).min()
    }

    /// Holds for who of a role has waited longest, if it is time and something may be held.
    fn place_hold(&mut self, round: &mut Round<'_>, role: RoleIx) {
        for _ in 0..MAX_PLANS {
            let Some(overdue) = self.waiting.overdue(round, role) else {
                return;
            };
            let (leaf, waiting) = (overdue.leaf, overdue.waiting);
            let agents = plan(round.ledger(), &self.waiting, leaf, waiting, round.now());
            let is_known = agents.values().all(|held| held.free_by.is_some());
            if !agents.is_empty() && (is_known || !overdue.only_known) {
                let hold = Hold {
                    waiting,
                    until: end(&agents, round, self.waiting.last_hold(leaf, waiting)),
                    agents,
                    since: round.now(),
                };
                self.waiting.held(&overdue);
                round.hold(leaf, Some(hold));
                return;
            }
            self.waiting.put_off(round, role, &overdue);
        }
    }

    /// Nothing is there for the first of a statement: before others are served, what ends soonest is held for it, where
    /// it has waited for a moment and others are not to keep it waiting.
    pub(super) fn hold_for_first(&mut self, round: &mut Round<'_>, leaf: LeafIx) {
        let entry = round.ledger().leaf(leaf);
        let role = entry.map(|entry| entry.role);
        let role = role.filter(|_| is_easy(round.ledger(), leaf));
        if let Some(role) = role.filter(|role| !is_held(round.ledger(), *role)) {
            self.place_hold(round, role);
        }
    }
}

/// Whether others may go before the first of what a leaf states only if that does not keep it waiting.
fn is_easy(ledger: &Ledger, leaf: LeafIx) -> bool {
    let entry = ledger.leaf(leaf);
    entry.is_some_and(|entry| entry.backfill == Backfill::Easy)
}

/// Whether anything is held for somebody in a role.
fn is_held(ledger: &Ledger, role: RoleIx) -> bool {
    let mut holders = ledger.holds().filter_map(|(leaf, _)| ledger.leaf(leaf));
    holders.any(|leaf| leaf.role == role)
}

/// When a hold is over: when tasks are past their time limits, and have had the time to be killed; where one has no
/// limit, after a while, the longer the longer the last one for it was.
fn end(agents: &BTreeMap<AgentIx, Held>, round: &Round<'_>, last: Option<Duration>) -> Timestamp {
    let (now, hold_after) = (round.now(), round.hold_after());
    let mut ends = agents.values().map(|held| held.free_by);
    if let Some(free) = ends.try_fold(now, |last, end| Some(last.max(end?))) {
        return free.after(hold_after);
    }
    let lasts = last.unwrap_or_default().saturating_mul(2);
    now.after(lasts.clamp(
        hold_after.saturating_mul(FIRST_HOLD),
        hold_after.saturating_mul(LONGEST_HOLD),
    ))
}

/// The hold with when its agents are free by now, where that is sooner: something ended before its limit, and what was to be
/// over by the former time would keep waiting who waits. Nothing where nobody knows when all of it is free.
fn sooner(round: &Round<'_>, hold: &Hold) -> Option<Hold> {
    if hold.agents.values().any(|held| held.free_by.is_none()) {
        return None;
    }
    let mut agents = hold.agents.clone();
    let mut is_sooner = false;
    for (agent, held) in &mut agents {
        let by = free_by(round.ledger(), *agent, &held.resources, round.now());
        if by.is_some() && by < held.free_by {
            held.free_by = by;
            is_sooner = true;
        }
    }
    is_sooner.then(|| Hold {
        until: end(&agents, round, None),
        agents,
        ..hold.clone()
    })
}

/// Whether something was held for long enough.
pub(super) fn is_one_over(round: &Round<'_>) -> bool {
    let mut holds = round.ledger().holds();
    holds.any(|(_, hold)| hold.until <= round.now())
}

/// Whether a task may be starved by smaller ones: it is one of a gang, or takes more than half of an average agent.
pub(super) fn is_large(ledger: &Ledger, shape: &Shape) -> bool {
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
fn plan(
    ledger: &Ledger,
    waiters: &Waiters,
    leaf: LeafIx,
    waiting: Waiting,
    now: Timestamp,
) -> BTreeMap<AgentIx, Held> {
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
        for agent in soonest(ledger, waiters, leaf, shape, now) {
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
            let free_by = free_by(ledger, agent, &resources, now);
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

/// When so much is free on an agent at the latest, as far as time limits tell.
fn free_by(ledger: &Ledger, agent: AgentIx, wanted: &Resources, now: Timestamp) -> Option<Timestamp> {
    let mut free = ledger.agent(agent)?.free.plain();
    let claims = || ledger.claims_on(agent).map(|(_, claim)| claim);
    let offers = claims().filter(|claim| claim.kind == ClaimKind::Offer);
    let offered: Vec<_> = offers
        .flat_map(|claim| ledger.ends_of_offered(claim, now))
        .collect();
    let tasks = claims().filter_map(|claim| Some((claim.ends_by?, &claim.resources)));
    let mut ends: Vec<_> = tasks
        .chain(offered.iter().map(|(end, resources)| (*end, resources)))
        .collect();
    ends.sort_by_key(|(end, _)| *end);
    let mut ends = ends.into_iter();
    let mut by = now;
    while !free.contains(wanted) {
        let (end, resources) = ends.next()?;
        free.add(&resources.plain());
        by = by.max(end);
    }
    Some(by)
}

/// The agents a task could run on if they were empty and that are held for nobody, and may be: first those of which time
/// limits tell when there is room, by that; then the others, by how well they suit.
fn soonest(ledger: &Ledger, waiters: &Waiters, leaf: LeafIx, shape: &Shape, now: Timestamp) -> Vec<AgentIx> {
    let could = |agent: AgentIx, total: &Resources| {
        ledger.held_on(agent).is_none() && take_tasks(&total.plain(), shape, 1).is_some()
    };
    let agents = ledger.agents().filter(|(_, agent)| !waiters.rests(&agent.id));
    let agents = agents.filter(|(ix, agent)| could(*ix, agent.total()));
    let allowed = agents.filter(|(ix, _)| ledger.admits(leaf, *ix, shape).is_ok());
    let mut agents: Vec<_> = allowed
        .map(|(ix, _)| {
            let free_by = free_by(ledger, ix, &shape.resources, now);
            (free_by, Score::of(ledger, leaf, ix, shape), ix)
        })
        .collect();
    agents.sort_by(|(one, a, _), (other, b, _)| {
        let unknown = |end: &Option<Timestamp>| end.is_none();
        (unknown(one), *one)
            .cmp(&(unknown(other), *other))
            .then(b.compare(a))
    });
    agents.into_iter().map(|(_, _, ix)| ix).collect()
}
