//! Demand: the shapes frameworks want, less what is on its way to them.

use std::sync::Arc;

use proffer_types::{FrameworkId, Role, Shape, ShapeId, Timestamp};

use super::frameworks::LeafEntry;
use super::{AgentIx, Change, ClaimIx, LeafIx, Ledger};

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
        shapes: Option<Vec<Shape>>,
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
        entry.demand = shapes.map(|shapes| shapes.into_iter().map(wanted).collect());
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

    /// How many tasks of one shape run on an agent, or are offered there.
    #[must_use]
    pub fn n_on(&self, agent: AgentIx, leaf: LeafIx, shape: ShapeId) -> u32 {
        let claims = self.claims_on(agent).filter(|(_, claim)| claim.leaf == leaf);
        claims.map(|(_, claim)| claim.n_of(shape)).sum()
    }
}
