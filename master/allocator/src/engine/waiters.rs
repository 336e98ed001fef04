//! Who states what it wants and has not all of it, by how long it has waited.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::{AgentId, ShapeId, Timestamp};

use super::holds::is_large;
use crate::Round;
use crate::ledger::{Hold, LeafIx, Ledger, RoleIx, Waiting};

/// How long the first of a statement waits before what ends is held for it, where others may go before it only if that does
/// not keep it waiting: of what flows nothing is planned, and a second is nothing to who plans with time limits.
const EASY_AFTER: Duration = Duration::from_secs(1);

/// Somebody who waits, and for whom something may be held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overdue {
    pub(super) since: Timestamp,
    pub(super) leaf: LeafIx,
    pub(super) waiting: Waiting,
    /// It has not waited long enough for what nobody knows the end of.
    pub(super) only_known: bool,
}

/// Those of one role who state what they want and have not all of it.
#[derive(Debug, Default)]
struct OfRole {
    leaves: BTreeSet<LeafIx>,
    /// Nobody has waited long enough before this; `None` if nobody waits who could be starved.
    due: Option<Timestamp>,
    /// For whom nothing could be held, and until when their turn is over.
    put_off: BTreeMap<(LeafIx, Waiting), Timestamp>,
}

/// The last hold for somebody who still waits.
#[derive(Debug, Clone, Copy)]
struct Vain {
    ended: Timestamp,
    lasted: Duration,
}

/// Those who state what they want and have not all of it.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_role: BTreeMap<RoleIx, OfRole>,
    /// For whom something was held in vain: their wait began anew.
    in_vain: BTreeMap<(LeafIx, Waiting), Vain>,
    /// For whom something is held because it is the first of its statement.
    firsts: BTreeMap<LeafIx, Waiting>,
    /// Agents that were held in vain, and until when they are held for nobody.
    resting: BTreeMap<AgentId, Timestamp>,
}

impl Waiters {
    /// A leaf may wait for something.
    pub(super) fn insert(&mut self, ledger: &Ledger, leaf: LeafIx) {
        let Some(entry) = ledger.leaf(leaf) else {
            return;
        };
        let may_starve = entry.may_starve(|shape| is_large(ledger, shape));
        if let Some(since) = may_starve.map(|(since, ..)| since).min() {
            let waiters = self.by_role.entry(entry.role).or_default();
            waiters.leaves.insert(leaf);
            // When exactly is found when it is looked at.
            waiters.due = Some(waiters.due.map_or(since, |due| due.min(since)));
        }
    }

    /// The roles in which somebody may wait.
    pub(super) fn roles(&self) -> Vec<RoleIx> {
        self.by_role.keys().copied().collect()
    }

    /// When, at the earliest, somebody has waited long enough in the roles that are asked for.
    pub(super) fn due(&self, asked: impl Fn(RoleIx) -> bool) -> Option<Timestamp> {
        let by_role = self.by_role.iter().filter(|(role, _)| asked(**role));
        by_role.filter_map(|(_, waiters)| waiters.due).min()
    }

    /// Who of a role has waited longest, if it is time for a hold.
    pub(super) fn overdue(&mut self, round: &Round<'_>, role: RoleIx) -> Option<Overdue> {
        let (ledger, now) = (round.ledger(), round.now());
        let waiters = self.by_role.get_mut(&role)?;
        if waiters.due? > now {
            return None;
        }
        let put_off = &mut waiters.put_off;
        put_off.retain(|_, until| *until > now);
        let mut due = put_off.values().min().copied();
        let mut longest: Option<((Timestamp, u64, LeafIx, ShapeId), Overdue)> = None;
        waiters.leaves.retain(|leaf| {
            let entry = ledger
                .leaf(*leaf)
                .filter(|entry| entry.role == role && entry.wants());
            let waits = entry.map(|entry| entry.may_starve(|shape| is_large(ledger, shape)));
            let mut waits = waits.into_iter().flatten().peekable();
            let is_waiting = waits.peek().is_some();
            for (since, shape, is_first) in waits {
                let waiting = Waiting::of(shape);
                if put_off.contains_key(&(*leaf, waiting)) {
                    continue;
                }
                let anew = self.in_vain.get(&(*leaf, waiting)).map(|vain| vain.ended);
                let order = entry.map_or(u64::MAX, |entry| entry.order);
                let since = since.max(anew.unwrap_or(since));
                let whole = since.after(round.hold_after());
                let enough = if is_first {
                    since.after(EASY_AFTER).min(whole)
                } else {
                    whole
                };
                due = Some(due.map_or(enough, |due| due.min(enough)));
                let wait = (since, order, *leaf, shape.id);
                if enough <= now && longest.is_none_or(|(longest, _)| wait < longest) {
                    let overdue = Overdue {
                        since,
                        leaf: *leaf,
                        waiting,
                        only_known: whole > now || !is_large(ledger, shape),
                    };
                    longest = Some((wait, overdue));
                }
            }
            is_waiting
        });
        waiters.due = due;
        if waiters.leaves.is_empty() {
            self.by_role.remove(&role);
        }
        longest.map(|(_, overdue)| overdue)
    }

    /// Something is held for somebody.
    pub(super) fn held(&mut self, overdue: &Overdue) {
        match overdue.only_known {
            true => self.firsts.insert(overdue.leaf, overdue.waiting),
            false => self.firsts.remove(&overdue.leaf),
        };
    }

    /// Whether what is held is held because it was the first of its statement.
    pub(super) fn is_held_as_first(&self, leaf: LeafIx, waiting: Waiting) -> bool {
        self.firsts.get(&leaf) == Some(&waiting)
    }

    /// Something is held no more, or may be held again: for whom nothing could be held, something may be held now.
    pub(super) fn look_again(&mut self) {
        for waiters in self.by_role.values_mut() {
            if !std::mem::take(&mut waiters.put_off).is_empty() {
                waiters.due = Some(Timestamp::default());
            }
        }
    }

    /// Nothing can be held for who has waited longest, as the agents are now: others are not kept waiting by it.
    pub(super) fn put_off(&mut self, round: &Round<'_>, role: RoleIx, overdue: &Overdue) {
        let until = round.now().after(match overdue.only_known {
            true => EASY_AFTER.min(round.hold_after()),
            false => round.hold_after(),
        });
        if let Some(waiters) = self.by_role.get_mut(&role) {
            waiters.put_off.insert((overdue.leaf, overdue.waiting), until);
            waiters.due = waiters.due.map(|due| due.min(until));
        }
    }

    /// A hold is over and did not help: whoever it was for waits anew, behind all others, and its agents are held for
    /// nobody for as long as it lasted, `longest` at most.
    pub(super) fn held_in_vain(
        &mut self,
        ledger: &Ledger,
        leaf: LeafIx,
        hold: &Hold,
        now: Timestamp,
        longest: Duration,
    ) {
        let lasted = now.since(hold.since).min(longest);
        self.in_vain
            .insert((leaf, hold.waiting), Vain { ended: now, lasted });
        let agents = hold.agents.keys().filter_map(|agent| ledger.agent(*agent));
        self.resting
            .extend(agents.map(|agent| (agent.id.clone(), now.after(lasted))));
    }

    /// How long the last hold for somebody lasted, if it was in vain.
    pub(super) fn last_hold(&self, leaf: LeafIx, waiting: Waiting) -> Option<Duration> {
        self.in_vain.get(&(leaf, waiting)).map(|vain| vain.lasted)
    }

    /// Whether nothing is held on an agent for now, as it was in vain before.
    pub(super) fn rests(&self, agent: &AgentId) -> bool {
        self.resting.contains_key(agent)
    }

    /// When the next agent may be held again.
    pub(super) fn next_rested(&self) -> Option<Timestamp> {
        self.resting.values().min().copied()
    }

    /// Forgets what agents have rested from, and what nobody waits for who had something held before.
    pub(super) fn forget_past(&mut self, ledger: &Ledger, now: Timestamp) {
        let n_resting = self.resting.len();
        self.resting.retain(|_, until| *until > now);
        if self.resting.len() < n_resting {
            self.look_again();
        }
        self.in_vain.retain(|(leaf, waiting), vain| {
            // What got something in the meantime waits since then.
            let mut waits = ledger.leaf(*leaf).into_iter().flat_map(|entry| entry.waits());
            waits.any(|(since, shape)| Waiting::of(shape) == *waiting && since <= vain.ended)
        });
    }
}
