//! A ledger with an allocator on it, driven by hand.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_allocator::{
    Allocator, Change, Claim, ClaimId, Counted, Filter, FrameworkEntry, Grant, Host, Ledger, Outcome, Reason,
    Round,
};
use proffer_types::{AgentId, FrameworkId, OfferId, Resources, Role, TaskId, Timestamp};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// More than any test examines.
const BUDGET: u64 = 100_000;

pub(crate) struct Bench {
    pub(crate) ledger: Ledger,
    pub(crate) now: Timestamp,
    allocator: Box<dyn Allocator>,
    rng: ChaCha8Rng,
    n_offers: u64,
    n_tasks: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) id: OfferId,
    pub(crate) grant: Grant,
}

struct Desk<'a> {
    ledger: &'a mut Ledger,
    n_offers: &'a mut u64,
    offered: Vec<Offered>,
}

impl Host for Desk<'_> {
    fn ledger(&self) -> &Ledger {
        self.ledger
    }

    fn grant(&mut self, grant: Grant) {
        let id = OfferId::new(format!("o{}", self.n_offers)).unwrap();
        *self.n_offers += 1;
        let claim = Claim {
            agent_id: grant.agent_id.clone(),
            framework_id: grant.framework_id.clone(),
            role: grant.role.clone(),
            resources: grant.resources.clone(),
        };
        self.ledger.claim(ClaimId::Offer(id.clone()), claim);
        self.offered.push(Offered { id, grant });
    }
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub(crate) fn framework(name: &str) -> FrameworkId {
    FrameworkId::new(name).unwrap()
}

pub(crate) fn resources(text: &str) -> Resources {
    text.parse().unwrap()
}

impl Bench {
    pub(crate) fn new(allocator: &str) -> Self {
        Self {
            ledger: Ledger::default(),
            now: Timestamp(0),
            allocator: proffer_allocator::by_name(allocator).unwrap(),
            rng: ChaCha8Rng::seed_from_u64(7),
            n_offers: 0,
            n_tasks: 0,
        }
    }

    pub(crate) fn observe(&mut self, change: Change) {
        self.allocator.observe(&self.ledger, &change);
    }

    pub(crate) fn add_agent(&mut self, name: &str, total: &str) {
        let joins = self.ledger.set_agent(&agent(name), &resources(total));
        self.observe(joins);
        let active = self.ledger.set_agent_active(&agent(name), true);
        self.observe(active);
    }

    /// Adds a framework; earlier means registered earlier.
    pub(crate) fn add_framework(&mut self, name: &str, role: &str) {
        let entry = FrameworkEntry {
            order: self.ledger.frameworks().count() as u64,
            active: true,
            roles: BTreeSet::from([Role::new(role).unwrap()]),
            suppressed: BTreeSet::new(),
        };
        let change = self.ledger.set_framework(&framework(name), entry);
        self.observe(change);
    }

    pub(crate) fn round_of(&mut self, budget: u64) -> (Vec<Offered>, Outcome) {
        let expired = self.ledger.expire_filters(self.now);
        expired.into_iter().for_each(|change| self.observe(change));
        let mut desk = Desk {
            ledger: &mut self.ledger,
            n_offers: &mut self.n_offers,
            offered: Vec::new(),
        };
        let mut round = Round::new(&mut desk, self.now, &mut self.rng, budget);
        let outcome = self.allocator.allocate(&mut round);
        let offered = desk.offered;
        self.ledger.check();
        (offered, outcome)
    }

    pub(crate) fn round(&mut self) -> Vec<Offered> {
        self.round_of(BUDGET).0
    }

    /// Uses part of an offer for one task, which is claimed; the rest is free again.
    pub(crate) fn accept(&mut self, offer: &Offered, task: &Resources) -> ClaimId {
        let released = self.ledger.release(&ClaimId::Offer(offer.id.clone()));
        let id = TaskId::new(format!("t{}", self.n_tasks)).unwrap();
        self.n_tasks += 1;
        let id = ClaimId::Task(offer.grant.framework_id.clone(), id);
        let claim = Claim {
            agent_id: offer.grant.agent_id.clone(),
            framework_id: offer.grant.framework_id.clone(),
            role: offer.grant.role.clone(),
            resources: task.clone(),
        };
        let claimed = self.ledger.claim(id.clone(), claim);
        released.into_iter().for_each(|change| self.observe(change));
        self.observe(claimed);
        id
    }

    pub(crate) fn decline(&mut self, offer: &Offered, refuse: Duration) {
        if !refuse.is_zero() {
            let filter = Filter {
                refused: offer.grant.resources.clone(),
                until: self.now.after(refuse),
            };
            let grant = &offer.grant;
            self.ledger
                .add_filter(&grant.framework_id, &grant.role, &grant.agent_id, filter);
        }
        self.end(&ClaimId::Offer(offer.id.clone()));
    }

    pub(crate) fn end(&mut self, claim: &ClaimId) {
        let released = self.ledger.release(claim);
        released.into_iter().for_each(|change| self.observe(change));
    }

    pub(crate) fn explain(&self, name: &str) -> Vec<Counted<Reason>> {
        self.allocator.explain(&self.ledger, &framework(name))
    }
}
