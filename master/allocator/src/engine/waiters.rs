//! Who states what it wants and has not all of it, by how long it has waited.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::{AgentId, ShapeId, Timestamp};

use super::holds::{is_large, waiting_for};
use crate::Round;
use crate::ledger::{Hold, LeafIx, Ledger, RoleIx, Waiting};

/// Those of one role who state what they want and have not all of it.
#[derive(Debug, Default)]
struct OfRole {
    leaves: BTreeSet<LeafIx>,
    /// Nobody has waited since before this; `None` if nobody waits who could be starved.
    due: Option<Timestamp>,
    /// For whom nothing could be held, and when that was found: their turn is over until they have waited again.
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
    /// Agents that were held in vain, and until when they are held for nobody.
    resting: BTreeMap<AgentId, Timestamp>,
}

impl Waiters {
    /// A leaf may wait for something.
    pub(super) fn insert(&mut self, ledger: &Ledger, leaf: LeafIx) {
        let Some(entry) = ledger.leaf(leaf) else {
            return;
        };
        let large = entry.waits().filter(|(_, shape)| is_large(ledger, shape));
        if let Some(since) = large.map(|(since, _)| since).min() {
            let waiters = self.by_role.entry(entry.role).or_default();
            waiters.leaves.insert(leaf);
            waiters.due = Some(waiters.due.map_or(since, |due| due.min(since)));
        }
    }

    /// The roles in which somebody may wait.
    pub(super) fn roles(&self) -> Vec<RoleIx> {
        self.by_role.keys().copied().collect()
    }

    /// Since when, at the earliest, somebody waits in the roles that are asked for.
    pub(super) fn due(&self, asked: impl Fn(RoleIx) -> bool) -> Option<Timestamp> {
        let by_role = self.by_role.iter().filter(|(role, _)| asked(**role));
        by_role.filter_map(|(_, waiters)| waiters.due).min()
    }

    /// Who of a role has waited longest, since when and for what, if it is time for a hold.
    pub(super) fn overdue(
        &mut self,
        round: &Round<'_>,
        role: RoleIx,
    ) -> Option<(Timestamp, LeafIx, Waiting)> {
        let (ledger, now) = (round.ledger(), round.now());
        let waiters = self.by_role.get_mut(&role)?;
        if waiters.due?.after(round.hold_after()) > now {
            return None;
        }
        let put_off = &mut waiters.put_off;
        put_off.retain(|_, since| since.after(round.hold_after()) > now);
        let mut longest: Option<((Timestamp, u64, LeafIx, ShapeId), Waiting)> = None;
        waiters.leaves.retain(|leaf| {
            let entry = ledger
                .leaf(*leaf)
                .filter(|entry| entry.role == role && entry.wants());
            let waits = entry.into_iter().flat_map(|entry| entry.waits());
            let mut waits = waits.filter(|(_, shape)| is_large(ledger, shape)).peekable();
            let is_waiting = waits.peek().is_some();
            for (since, shape) in waits {
                let waiting = waiting_for(shape);
                if put_off.contains_key(&(*leaf, waiting)) {
                    continue;
                }
                let anew = self.in_vain.get(&(*leaf, waiting)).map(|vain| vain.ended);
                let order = entry.map_or(u64::MAX, |entry| entry.order);
                let wait = (since.max(anew.unwrap_or(since)), order, *leaf, shape.id);
                if longest.is_none_or(|(longest, _)| wait < longest) {
                    longest = Some((wait, waiting));
                }
            }
            is_waiting
        });
        let since = longest.map(|((since, ..), _)| since);
        waiters.due = since.into_iter().chain(put_off.values().copied()).min();
        if waiters.leaves.is_empty() {
            self.by_role.remove(&role);
        }
        let ((since, _, leaf, _), waiting) = longest?;
        (since.after(round.hold_after()) <= now).then_some((since, leaf, waiting))
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
    pub(super) fn put_off(&mut self, role: RoleIx, leaf: LeafIx, waiting: Waiting, now: Timestamp) {
        if let Some(waiters) = self.by_role.get_mut(&role) {
            waiters.put_off.insert((leaf, waiting), now);
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
            waits.any(|(since, shape)| waiting_for(shape) == *waiting && since <= vain.ended)
        });
    }
}
