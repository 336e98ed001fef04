//! One round of allocation: the only way for an allocator to claim anything.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use proffer_types::{GangId, Resources, Shape, ShapeId, Timestamp};
use rand_chacha::ChaCha8Rng;

use crate::ledger::{AgentIx, ClaimIx, Hold, LeafIx, Ledger, Obstacle};

/// How long a gang or a large task waits before what ends is held for it, where nobody says otherwise.
pub const HOLD_AFTER: Duration = Duration::from_secs(60);

/// One offer an allocator decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub leaf: LeafIx,
    pub agent: AgentIx,
    pub resources: Resources,
    /// Which stated shapes it has room for, and for how many tasks of each.
    pub shapes: Vec<(ShapeId, u32)>,
    pub gang: Option<GangId>,
}

/// Who owns the ledger: makes a grant an offer, so that the ledger claims it at once.
pub trait Host {
    fn ledger(&self) -> &Ledger;
    /// Called only with what was checked.
    fn grant(&mut self, grant: Grant) -> ClaimIx;
    /// Adds to an offer of the same round; called only with what was checked.
    fn grow(&mut self, claim: ClaimIx, more: &Resources, shape: (ShapeId, u32));
    /// Keeps what ends on some agents for a leaf, or nothing more.
    fn hold(&mut self, leaf: LeafIx, hold: Option<Hold>);
}

/// Lent to [`crate::Allocator::allocate`].
pub struct Round<'a> {
    host: &'a mut dyn Host,
    now: Timestamp,
    rng: &'a mut ChaCha8Rng,
    budget: u64,
    /// Offers of this round that were made for stated shapes and may grow.
    open: BTreeMap<(LeafIx, AgentIx, Option<GangId>), ClaimIx>,
    hold_after: Duration,
}

impl fmt::Debug for Round<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Round")
            .field("now", &self.now)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl<'a> Round<'a> {
    /// Begins a round that may examine `budget` (agent, framework) pairs.
    pub fn new(host: &'a mut dyn Host, now: Timestamp, rng: &'a mut ChaCha8Rng, budget: u64) -> Self {
        Self {
            host,
            now,
            rng,
            budget,
            open: BTreeMap::new(),
            hold_after: HOLD_AFTER,
        }
    }

    /// The same round with another wait before what ends is held for who waits; [`HOLD_AFTER`] otherwise.
    #[must_use]
    pub fn with_hold_after(self, hold_after: Duration) -> Self {
        Self { hold_after, ..self }
    }

    /// How long a gang or a large task waits before what ends is held for it.
    #[must_use]
    pub fn hold_after(&self) -> Duration {
        self.hold_after
    }

    /// Keeps what ends on some agents for a leaf, in place of what was kept for it; or nothing more.
    pub fn hold(&mut self, leaf: LeafIx, hold: Option<Hold>) {
        self.host.hold(leaf, hold);
    }

    /// The ledger as it is now, with the offers of this round.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        self.host.ledger()
    }

    /// The time of the round.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Randomness under the master's seed.
    pub fn rng(&mut self) -> &mut ChaCha8Rng {
        self.rng
    }

    /// The ledger beside the randomness, for who needs both at once.
    pub fn parts(&mut self) -> (&Ledger, &mut ChaCha8Rng) {
        (self.host.ledger(), self.rng)
    }

    /// How many more pairs may be examined.
    #[must_use]
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Whether the round should end here and go on in the next.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.budget == 0
    }

    /// Counts pairs that were examined without an offer.
    pub fn spend(&mut self, n_pairs: usize) {
        let n_pairs = u64::try_from(n_pairs).unwrap_or(u64::MAX);
        self.budget = self.budget.saturating_sub(n_pairs);
    }

    /// Offers a leaf that does not state what it wants all it may have of an agent. Costs one pair of the budget. Fails
    /// with what stands in the way.
    pub fn offer_all(&mut self, leaf: LeafIx, agent: AgentIx) -> Result<(), Obstacle> {
        self.spend(1);
        let ledger = self.host.ledger();
        if ledger.leaf(leaf).is_some_and(|leaf| leaf.states_demand()) {
            return Err(Obstacle::NotWanting);
        }
        let resources = ledger.offerable(leaf, agent, self.now)?;
        self.host.grant(Grant {
            leaf,
            agent,
            resources,
            shapes: Vec::new(),
            gang: None,
        });
        Ok(())
    }

    /// Whether an offer to the leaf of the agent was made in this round and may grow.
    #[must_use]
    pub fn is_open(&self, leaf: LeafIx, agent: AgentIx, gang: Option<GangId>) -> bool {
        self.open.contains_key(&(leaf, agent, gang))
    }

    /// Offers a leaf room for `n` more tasks of one of its shapes on an agent; within a round this is one offer,
    /// however often it grows. Costs one pair of the budget. Fails with what stands in the way: what was refused
    /// holds against the first part of an offer.
    pub fn offer_tasks(
        &mut self,
        leaf: LeafIx,
        agent: AgentIx,
        shape: &Shape,
        n: u32,
    ) -> Result<(), Obstacle> {
        self.spend(1);
        let ledger = self.host.ledger();
        let resources = ledger.slice(leaf, agent, shape, n, self.now)?;
        let within = shape
            .max_per_agent
            .is_none_or(|max| ledger.n_on(agent, leaf, shape.id).saturating_add(n) <= max);
        let wanted = ledger.leaf(leaf).is_some_and(|leaf| {
            let mut wanted = leaf.wanted();
            // The very shape that was stated, not another under its name.
            wanted.any(|(stated, open)| {
                open >= n && (std::ptr::eq(&raw const **stated, shape) || **stated == *shape)
            })
        });
        if !within || !wanted || resources.is_empty() {
            return Err(Obstacle::NotWanting);
        }
        let open = (leaf, agent, shape.gang);
        if let Some(claim) = self.open.get(&open) {
            self.host.grow(*claim, &resources, (shape.id, n));
            return Ok(());
        }
        if let Some(until) = ledger.filtered_until(leaf, agent, &resources, self.now) {
            return Err(Obstacle::Filtered(until));
        }
        let claim = self.host.grant(Grant {
            leaf,
            agent,
            resources,
            shapes: vec![(shape.id, n)],
            gang: shape.gang,
        });
        self.open.insert(open, claim);
        Ok(())
    }
}
