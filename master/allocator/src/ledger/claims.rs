//! Claims: what is offered or used.

use proffer_types::{GangId, Resources, ShapeId, Timestamp};

use super::{AgentIx, Change, ClaimIx, LeafIx, Ledger};

/// What holds a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimKind {
    Offer,
    Task,
}

/// Resources of one agent that are offered to, or used by, one framework in one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub agent: AgentIx,
    pub leaf: LeafIx,
    pub resources: Resources,
    /// Of a task that is suspended, what it gave up. Of an offer, what of it is for shapes that say so of themselves
    /// ([`proffer_types::Shape::resumes`]).
    pub suspended: Resources,
    pub kind: ClaimKind,
    /// Which stated shapes it fills, and with how many tasks.
    pub shapes: Vec<(ShapeId, u32)>,
    /// The gang whose offers are answered together.
    pub gang: Option<GangId>,
    /// When a task with a time limit will be over at the latest.
    pub ends_by: Option<Timestamp>,
}

impl Claim {
    /// What a framework is offered, or uses, of an agent.
    #[must_use]
    pub fn new(kind: ClaimKind, leaf: LeafIx, agent: AgentIx, resources: Resources) -> Self {
        Self {
            agent,
            leaf,
            resources,
            suspended: Resources::new(),
            kind,
            shapes: Vec::new(),
            gang: None,
            ends_by: None,
        }
    }

    /// How many tasks of one shape the claim has room for.
    #[must_use]
    pub fn n_of(&self, shape: ShapeId) -> u32 {
        let mut shapes = self.shapes.iter();
        shapes.find(|(id, _)| *id == shape).map_or(0, |(_, n)| *n)
    }
}

impl Ledger {
    /// One claim.
    #[must_use]
    pub fn claim_of(&self, claim: ClaimIx) -> Option<&Claim> {
        self.claims.get(claim)
    }

    /// All claims, by handle.
    pub fn claims(&self) -> impl Iterator<Item = (ClaimIx, &Claim)> {
        self.claims.iter()
    }

    /// Records a claim. The caller sees to it that it fits, where it must; agent and leaf are there.
    pub fn claim(&mut self, mut claim: Claim) -> ClaimIx {
        let (agent, leaf) = (claim.agent, claim.leaf);
        if claim.kind == ClaimKind::Offer {
            claim.suspended = self.leaves[leaf].resumed_by(&claim.shapes);
        }
        self.count_claim(&claim, true);
        self.take(agent, &claim.resources);
        let entry = &mut self.leaves[leaf];
        if claim.kind == ClaimKind::Offer {
            entry.usage.n_offers += 1;
            entry.count_offered(&claim.shapes, true);
            self.count_offer(leaf);
        }
        let ix = self.claims.insert(claim);
        self.agents[agent].claims.push(ix);
        ix
    }

    /// Adds to a claim. The caller sees to it that it fits.
    pub fn grow(&mut self, claim: ClaimIx, more: &Resources, shapes: &[(ShapeId, u32)]) {
        let Some(entry) = self.claims.get_mut(claim) else {
            return;
        };
        let (agent, leaf, kind) = (entry.agent, entry.leaf, entry.kind);
        if kind == ClaimKind::Offer {
            let resumed = self.leaves[leaf].resumed_by(shapes);
            entry.suspended.add(&resumed);
        }
        entry.resources.add(more);
        for (shape, n) in shapes {
            match entry.shapes.iter_mut().find(|(id, _)| id == shape) {
                Some((_, has)) => *has += n,
                None => entry.shapes.push((*shape, *n)),
            }
        }
        self.count_usage(leaf, more, true);
        self.take(agent, more);
        if kind == ClaimKind::Offer {
            self.leaves[leaf].count_offered(shapes, true);
        }
    }

    /// A task gives a part of its claim up until it goes on. The caller sees that the claim has it, and that the task is not
    /// suspended already.
    pub fn suspend(&mut self, claim: ClaimIx, gives_up: Resources) -> Option<Change> {
        let entry = self.claims.get_mut(claim)?;
        let (agent, leaf) = (entry.agent, entry.leaf);
        entry.resources.subtract(&gives_up);
        self.count_usage(leaf, &gives_up, false);
        self.give_back(agent, &gives_up);
        self.claims[claim].suspended = gives_up;
        Some(Change::Released(agent, leaf, self.leaves[leaf].role))
    }

    /// A suspended task takes back what it gave up. The caller sees to it that it fits, where it must.
    pub fn resume(&mut self, claim: ClaimIx) -> Option<Change> {
        let gave_up = std::mem::take(&mut self.claims.get_mut(claim)?.suspended);
        self.grow(claim, &gave_up, &[]);
        let claim = self.claims.get(claim)?;
        Some(Change::Claimed(claim.agent, claim.leaf))
    }

    /// What suspended tasks of a leaf gave up on an agent, less what offers under way give back to them.
    #[must_use]
    pub fn suspended_on(&self, agent: AgentIx, leaf: LeafIx) -> Resources {
        let of_kind = |wanted| {
            let claims = self.claims_on(agent).map(|(_, claim)| claim);
            let claims = claims.filter(move |claim| claim.leaf == leaf && claim.kind == wanted);
            claims.map(|claim| &claim.suspended).sum::<Resources>()
        };
        of_kind(ClaimKind::Task).minus(&of_kind(ClaimKind::Offer))
    }

    /// Sets when what holds a claim will be over at the latest; absent, nobody knows.
    pub fn set_end(&mut self, claim: ClaimIx, ends_by: Option<Timestamp>) {
        if let Some(claim) = self.claims.get_mut(claim) {
            claim.ends_by = ends_by;
        }
    }

    /// Gives a claim back. Nothing happens when there is none.
    pub fn release(&mut self, ix: ClaimIx) -> Option<Change> {
        let claim = self.claims.remove(ix)?;
        let entry = &mut self.agents[claim.agent];
        if let Some(at) = entry.claims.iter().position(|other| *other == ix) {
            entry.claims.swap_remove(at);
        }
        self.count_claim(&claim, false);
        if claim.kind == ClaimKind::Offer {
            self.leaves[claim.leaf].count_offered(&claim.shapes, false);
        }
        self.give_back(claim.agent, &claim.resources);
        let role = self.prune_leaf(claim.leaf);
        Some(Change::Released(claim.agent, claim.leaf, role))
    }

    fn count_claim(&mut self, claim: &Claim, joins: bool) {
        self.count_usage(claim.leaf, &claim.resources, joins);
        self.count_claims(claim.leaf, joins);
    }

    fn take(&mut self, agent: AgentIx, resources: &Resources) {
        let entry = &mut self.agents[agent];
        let fits = entry.free.contains(resources);
        if fits && !resources.has_kinds() {
            entry.free.subtract(resources);
            if entry.active {
                self.free.subtract(resources);
            }
            return;
        }
        self.count_free(agent, false);
        let entry = &mut self.agents[agent];
        entry.over_claimed |= !fits;
        entry.free.subtract(resources);
        self.count_free(agent, true);
    }

    fn give_back(&mut self, agent: AgentIx, resources: &Resources) {
        let entry = &mut self.agents[agent];
        if !entry.over_claimed && !resources.has_kinds() {
            entry.free.add(resources);
            if entry.active {
                self.free.add(resources);
            }
            return;
        }
        self.count_free(agent, false);
        let entry = &mut self.agents[agent];
        if entry.over_claimed {
            self.recompute_free(agent);
        } else {
            entry.free.add(resources);
        }
        self.count_free(agent, true);
    }
}
