//! Demand: the shapes frameworks want, less what is on its way to them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use proffer_types::{Backfill, Demand, FrameworkId, Resources, Role, Shape, ShapeId, Timestamp};

use super::frameworks::LeafEntry;
use super::{AgentIx, Change, Claim, ClaimIx, LeafIx, Ledger, Waiting};

/// One shape, as far as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub shape: Arc<Shape>,
    /// Further tasks, offers under way included.
    pub count: u32,
    /// When it was first stated, or last got anything.
    pub since: Timestamp,
}

impl LeafEntry {
    /// Whether the framework stated what it wants.
    #[must_use]
    pub fn states_demand(&self) -> bool {
        self.demand.is_some()
    }

    /// The shapes of which more tasks are wanted than offers under way have room for, and how many; as stated.
    pub fn wanted(&self) -> impl Iterator<Item = (&Arc<Shape>, u32)> {
        let demand = self.demand.iter().flatten();
        demand.filter_map(|wanted| {
            let offered = self.offered.get(&wanted.shape.id).copied().unwrap_or(0);
            let open = wanted.count.saturating_sub(offered);
            (open > 0).then_some((&wanted.shape, open))
        })
    }

    /// As [`LeafEntry::wanted`], in the order in which it is served: next is the flow of which offers under way have room for
    /// fewest tasks.
    #[must_use]
    pub fn in_turn(&self) -> Vec<(&Arc<Shape>, u32)> {
        let mut wanted: Vec<_> = self.wanted().collect();
        if let Some(((first, _), others)) = wanted.split_first()
            && others.iter().any(|(shape, _)| shape.flow != first.flow)
        {
            let mut offered: BTreeMap<u64, u32> = BTreeMap::new();
            for wanted in self.demand.iter().flatten() {
                let n = self.offered.get(&wanted.shape.id).copied().unwrap_or(0);
                *offered.entry(wanted.shape.flow).or_default() += n;
            }
            wanted.sort_by_key(|(shape, _)| offered.get(&shape.flow).copied());
        }
        wanted
    }

    /// What was stated, as far as it is wanted still.
    pub(crate) fn stated(&self) -> Demand {
        let wanted = self.demand.iter().flatten();
        let shapes = wanted.map(|wanted| Shape {
            count: wanted.count,
            ..(*wanted.shape).clone()
        });
        Demand {
            shapes: shapes.collect(),
            backfill: self.backfill,
        }
    }

    /// How many tasks of all shapes offers under way have room for.
    #[must_use]
    pub fn n_offered(&self) -> u32 {
        self.offered.values().sum()
    }

    /// Since when each shape of which more is wanted has got nothing.
    pub fn waits(&self) -> impl Iterator<Item = (Timestamp, &Arc<Shape>)> {
        let demand = self.demand.iter().flatten();
        let open = demand.filter(|wanted| {
            let offered = self.offered.get(&wanted.shape.id).copied().unwrap_or(0);
            wanted.count > offered
        });
        open.map(|wanted| (wanted.since, &wanted.shape))
    }

    /// What is starved where nobody keeps room for it, since when it waits, and whether it is what others may not keep waiting
    /// ([`Backfill::Easy`]): that, and whatever is large, unless it has to wait for what is stated before it.
    pub fn may_starve(
        &self,
        is_large: impl Fn(&Shape) -> bool,
    ) -> impl Iterator<Item = (Timestamp, &Arc<Shape>, bool)> {
        let in_order = self.backfill == Backfill::None;
        let waits = self.waits().enumerate();
        let waits = waits.take_while(move |(at, _)| *at == 0 || !in_order);
        let waits =
            waits.map(|(at, (since, shape))| (since, shape, at == 0 && self.backfill == Backfill::Easy));
        waits.filter(move |(_, shape, is_first)| *is_first || is_large(shape))
    }

    /// Whether it is what is stated first of what is wanted still.
    #[must_use]
    pub fn is_first(&self, waiting: Waiting) -> bool {
        let first = self.waits().next();
        first.is_some_and(|(_, shape)| Waiting::of(shape) == waiting)
    }

    /// What of an offer is for shapes that are what suspended tasks gave up.
    pub(super) fn resumed_by(&self, shapes: &[(ShapeId, u32)]) -> Resources {
        let stated = |id| {
            let mut demand = self.demand.iter().flatten();
            demand.find(|wanted| wanted.shape.id == id && wanted.shape.resumes)
        };
        let resumed = shapes
            .iter()
            .filter_map(|(id, n)| Some(stated(*id)?.shape.resources.times(*n)));
        resumed.fold(Resources::new(), |sum, resources| sum.plus(&resources))
    }

    pub(super) fn count_offered(&mut self, shapes: &[(ShapeId, u32)], joins: bool) {
        for (shape, n) in shapes {
            let offered = self.offered.entry(*shape).or_default();
            *offered = if joins { *offered + n } else { *offered - n };
            if *offered == 0 {
                self.offered.remove(shape);
            }
        }
    }
}

impl Ledger {
    /// Replaces what a framework wants in a role; `None` takes the statement back. Nothing happens when it is not in
    /// the role.
    pub fn set_demand(
        &mut self,
        framework: &FrameworkId,
        role: &Role,
        demand: Option<Demand>,
        now: Timestamp,
    ) -> Option<Change> {
        let leaf = self.leaf_ix(framework, role)?;
        let entry = &mut self.leaves[leaf];
        if !entry.subscribed {
            return None;
        }
        let old = entry.demand.take().unwrap_or_default();
        let wanted = |shape: Shape| {
            let known = old
                .iter()
                .find(|known| known.shape.id == shape.id && known.count > 0);
            Wanted {
                count: shape.count,
                since: known.map_or(now, |known| known.since),
                shape: Arc::new(shape),
            }
        };
        entry.backfill = demand
            .as_ref()
            .map_or(Backfill::default(), |demand| demand.backfill);
        entry.demand = demand.map(|demand| demand.shapes.into_iter().map(wanted).collect());
        Some(Change::Demand(leaf))
    }

    /// Ends an offer because it is used: what it had room for is wanted no more.
    pub fn release_accepted(&mut self, claim: ClaimIx, now: Timestamp) -> Option<Change> {
        let entry = self.claims.get(claim)?;
        let (leaf, shapes) = (entry.leaf, entry.shapes.clone());
        for wanted in self.leaves[leaf].demand.iter_mut().flatten() {
            for (_, n) in shapes.iter().filter(|(id, _)| *id == wanted.shape.id) {
                wanted.count = wanted.count.saturating_sub(*n);
                wanted.since = now;
            }
        }
        self.release(claim)
    }

    /// When what of an offer will be free at the latest if it is used for what it was made for, as far as time limits tell: each
    /// of its tasks has an end of its own. What of them is reserved is taken to be of those that end first.
    #[must_use]
    pub fn ends_of_offered(&self, claim: &Claim, now: Timestamp) -> Vec<(Timestamp, Resources)> {
        let demand = self
            .leaves
            .get(claim.leaf)
            .and_then(|leaf| leaf.demand.as_deref())
            .unwrap_or_default();
        let part = |(id, n): &(ShapeId, u32)| {
            let wanted = demand.iter().find(|wanted| wanted.shape.id == *id)?;
            let end = wanted.shape.time_limit.map(|limit| now.after(limit));
            Some((end, wanted.shape.resources.times(*n)))
        };
        let mut parts: Vec<_> = claim.shapes.iter().filter_map(part).collect();
        parts.sort_by_key(|(end, _)| Reverse((end.is_none(), *end)));
        let mut left = claim.resources.plain();
        let ends = parts.into_iter().map(|(end, part)| {
            let part = left.common(&part);
            left.subtract(&part);
            end.map(|end| (end, part))
        });
        ends.flatten().collect()
    }

    /// How many tasks of one shape run on an agent, or are offered there.
    #[must_use]
    pub fn n_on(&self, agent: AgentIx, leaf: LeafIx, shape: ShapeId) -> u32 {
        let claims = self.claims_on(agent).filter(|(_, claim)| claim.leaf == leaf);
        claims.map(|(_, claim)| claim.n_of(shape)).sum()
    }
}
