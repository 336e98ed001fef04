//! One round of allocation: the only way for an allocator to claim anything.

use std::fmt;

use proffer_types::{AgentId, FrameworkId, Resources, Role, Timestamp};
use rand_chacha::ChaCha8Rng;

use crate::Ledger;

/// Remainders below both are not worth an offer, as in Mesos: a hundredth of a core.
pub const MIN_CPU_MILLIS: u64 = 10;
/// See [`MIN_CPU_MILLIS`]: 32 MiB.
pub const MIN_MEM_BYTES: u64 = 32 << 20;

/// Whether a bundle is large enough to be offered.
#[must_use]
pub fn is_allocatable(resources: &Resources) -> bool {
    resources.cpu_millis() >= MIN_CPU_MILLIS || resources.mem_bytes() >= MIN_MEM_BYTES
}

/// One offer an allocator decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub framework_id: FrameworkId,
    pub role: Role,
    pub agent_id: AgentId,
    pub resources: Resources,
}

/// Who owns the ledger: makes a grant an offer, so that the ledger claims it at once.
pub trait Host {
    fn ledger(&self) -> &Ledger;
    /// Called only with what [`Round::offer`] checked.
    fn grant(&mut self, grant: Grant);
}

/// Why [`Round::offer`] did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferError {
    /// The framework is away, suppressed, or not in that role.
    NotWanting,
    /// The agent is unknown or not active.
    NotThere,
    TooSmall,
    /// More than the agent has free.
    DoesNotFit,
    Filtered,
}

/// Lent to [`crate::Allocator::allocate`].
pub struct Round<'a> {
    host: &'a mut dyn Host,
    now: Timestamp,
    rng: &'a mut ChaCha8Rng,
    budget: u64,
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
        }
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

    /// Whether the round should end here and go on in the next. One agent may still be finished.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.budget == 0
    }

    /// Counts pairs that were passed over without [`Round::offer`].
    pub fn spend(&mut self, n_pairs: usize) {
        let n_pairs = u64::try_from(n_pairs).unwrap_or(u64::MAX);
        self.budget = self.budget.saturating_sub(n_pairs);
    }

    /// Offers resources of an agent to a framework: checks that they are wanted, fit and are not
    /// filtered, then claims them. Costs one pair of the budget.
    pub fn offer(
        &mut self,
        framework: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        resources: &Resources,
    ) -> Result<(), OfferError> {
        self.budget = self.budget.saturating_sub(1);
        let ledger = self.host.ledger();
        let wanting = ledger
            .framework(framework)
            .is_some_and(|entry| entry.wanting().any(|wanted| wanted == role));
        let entry = ledger.agent(agent).filter(|entry| entry.active);
        let free = entry.map(|entry| &entry.free).ok_or(OfferError::NotThere)?;
        if !wanting {
            return Err(OfferError::NotWanting);
        }
        if !is_allocatable(resources) {
            return Err(OfferError::TooSmall);
        }
        if !free.contains(resources) {
            return Err(OfferError::DoesNotFit);
        }
        if ledger.is_filtered(framework, role, agent, resources, self.now) {
            return Err(OfferError::Filtered);
        }
        self.host.grant(Grant {
            framework_id: framework.clone(),
            role: role.clone(),
            agent_id: agent.clone(),
            resources: resources.clone(),
        });
        Ok(())
    }
}
