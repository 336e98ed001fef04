//! A ledger with an allocator on it, driven by hand. Every grant is put to the [`oracle`] as it is made, and after
//! every round the ledger and what the allocator keeps are checked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proffer_allocator::{
    AgentIx, Allocator, Change, Claim, ClaimIx, ClaimKind, Filter, FrameworkEntry, Grant, Hold, Host, LeafIx,
    Ledger, Outcome, RoleConfig, Round,
};
use proffer_types::{
    AgentId, AgentInfo, Demand, FrameworkId, GangId, Quota, ResourceName, Resources, Role, Shape, ShapeId,
    Timestamp,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::oracle;

/// More than any test examines.
pub(crate) const BUDGET: u64 = 100_000;

/// Short, for stories last seconds.
pub(crate) const HOLD_AFTER: Duration = Duration::from_secs(5);

pub(crate) struct Bench {
    pub(crate) ledger: Ledger,
    pub(crate) now: Timestamp,
    pub(crate) allocator: Box<dyn Allocator>,
    /// Whom each grant and each growth of the latest round went to, in order.
    pub(crate) picks: Vec<(LeafIx, AgentIx)>,
    rng: ChaCha8Rng,
    n_joined: u64,
}

/// An offer as a framework would see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) claim: ClaimIx,
    pub(crate) framework: FrameworkId,
    pub(crate) role: Role,
    pub(crate) agent: AgentId,
    pub(crate) resources: Resources,
    pub(crate) shapes: Vec<(ShapeId, u32)>,
    pub(crate) gang: Option<GangId>,
}

struct Desk<'a> {
    ledger: &'a mut Ledger,
    now: Timestamp,
    made: Vec<ClaimIx>,
    picks: Vec<(LeafIx, AgentIx)>,
}

impl Host for Desk<'_> {
    fn ledger(&self) -> &Ledger {
        self.ledger
    }

    fn grant(&mut self, grant: Grant) -> ClaimIx {
        oracle::judge(self.ledger, &grant, true, self.now);
        self.picks.push((grant.leaf, grant.agent));
        let mut claim = Claim::new(ClaimKind::Offer, grant.leaf, grant.agent, grant.resources);
        (claim.shapes, claim.gang) = (grant.shapes, grant.gang);
        let claim = self.ledger.claim(claim);
        self.made.push(claim);
        claim
    }

    fn grow(&mut self, claim: ClaimIx, more: &Resources, shape: (ShapeId, u32)) {
        let grown = self.ledger.claim_of(claim).unwrap();
        assert!(self.made.contains(&claim), "only offers of the same round grow");
        let grant = Grant {
            leaf: grown.leaf,
            agent: grown.agent,
            resources: more.clone(),
            shapes: vec![shape],
            gang: grown.gang,
        };
        oracle::judge(self.ledger, &grant, false, self.now);
        self.picks.push((grant.leaf, grant.agent));
        self.ledger.grow(claim, more, &[shape]);
    }

    fn hold(&mut self, leaf: LeafIx, hold: Option<Hold>) {
        let entry = self.ledger.leaf(leaf).unwrap();
        let framework = entry.framework.clone();
        let role = self.ledger.role(entry.role).unwrap().name.clone().unwrap();
        match hold {
            Some(hold) => self.ledger.set_hold(&framework, &role, hold),
            None => self.ledger.end_hold(&framework, &role),
        };
    }
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

/// A path will do as a name.
pub(crate) fn framework(name: &str) -> FrameworkId {
    FrameworkId::new(name.replace('/', ".")).unwrap()
}

pub(crate) fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

pub(crate) fn resources(text: &str) -> Resources {
    text.parse().unwrap()
}

pub(crate) fn info(hostname: &str, total: &str) -> AgentInfo {
    AgentInfo {
        hostname: hostname.to_owned(),
        address: String::new(),
        resources: resources(total),
        attributes: Vec::new(),
        version: String::new(),
        cgroups: String::new(),
        domain: None,
        can_suspend: false,
    }
}

/// Tasks of one size, as many as asked for.
pub(crate) fn shape(id: u64, each: &str, count: u32) -> Shape {
    Shape::new(ShapeId(id), resources(each), count)
}

/// A quota from texts; `limit` names what is limited, zero amounts included.
pub(crate) fn quota(guarantee: &str, limit: &[(ResourceName, u64)]) -> Quota {
    Quota {
        guarantee: resources(guarantee),
        limit: limit.iter().cloned().collect(),
    }
}

impl Bench {
    pub(crate) fn new(allocator: &str) -> Self {
        Self::with(proffer_allocator::by_name(allocator).unwrap())
    }

    pub(crate) fn with(allocator: Box<dyn Allocator>) -> Self {
        Self {
            ledger: Ledger::new(Some("home".to_owned())),
            now: Timestamp(0),
            allocator,
            picks: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(7),
            n_joined: 0,
        }
    }

    pub(crate) fn observe(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.allocator.observe(&self.ledger, &change);
        }
    }

    pub(crate) fn add_agent(&mut self, name: &str, total: &str) {
        self.add(name, info(name, total));
    }

    pub(crate) fn add(&mut self, name: &str, info: AgentInfo) {
        let changes = [
            Some(self.ledger.set_agent(&agent(name), Arc::new(info))),
            self.ledger.set_agent_active(&agent(name), true),
        ];
        self.observe(changes.into_iter().flatten());
    }

    pub(crate) fn join(&mut self, name: &str, in_role: &str) {
        let entry = FrameworkEntry {
            roles: [role(in_role)].into(),
            ..FrameworkEntry::default()
        };
        self.join_as(name, entry);
    }

    /// Joins, or comes back with other roles or preferences; the order of first arrival stays.
    pub(crate) fn join_as(&mut self, name: &str, entry: FrameworkEntry) {
        let known = self.ledger.framework(&framework(name)).map(|known| known.order);
        let order = known.unwrap_or(self.n_joined);
        self.n_joined += u64::from(known.is_none());
        let entry = FrameworkEntry {
            order,
            active: true,
            ..entry
        };
        let changes = self.ledger.set_framework(&framework(name), entry);
        self.observe(changes);
    }

    pub(crate) fn leave(&mut self, name: &str) {
        let changes = self.ledger.remove_framework(&framework(name));
        self.observe(changes);
    }

    /// States what a framework wants.
    pub(crate) fn want(&mut self, name: &str, in_role: &str, demand: impl Into<Demand>) {
        let change = self
            .ledger
            .set_demand(&framework(name), &role(in_role), Some(demand.into()), self.now);
        self.observe(change);
    }

    pub(crate) fn configure(&mut self, of: &str, config: RoleConfig) {
        let change = self.ledger.set_role(&role(of), config);
        self.observe([change]);
    }

    pub(crate) fn weigh(&mut self, of: &str, weight_millis: u64) {
        let config = self.ledger.role_config(&role(of));
        self.configure(
            of,
            RoleConfig {
                weight_millis,
                ..config
            },
        );
    }

    pub(crate) fn set_quota(&mut self, of: &str, quota: Quota) {
        let config = self.ledger.role_config(&role(of));
        self.configure(of, RoleConfig { quota, ..config });
    }

    pub(crate) fn round(&mut self) -> Vec<Offer> {
        let (offers, outcome) = self.round_of(BUDGET);
        assert!(!outcome.more, "the budget was not spent");
        offers
    }

    pub(crate) fn round_of(&mut self, budget: u64) -> (Vec<Offer>, Outcome) {
        let mut desk = Desk {
            ledger: &mut self.ledger,
            now: self.now,
            made: Vec::new(),
            picks: Vec::new(),
        };
        let round = Round::new(&mut desk, self.now, &mut self.rng, budget);
        let outcome = self.allocator.allocate(&mut round.with_hold_after(HOLD_AFTER));
        let (made, picks) = (desk.made, desk.picks);
        self.picks = picks;
        self.ledger.check();
        self.allocator.check(&self.ledger);
        let first_end = self.ledger.holds().map(|(_, hold)| hold.until).min();
        if let Some(end) = first_end.filter(|_| !outcome.more) {
            assert!(end > self.now, "a hold that is over is released");
            assert!(
                outcome.next.is_some_and(|next| next <= end),
                "a round is due then"
            );
        }
        let offers = made.into_iter().map(|claim| self.offer(claim)).collect();
        (offers, outcome)
    }

    fn offer(&self, ix: ClaimIx) -> Offer {
        let claim = self.ledger.claim_of(ix).unwrap();
        let leaf = self.ledger.leaf(claim.leaf).unwrap();
        Offer {
            claim: ix,
            framework: leaf.framework.clone(),
            role: self.ledger.role(leaf.role).unwrap().name.clone().unwrap(),
            agent: self.ledger.agent(claim.agent).unwrap().id.clone(),
            resources: claim.resources.clone(),
            shapes: claim.shapes.clone(),
            gang: claim.gang,
        }
    }

    /// Whom the latest round went to, by name.
    pub(crate) fn picked(&self) -> Vec<&str> {
        let leaves = self
            .picks
            .iter()
            .map(|(leaf, _)| self.ledger.leaf(*leaf).unwrap());
        leaves.map(|leaf| leaf.framework.as_str()).collect()
    }

    /// Runs a task on a part of an offer; the rest comes back without a filter. With the whole of an offer for shapes
    /// the demand falls.
    pub(crate) fn accept(&mut self, offer: &Offer, task: &Resources) -> ClaimIx {
        self.run(offer, task, None)
    }

    /// The same for a task with a time limit.
    pub(crate) fn accept_until(&mut self, offer: &Offer, ends_by: Timestamp) -> ClaimIx {
        self.run(offer, &offer.resources, Some(ends_by))
    }

    fn run(&mut self, offer: &Offer, task: &Resources, ends_by: Option<Timestamp>) -> ClaimIx {
        let claim = self.ledger.claim_of(offer.claim).unwrap();
        let mut running = Claim::new(ClaimKind::Task, claim.leaf, claim.agent, task.clone());
        running.ends_by = ends_by;
        if *task == offer.resources {
            running.shapes.clone_from(&offer.shapes);
        }
        let change = self.ledger.release_accepted(offer.claim, self.now);
        // The leaf may be dropped with its last claim, though not while its framework is there.
        let leaf = self.ledger.ensure_leaf(&offer.framework, &offer.role);
        let running = Claim { leaf, ..running };
        let on = running.agent;
        let task = self.ledger.claim(running);
        self.observe(change);
        self.observe([Change::Claimed(on, leaf)]);
        task
    }

    pub(crate) fn accept_all(&mut self, offer: &Offer) -> ClaimIx {
        self.accept(offer, &offer.resources.clone())
    }

    pub(crate) fn decline(&mut self, offer: &Offer, refuse: Duration) {
        self.decline_below(offer, refuse, None);
    }

    /// Declines, and may say what would do instead.
    pub(crate) fn decline_below(&mut self, offer: &Offer, refuse: Duration, at_least: Option<Resources>) {
        let on = self.ledger.agent_ix(&offer.agent).unwrap();
        let filter = Filter {
            refused: offer.resources.clone(),
            at_least,
            until: self.now.after(refuse),
        };
        if !refuse.is_zero() {
            self.ledger.add_filter(&offer.framework, &offer.role, on, filter);
        }
        self.end(offer.claim);
    }

    /// Ends an offer or a task.
    pub(crate) fn end(&mut self, claim: ClaimIx) {
        let change = self.ledger.release(claim);
        self.observe(change);
    }

    /// A task gives up its cpus, unless it did.
    pub(crate) fn suspend(&mut self, claim: ClaimIx) {
        let task = self.ledger.claim_of(claim).unwrap();
        let cpus = task.resources.cpus();
        if task.suspended.is_empty() && !cpus.is_empty() {
            let change = self.ledger.suspend(claim, cpus);
            self.observe(change);
        }
    }

    /// Ends the tasks of a framework on an agent.
    pub(crate) fn end_of(&mut self, name: &str, on: &str) {
        let on = self.ledger.agent_ix(&agent(on)).unwrap();
        let claims = self.ledger.claims_on(on);
        let of = |leaf| self.ledger.leaf(leaf).unwrap().framework == framework(name);
        let tasks: Vec<_> = claims
            .filter(|(_, claim)| of(claim.leaf))
            .map(|(ix, _)| ix)
            .collect();
        tasks.into_iter().for_each(|task| self.end(task));
    }

    /// Lets time pass; filters end as they would in a master.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
        let changes = self.ledger.expire_filters(self.now);
        self.observe(changes);
    }

    pub(crate) fn revive(&mut self, name: &str, in_role: &str) {
        let roles: BTreeSet<_> = [role(in_role)].into();
        let changes = self.ledger.revive(&framework(name), &roles);
        self.observe(changes);
    }

    /// What a framework has of a resource in all of its roles.
    pub(crate) fn has(&self, name: &str, resource: &ResourceName) -> u128 {
        let framework = framework(name);
        let leaves = self.ledger.leaves_of(&framework);
        leaves
            .map(|(_, leaf)| self.ledger.leaf(leaf).unwrap().usage.claimed.get(resource))
            .sum()
    }
}
