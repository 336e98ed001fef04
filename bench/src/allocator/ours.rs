//! Our ledger and an allocator over it, driven as the master's core drives them: every change is observed, every grant
//! becomes an offer, and the ledger claims it at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use proffer_allocator::{
    Allocator, Change, Claim, ClaimIx, ClaimKind, Filter as Refusal, FrameworkEntry, Grant, Hold, Host,
    LeafIx, Ledger, RoleConfig, Round, by_name,
};
use proffer_types::{
    AgentId, AgentInfo, Capabilities, FrameworkId, Quota, Resources, Role, Shape, ShapeId, TaskId, Timestamp,
};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::subject::{Filter, Offered, Running, Subject};

/// Everything happens at one time: no filter expires.
const NOW: Timestamp = Timestamp(1);
const FOR_EVER: Timestamp = Timestamp(u64::MAX);
/// Pairs of one round, as in a master by default; a cycle is as many rounds as it takes.
const BUDGET: u64 = 20_000;

#[derive(Debug)]
struct Books {
    ledger: Ledger,
    n_frameworks: u64,
    capabilities: Capabilities,
    /// By number of the offer; none when it was answered.
    open: Vec<Option<ClaimIx>>,
    tasks: HashMap<TaskId, ClaimIx>,
    /// Of the current cycle; they may grow until its end.
    granted: Vec<(usize, ClaimIx)>,
    /// That the allocator brought about and has not heard of.
    changes: Vec<Change>,
}

#[derive(Debug)]
pub(super) struct Ours {
    books: Books,
    allocator: Box<dyn Allocator>,
    rng: ChaCha8Rng,
}

impl Host for Books {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn grant(&mut self, grant: Grant) -> ClaimIx {
        let mut claim = Claim::new(ClaimKind::Offer, grant.leaf, grant.agent, grant.resources);
        claim.shapes = grant.shapes;
        claim.gang = grant.gang;
        let claim = self.ledger.claim(claim);
        self.granted.push((self.open.len(), claim));
        self.open.push(Some(claim));
        claim
    }

    fn grow(&mut self, claim: ClaimIx, more: &Resources, shape: (ShapeId, u32)) {
        self.ledger.grow(claim, more, &[shape]);
    }

    fn hold(&mut self, leaf: LeafIx, hold: Option<Hold>) {
        let Some(entry) = self.ledger.leaf(leaf) else {
            return;
        };
        let role = self.ledger.role(entry.role).and_then(|role| role.name.clone());
        let (framework, Some(role)) = (entry.framework.clone(), role) else {
            return;
        };
        let changes = match hold {
            Some(hold) => self.ledger.set_hold(&framework, &role, hold),
            None => self.ledger.end_hold(&framework, &role),
        };
        self.changes.extend(changes);
    }
}

impl Books {
    /// An offer as its framework sees it.
    fn offered(&self, id: usize, claim: ClaimIx) -> Option<Offered> {
        let claim = self.ledger.claim_of(claim)?;
        let leaf = self.ledger.leaf(claim.leaf)?;
        Some(Offered {
            id,
            framework: leaf.framework.clone(),
            role: self.ledger.role(leaf.role)?.name.clone()?,
            agent: self.ledger.agent(claim.agent)?.id.clone(),
            resources: claim.resources.clone(),
        })
    }
}

impl Ours {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            books: Books {
                ledger: Ledger::default(),
                n_frameworks: 0,
                capabilities: Capabilities::default(),
                open: Vec::new(),
                tasks: HashMap::new(),
                granted: Vec::new(),
                changes: Vec::new(),
            },
            allocator: by_name("drf").map_err(|error| anyhow!("{error}"))?,
            rng: ChaCha8Rng::seed_from_u64(1),
        })
    }

    /// Frameworks that are added from now on know how to use revocable resources.
    pub(super) fn with_revocable(mut self) -> Self {
        self.books.capabilities.revocable = true;
        self
    }

    fn observe(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.allocator.observe(&self.books.ledger, &change);
        }
    }

    fn run(&mut self, agent: &AgentId, task: &Running) {
        let ledger = &mut self.books.ledger;
        let leaf = ledger.ensure_leaf(&task.framework, &task.role);
        let Some(agent) = ledger.agent_ix(agent) else {
            return;
        };
        let claim = ledger.claim(Claim::new(ClaimKind::Task, leaf, agent, task.resources.clone()));
        self.books.tasks.insert(task.task.clone(), claim);
        self.observe([Change::Claimed(agent, leaf)]);
    }
}

impl Subject for Ours {
    fn add_framework(&mut self, framework: &FrameworkId, role: &Role) {
        self.books.n_frameworks += 1;
        let entry = FrameworkEntry {
            order: self.books.n_frameworks,
            active: true,
            roles: BTreeSet::from([role.clone()]),
            capabilities: self.books.capabilities,
            ..FrameworkEntry::default()
        };
        let changes = self.books.ledger.set_framework(framework, entry);
        self.observe(changes);
    }

    fn suppress(&mut self, framework: &FrameworkId, role: &Role) {
        let roles = BTreeSet::from([role.clone()]);
        let changes = self.books.ledger.suppress(framework, &roles);
        self.observe(changes);
    }

    fn demand(&mut self, framework: &FrameworkId, role: &Role, one: &Resources, count: u64) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let shapes = vec![Shape::new(ShapeId(0), one.clone(), count)];
        let change = self
            .books
            .ledger
            .set_demand(framework, role, Some(shapes.into()), NOW);
        self.observe(change);
    }

    fn set_quota(&mut self, role: &Role, quota: &Quota) {
        let config = RoleConfig {
            quota: quota.clone(),
            ..RoleConfig::default()
        };
        let change = self.books.ledger.set_role(role, config);
        self.observe([change]);
    }

    fn add_agent(&mut self, agent: &AgentId, total: &Resources, running: &[Running]) {
        self.update_agent(agent, total);
        for task in running {
            self.run(agent, task);
        }
        let change = self.books.ledger.set_agent_active(agent, true);
        self.observe(change);
    }

    fn update_agent(&mut self, agent: &AgentId, total: &Resources) {
        let info = AgentInfo {
            hostname: agent.to_string(),
            address: String::new(),
            resources: total.clone(),
            attributes: Vec::new(),
            version: String::new(),
            cgroups: String::new(),
            domain: None,
            can_suspend: false,
        };
        let change = self.books.ledger.set_agent(agent, Arc::new(info));
        self.observe([change]);
    }

    fn remove_agent(&mut self, agent: &AgentId) {
        let changes = self.books.ledger.remove_agent(agent);
        self.observe(changes);
    }

    fn cycle(&mut self) {
        loop {
            let mut round = Round::new(&mut self.books, NOW, &mut self.rng, BUDGET);
            let outcome = self.allocator.allocate(&mut round);
            let changes = std::mem::take(&mut self.books.changes);
            self.observe(changes);
            if !outcome.more {
                return;
            }
        }
    }

    fn react(&mut self) {
        self.cycle();
    }

    fn take_offers(&mut self) -> Vec<Offered> {
        let granted = std::mem::take(&mut self.books.granted);
        let offers = granted.iter();
        offers
            .filter_map(|(id, claim)| self.books.offered(*id, *claim))
            .collect()
    }

    fn answer(&mut self, offer: &Offered, tasks: &[Running], filter: Filter) {
        let Some(claim) = self.books.open.get_mut(offer.id).and_then(Option::take) else {
            return;
        };
        let change = match tasks {
            [] => self.books.ledger.release(claim),
            _ => self.books.ledger.release_accepted(claim, NOW),
        };
        for task in tasks {
            self.run(&offer.agent, task);
        }
        if filter == Filter::ForEver
            && let Some(agent) = self.books.ledger.agent_ix(&offer.agent)
        {
            let refusal = Refusal {
                refused: offer.resources.clone(),
                at_least: None,
                until: FOR_EVER,
            };
            self.books
                .ledger
                .add_filter(&offer.framework, &offer.role, agent, refusal);
        }
        self.observe(change);
    }

    fn end_task(&mut self, _agent: &AgentId, task: &Running) {
        if let Some(claim) = self.books.tasks.remove(&task.task) {
            let change = self.books.ledger.release(claim);
            self.observe(change);
        }
    }
}
