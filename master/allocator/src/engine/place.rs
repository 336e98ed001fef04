//! Serving one leaf: where, and how much.

use std::sync::Arc;

use proffer_types::{Placement, ResourceName, Resources, Shape};

use super::{Engine, Order};
use crate::Round;
use crate::ledger::{AgentIx, LeafIx, Ledger, Obstacle, take_tasks};

/// Agents with room that are compared for one task. With more, the rest goes unseen: the first that fit are as good
/// as any in a large cluster (Borg's relaxed randomisation), and a task costs the same however many agents there are.
const MAX_COMPARED: usize = 64;

impl<O: Order> Engine<O> {
    /// Offers a leaf one thing, and says whether it did.
    pub(super) fn serve(&mut self, round: &mut Round<'_>, leaf: LeafIx) -> bool {
        let ledger = round.ledger();
        let Some(entry) = ledger.leaf(leaf) else {
            return false;
        };
        if ledger.is_quota_bound(entry.role) {
            self.bounded.insert(leaf);
            if !ledger.has_room(leaf) {
                round.spend(1);
                return false;
            }
        }
        if entry.states_demand() {
            self.serve_demand(round, leaf)
        } else {
            self.serve_remainder(round, leaf)
        }
    }

    /// The whole of the first agent that will do.
    fn serve_remainder(&mut self, round: &mut Round<'_>, leaf: LeafIx) -> bool {
        while let Some(agent) = self.seen(leaf).again.pop_first() {
            if self.log.contains(agent) && round.offer_all(leaf, agent).is_ok() {
                self.log.shrink(round.ledger(), agent);
                return true;
            }
        }
        let mut cursor = self.seen(leaf).cursor;
        let mut taken = None;
        for (at, agent) in self.log.after(cursor) {
            if round.is_spent() {
                break;
            }
            cursor = at;
            if round.offer_all(leaf, agent).is_ok() {
                taken = Some(agent);
                break;
            }
        }
        self.seen(leaf).cursor = cursor;
        if let Some(agent) = taken {
            self.log.shrink(round.ledger(), agent);
        }
        taken.is_some()
    }

    /// Room for one task of the first stated shape that finds any.
    fn serve_demand(&mut self, round: &mut Round<'_>, leaf: LeafIx) -> bool {
        let Some(entry) = round.ledger().leaf(leaf) else {
            return false;
        };
        let wanted: Vec<_> = entry
            .wanted()
            .map(|(shape, open)| (Arc::clone(shape), open))
            .collect();
        for (shape, open) in wanted {
            let served = match shape.gang {
                Some(gang) => self.serve_gang(round, leaf, gang),
                None => self.serve_shape(round, leaf, &shape, open),
            };
            if served {
                return true;
            }
            if round.is_spent() {
                return false;
            }
        }
        // Everything of it was looked at for every shape.
        self.seen(leaf).again.clear();
        false
    }

    fn serve_shape(&mut self, round: &mut Round<'_>, leaf: LeafIx, shape: &Arc<Shape>, open: u32) -> bool {
        let cursor = self.shape_cursor(leaf, shape);
        let again: Vec<_> = self.seen(leaf).again.iter().copied().collect();
        let again = again
            .into_iter()
            .filter(|agent| self.log.contains(*agent))
            .map(|agent| (0, agent));
        let mut best: Option<(Score, AgentIx, u32)> = None;
        let (mut n_compared, mut looked_at) = (0, cursor);
        for (at, agent) in again.chain(self.log.after(cursor)) {
            if round.is_spent() || n_compared == MAX_COMPARED {
                break;
            }
            round.spend(1);
            let Ok(n) = first_helping(round, leaf, agent, shape, open) else {
                if best.is_none() {
                    looked_at = looked_at.max(at);
                }
                continue;
            };
            n_compared += 1;
            let score = Score::of(round.ledger(), leaf, agent, shape);
            if best.as_ref().is_none_or(|(other, ..)| score.is_better(other)) {
                best = Some((score, agent, n));
            }
        }
        if let Some((_, cursor)) = self.seen(leaf).shapes.get_mut(&shape.id) {
            *cursor = looked_at;
        }
        let Some((_, agent, n)) = best else {
            return false;
        };
        let served = round.offer_tasks(leaf, agent, shape, n).is_ok();
        self.log.shrink(round.ledger(), agent);
        served
    }

    /// Where the log was looked at for a shape; from the start when the shape is another than then.
    fn shape_cursor(&mut self, leaf: LeafIx, shape: &Arc<Shape>) -> u64 {
        let seen = self.seen(leaf).shapes.entry(shape.id);
        let (known, cursor) = seen.or_insert_with(|| (Arc::clone(shape), 0));
        if !Arc::ptr_eq(known, shape) {
            let same = Shape {
                count: known.count,
                ..(**shape).clone()
            } == **known;
            *cursor = if same { *cursor } else { 0 };
            *known = Arc::clone(shape);
        }
        *cursor
    }
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
