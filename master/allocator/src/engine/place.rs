//! Serving one leaf: where, and how much.

use std::ops::Bound;
use std::sync::Arc;

use proffer_types::{AgentId, Backfill, Placement, ResourceName, Resources, Shape};

use super::{Engine, Order, SeenShape};
use crate::Round;
use crate::ledger::{AgentIx, Handle as _, LeafIx, Ledger, Obstacle, take_tasks};

/// Agents with room that are compared for one task. With more, the rest goes unseen: the first that fit are as good
/// as any in a large cluster (Borg's relaxed randomisation), and a task costs the same however many agents there are.
const MAX_COMPARED: usize = 64;

impl<O: Order> Engine<O> {
    /// Offers a leaf one thing, if there is any.
    pub(super) fn serve(&mut self, round: &mut Round<'_>, leaf: LeafIx) -> Served {
        let ledger = round.ledger();
        let Some(entry) = ledger.leaf(leaf) else {
            return Served::Nothing;
        };
        if ledger.is_quota_bound(entry.role) {
            self.bounded.insert(leaf);
            if !ledger.has_room(leaf) {
                round.spend(1);
                return Served::Nothing;
            }
        }
        if entry.states_demand() {
            self.serve_demand(round, leaf)
        } else {
            self.serve_remainder(round, leaf)
        }
    }

    /// The whole of the first agent that will do.
    fn serve_remainder(&mut self, round: &mut Round<'_>, leaf: LeafIx) -> Served {
        while let Some(agent) = self.seen(leaf).again.first().copied() {
            if round.is_spent() {
                return Served::CutShort;
            }
            self.seen(leaf).again.remove(&agent);
            if self.log.contains(agent) && round.offer_all(leaf, agent).is_ok() {
                self.log.shrink(round.ledger(), agent);
                return Served::Something;
            }
        }
        let mut cursor = self.seen(leaf).cursor;
        let (mut taken, mut cut_short) = (None, false);
        for (at, agent) in self.log.after(cursor) {
            if round.is_spent() {
                cut_short = true;
                break;
            }
            cursor = at;
            if round.offer_all(leaf, agent).is_ok() {
                taken = Some(agent);
                break;
            }
        }
        self.seen(leaf).cursor = cursor;
        match taken {
            Some(agent) => {
                self.log.shrink(round.ledger(), agent);
                Served::Something
            }
            None if cut_short => Served::CutShort,
            None => Served::Nothing,
        }
    }

    /// Room for one task of the first shape, as they are served, that finds any; where nothing may go before another, of the
    /// first.
    fn serve_demand(&mut self, round: &mut Round<'_>, leaf: LeafIx) -> Served {
        let Some(entry) = round.ledger().leaf(leaf) else {
            return Served::Nothing;
        };
        let in_order = entry.backfill == Backfill::None;
        let wanted = entry.in_turn().into_iter();
        let wanted: Vec<_> = wanted.map(|(shape, open)| (Arc::clone(shape), open)).collect();
        for (at, (shape, open)) in wanted.into_iter().enumerate() {
            let served = match shape.gang {
                Some(gang) if self.serve_gang(round, leaf, gang) => Served::Something,
                Some(_) => Served::Nothing,
                None => self.serve_shape(round, leaf, &shape, open),
            };
            if served != Served::Nothing || in_order {
                return served;
            }
            if at == 0 {
                self.hold_for_first(round, leaf);
            }
        }
        // Everything of it was looked at for every shape.
        self.seen(leaf).looked_again();
        Served::Nothing
    }

    fn serve_shape(&mut self, round: &mut Round<'_>, leaf: LeafIx, shape: &Arc<Shape>, open: u32) -> Served {
        if let Some(only) = &shape.agent {
            return self.serve_on(round, leaf, shape, only, open);
        }
        let (cursor, again_after) = self.shape_cursor(leaf, shape);
        let again = &self.leaves[leaf.at()].again;
        let again = again
            .range((
                again_after.map_or(Bound::Unbounded, Bound::Excluded),
                Bound::Unbounded,
            ))
            .filter(|agent| self.log.contains(**agent))
            .map(|agent| (None, *agent));
        let later = self.log.after(cursor).map(|(at, agent)| (Some(at), agent));
        let mut best: Option<(Score, AgentIx, u32)> = None;
        let (mut n_compared, mut cut_short) = (0, false);
        let (mut looked_at, mut again_at) = (cursor, again_after);
        for (at, agent) in again.chain(later) {
            if n_compared == MAX_COMPARED {
                break;
            }
            if round.is_spent() {
                cut_short = true;
                break;
            }
            round.spend(1);
            let Ok(n) = first_helping(round, leaf, agent, shape, open) else {
                if best.is_none() {
                    match at {
                        Some(at) => looked_at = at,
                        None => again_at = Some(agent),
                    }
                }
                continue;
            };
            n_compared += 1;
            let score = Score::of(round.ledger(), leaf, agent, shape);
            if best.as_ref().is_none_or(|(other, ..)| score.is_better(other)) {
                best = Some((score, agent, n));
            }
        }
        if let Some(seen) = self.seen(leaf).shapes.get_mut(&shape.id) {
            (seen.cursor, seen.again_after) = (looked_at, again_at);
        }
        let Some((_, agent, n)) = best else {
            return if cut_short {
                Served::CutShort
            } else {
                Served::Nothing
            };
        };
        let served = round.offer_tasks(leaf, agent, shape, n).is_ok();
        self.log.shrink(round.ledger(), agent);
        debug_assert!(served, "what was compared may be offered");
        if served {
            Served::Something
        } else {
            Served::Nothing
        }
    }

    /// As [`Engine::serve_shape`], of a shape for which only one agent will do.
    fn serve_on(
        &mut self,
        round: &mut Round<'_>,
        leaf: LeafIx,
        shape: &Arc<Shape>,
        only: &AgentId,
        open: u32,
    ) -> Served {
        let Some(agent) = round.ledger().agent_ix(only) else {
            return Served::Nothing;
        };
        let Some(at) = self.log.position(agent) else {
            return Served::Nothing;
        };
        let (cursor, again_after) = self.shape_cursor(leaf, shape);
        let is_again =
            self.leaves[leaf.at()].again.contains(&agent) && again_after.is_none_or(|after| after < agent);
        if at <= cursor && !is_again {
            return Served::Nothing;
        }
        if round.is_spent() {
            return Served::CutShort;
        }
        round.spend(1);
        let helping = first_helping(round, leaf, agent, shape, open);
        if helping.is_ok_and(|n| round.offer_tasks(leaf, agent, shape, n).is_ok()) {
            self.log.shrink(round.ledger(), agent);
            return Served::Something;
        }
        if let Some(seen) = self.seen(leaf).shapes.get_mut(&shape.id) {
            (seen.cursor, seen.again_after) = (at, Some(agent));
        }
        Served::Nothing
    }

    /// Where the log was looked at for a shape, and what of the agents to look at again; from the start when the shape
    /// is another than then.
    fn shape_cursor(&mut self, leaf: LeafIx, shape: &Arc<Shape>) -> (u64, Option<AgentIx>) {
        let seen = self.seen(leaf).shapes.entry(shape.id);
        let seen = seen.or_insert_with(|| SeenShape::new(shape));
        if !Arc::ptr_eq(&seen.shape, shape) {
            let same = Shape {
                count: seen.shape.count,
                ..(**shape).clone()
            } == *seen.shape;
            // More tasks may get past what was refused of one.
            if same && shape.count <= seen.shape.count {
                seen.shape = Arc::clone(shape);
            } else {
                *seen = SeenShape::new(shape);
            }
        }
        (seen.cursor, seen.again_after)
    }
}

/// What became of serving a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// It was offered something.
    Something,
    /// There is nothing for it.
    Nothing,
    /// The budget ran out before everything was looked at.
    CutShort,
}

/// How many tasks of a shape are offered on an agent at first: one, or as many as get past what was refused there.
pub(super) fn first_helping(
    round: &Round<'_>,
    leaf: LeafIx,
    agent: AgentIx,
    shape: &Shape,
    open: u32,
) -> Result<u32, Obstacle> {
    let (ledger, now) = (round.ledger(), round.now());
    let left = shape.max_per_agent.map_or(open, |max| {
        open.min(max.saturating_sub(ledger.n_on(agent, leaf, shape.id)))
    });
    if left == 0 {
        return Err(Obstacle::NotWanting);
    }
    let one = ledger.slice(leaf, agent, shape, 1, now)?;
    let filtered = |bundle: &Resources| {
        (!round.is_open(leaf, agent, shape.gang))
            .then(|| ledger.filtered_until(leaf, agent, bundle, now))
            .flatten()
    };
    let Some(until) = filtered(&one) else {
        return Ok(1);
    };
    let within = ledger.within(leaf, agent, shape, now)?;
    let most = most_that_fit(&within, shape, left).filter(|(_, bundle)| filtered(bundle).is_none());
    let (mut enough, _) = most.ok_or(Obstacle::Filtered(until))?;
    let mut too_few = 1;
    while too_few + 1 < enough {
        let n = too_few + (enough - too_few) / 2;
        match take_tasks(&within, shape, n).is_some_and(|bundle| filtered(&bundle).is_none()) {
            true => enough = n,
            false => too_few = n,
        }
    }
    Ok(enough)
}

/// The most tasks of a shape, up to a number, that a bundle has room for, and what they take.
pub(super) fn most_that_fit(free: &Resources, shape: &Shape, most: u32) -> Option<(u32, Resources)> {
    let (mut fits, mut too_many) = (0, most.checked_add(1)?);
    let mut taken = None;
    while fits + 1 < too_many {
        let n = fits + (too_many - fits) / 2;
        match take_tasks(free, shape, n) {
            Some(bundle) => (fits, taken) = (n, Some(bundle)),
            None => too_many = n,
        }
    }
    taken.map(|taken| (fits, taken))
}

/// How well an agent suits a shape; plain arithmetic on doubles, the same on every machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Score {
    first: f64,
    then: f64,
}

impl Score {
    /// Free resources and shape are taken as parts of what the cluster has, so that no unit outweighs another.
    pub(super) fn of(ledger: &Ledger, leaf: LeafIx, agent: AgentIx, shape: &Shape) -> Self {
        let Some(entry) = ledger.agent(agent) else {
            return Self {
                first: f64::MIN,
                then: 0.0,
            };
        };
        let part = |name: &ResourceName, units: u64| {
            let total = ledger.total().get(name);
            if total == 0 {
                0.0
            } else {
                units as f64 / total as f64
            }
        };
        let (mut dot, mut size) = (0.0, 0.0);
        for (name, units) in entry.free.scalars() {
            let free = part(name, units);
            dot += free * part(name, shape.resources.scalar(name));
            size += free * free;
        }
        match shape.placement {
            // The angle between them, which a fuller agent of the same build shares; then the fuller one.
            Placement::Pack => Self {
                first: if size > 0.0 {
                    (dot / size.sqrt() * 1e9).round()
                } else {
                    0.0
                },
                then: -size,
            },
            Placement::Spread => Self {
                first: -f64::from(ledger.n_on(agent, leaf, shape.id)),
                then: dot,
            },
        }
    }

    /// Better is greater.
    pub(super) fn compare(&self, other: &Self) -> std::cmp::Ordering {
        self.first
            .total_cmp(&other.first)
            .then(self.then.total_cmp(&other.then))
    }

    pub(super) fn is_better(&self, other: &Self) -> bool {
        (self.first, self.then) > (other.first, other.then)
    }
}
