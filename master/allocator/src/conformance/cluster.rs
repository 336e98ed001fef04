//! A small cluster around an allocator, to which random things happen.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proffer_types::{
    AgentId, AgentInfo, FrameworkId, GangId, Quota, ResourceName, Resources, Role, Shape, ShapeId, Timestamp,
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{
    AgentIx, Allocator, Change, Claim, ClaimIx, ClaimKind, Filter, FrameworkEntry, Grant, Hold, Host, LeafIx,
    Ledger, Outcome, RoleConfig, Round,
};

const ROLES: [&str; 5] = ["*", "eng", "eng/prod", "ops", "ops/dev"];
const TOTALS: [&str; 5] = [
    "cpus:8;mem:16GiB",
    "cpus:2;mem:2GiB;gpus:1",
    "cpus:4;mem:4GiB;ports:[31000-31009]",
    "cpus:4;mem:4GiB;cpus(eng):2;mem(eng):2GiB",
    "cpus:2;mem:2GiB;cpus{rev}:2;disk(+ops):10GiB;disk(+ops)[v:/data]:5GiB",
];
const TASKS: [&str; 4] = [
    "cpus:1;mem:1GiB",
    "cpus:0.5;mem:3GiB",
    "cpus:3;mem:512MiB",
    "gpus:1",
];
/// How many of each there are at most.
const N: usize = 6;
/// Rounds after which even a budget of one has looked at every pair many times over.
const MAX_ROUNDS: usize = 10_000;
/// More offers than a round can make with so few agents and tasks: one that makes more does not end.
const MAX_GRANTS: usize = 10_000;

/// One offer as it was when its round was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) claim: ClaimIx,
    pub(super) leaf: LeafIx,
    pub(super) framework: FrameworkId,
    pub(super) agent: AgentId,
    pub(super) resources: Resources,
    pub(super) shapes: Vec<(ShapeId, u32)>,
    pub(super) gang: Option<GangId>,
}

pub(super) struct Cluster {
    pub(super) ledger: Ledger,
    pub(super) now: Timestamp,
    allocator: Box<dyn Allocator>,
    /// What the allocator draws from.
    lots: ChaCha8Rng,
    /// What happens is drawn from.
    fate: ChaCha8Rng,
    n_joined: u64,
}

struct Desk<'a> {
    ledger: &'a mut Ledger,
    made: Vec<ClaimIx>,
    n_grants: usize,
}

impl Desk<'_> {
    fn count(&mut self) {
        self.n_grants += 1;
        assert!(
            self.n_grants < MAX_GRANTS,
            "a round that makes {MAX_GRANTS} offers does not end"
        );
    }
}

impl Host for Desk<'_> {
    fn ledger(&self) -> &Ledger {
        self.ledger
    }

    fn grant(&mut self, grant: Grant) -> ClaimIx {
        self.count();
        let mut claim = Claim::new(ClaimKind::Offer, grant.leaf, grant.agent, grant.resources);
        (claim.shapes, claim.gang) = (grant.shapes, grant.gang);
        let claim = self.ledger.claim(claim);
        self.made.push(claim);
        claim
    }

    fn grow(&mut self, claim: ClaimIx, more: &Resources, shape: (ShapeId, u32)) {
        self.count();
        self.ledger.grow(claim, more, &[shape]);
    }

    fn hold(&mut self, leaf: LeafIx, hold: Option<Hold>) {
        let Some(entry) = self.ledger.leaf(leaf) else {
            return;
        };
        let framework = entry.framework.clone();
        let role = self.ledger.role(entry.role).and_then(|role| role.name.clone());
        match (role, hold) {
            (Some(role), Some(hold)) => drop(self.ledger.set_hold(&framework, &role, hold)),
            (Some(role), None) => drop(self.ledger.end_hold(&framework, &role)),
            (None, _) => {}
        }
    }
}

pub(super) fn agent(nth: usize) -> AgentId {
    AgentId::new(format!("agent-{nth}")).expect("it is an id")
}

pub(super) fn framework(nth: usize) -> FrameworkId {
    FrameworkId::new(format!("framework-{nth}")).expect("it is an id")
}

fn role(name: &str) -> Role {
    Role::new(name).expect("it is a role")
}

fn resources(text: &str) -> Resources {
    text.parse().expect("it is a bundle")
}

pub(super) fn shape(id: u64, each: &str, count: u32, gang: Option<u64>) -> Shape {
    Shape {
        gang: gang.map(GangId),
        ..Shape::new(ShapeId(id), resources(each), count)
    }
}

impl Cluster {
    pub(super) fn new(allocator: Box<dyn Allocator>, seed: u64) -> Self {
        Self {
            ledger: Ledger::default(),
            now: Timestamp(0),
            allocator,
            lots: ChaCha8Rng::seed_from_u64(seed),
            fate: ChaCha8Rng::seed_from_u64(!seed),
            n_joined: 0,
        }
    }

    fn observe(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.allocator.observe(&self.ledger, &change);
        }
    }

    pub(super) fn add_agent(&mut self, nth: usize, total: &str) {
        let info = AgentInfo {
            hostname: format!("host-{nth}"),
            address: String::new(),
            resources: resources(total),
            attributes: Vec::new(),
            version: String::new(),
            cgroups: String::new(),
            domain: None,
            can_suspend: false,
        };
        let change = self.ledger.set_agent(&agent(nth), Arc::new(info));
        self.observe([change]);
        self.set_agent_active(nth, true);
    }

    pub(super) fn set_agent_active(&mut self, nth: usize, active: bool) {
        let change = self.ledger.set_agent_active(&agent(nth), active);
        self.observe(change);
    }

    pub(super) fn remove_agent(&mut self, nth: usize) {
        let changes = self.ledger.remove_agent(&agent(nth));
        self.observe(changes);
    }

    pub(super) fn join(&mut self, nth: usize, of: &str) {
        let known = self.ledger.framework(&framework(nth)).map(|known| known.order);
        let entry = FrameworkEntry {
            order: known.unwrap_or(self.n_joined),
            active: true,
            roles: [role(of)].into(),
            ..FrameworkEntry::default()
        };
        self.n_joined += 1;
        let changes = self.ledger.set_framework(&framework(nth), entry);
        self.observe(changes);
    }

    /// A framework leaves for good, with all it has.
    pub(super) fn leave(&mut self, nth: usize) {
        let gone = framework(nth);
        let claims = self.ledger.claims();
        let held = claims.filter(|(_, claim)| {
            let leaf = self.ledger.leaf(claim.leaf);
            leaf.is_some_and(|leaf| leaf.framework == gone)
        });
        let held: Vec<_> = held.map(|(claim, _)| claim).collect();
        held.into_iter().for_each(|claim| self.end(claim));
        let changes = self.ledger.remove_framework(&gone);
        self.observe(changes);
    }

    pub(super) fn leave_all(&mut self) {
        (0..N).for_each(|nth| self.leave(nth));
        let roles: Vec<_> = self.ledger.roles().map(|(role, _)| role.clone()).collect();
        for role in roles {
            let change = self.ledger.set_role(&role, RoleConfig::default());
            self.observe([change]);
        }
    }

    pub(super) fn want(&mut self, nth: usize, of: &str, shapes: Vec<Shape>) {
        let change = self
            .ledger
            .set_demand(&framework(nth), &role(of), Some(shapes.into()), self.now);
        self.observe(change);
    }

    pub(super) fn wait(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis));
        let changes = self.ledger.expire_filters(self.now);
        self.observe(changes);
    }

    pub(super) fn end(&mut self, claim: ClaimIx) {
        let change = self.ledger.release(claim);
        self.observe(change);
    }

    pub(super) fn decline(&mut self, offer: &Made, refuse_millis: u64) {
        let filter = Filter {
            refused: offer.resources.clone(),
            at_least: None,
            until: self.now.after(Duration::from_millis(refuse_millis)),
        };
        let claim = self
            .ledger
            .claim_of(offer.claim)
            .map(|claim| (claim.agent, claim.leaf));
        if let Some((on, of)) = claim
            && let Some(role) = self.role_of(of)
        {
            self.ledger.add_filter(&offer.framework, &role, on, filter);
        }
        self.end(offer.claim);
    }

    /// Runs a task on the whole of an offer.
    pub(super) fn run(&mut self, offer: &Made) -> ClaimIx {
        let claim = self.ledger.claim_of(offer.claim).expect("the offer is there");
        let task = Claim {
            kind: ClaimKind::Task,
            ..claim.clone()
        };
        let of = self.role_of(task.leaf).expect("an offer is of a role");
        let change = self.ledger.release_accepted(offer.claim, self.now);
        // A leaf that its framework left goes with its last claim.
        let leaf = self.ledger.ensure_leaf(&offer.framework, &of);
        let claimed = Change::Claimed(task.agent, leaf);
        let task = self.ledger.claim(Claim { leaf, ..task });
        self.observe(change.into_iter().chain([claimed]));
        task
    }

    pub(super) fn leaf(&self, nth: usize, of: &str) -> LeafIx {
        let leaf = self.ledger.leaf_ix(&framework(nth), &role(of));
        leaf.expect("the framework is in the role")
    }

    fn role_of(&self, leaf: LeafIx) -> Option<Role> {
        self.ledger.role(self.ledger.leaf(leaf)?.role)?.name.clone()
    }

    pub(super) fn round(&mut self, budget: u64) -> (Vec<Made>, Outcome) {
        let mut desk = Desk {
            ledger: &mut self.ledger,
            made: Vec::new(),
            n_grants: 0,
        };
        let mut round = Round::new(&mut desk, self.now, &mut self.lots, budget);
        let outcome = self.allocator.allocate(&mut round);
        assert!(
            round.is_spent() || !outcome.more,
            "there is more to examine only when the budget is spent"
        );
        let made = desk.made;
        self.ledger.check();
        self.allocator.check(&self.ledger);
        (
            made.into_iter().filter_map(|claim| self.made(claim)).collect(),
            outcome,
        )
    }

    /// Rounds of a budget until there is no more to examine.
    pub(super) fn settle(&mut self, budget: u64) -> Vec<Made> {
        let mut all = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let (made, outcome) = self.round(budget);
            all.extend(made);
            if !outcome.more {
                return all;
            }
        }
        panic!("after {MAX_ROUNDS} rounds of {budget} pairs there is still more to examine");
    }

    fn made(&self, ix: ClaimIx) -> Option<Made> {
        let claim = self.ledger.claim_of(ix)?;
        Some(Made {
            claim: ix,
            leaf: claim.leaf,
            framework: self.ledger.leaf(claim.leaf)?.framework.clone(),
            agent: self.ledger.agent(claim.agent)?.id.clone(),
            resources: claim.resources.clone(),
            shapes: claim.shapes.clone(),
            gang: claim.gang,
        })
    }

    fn claims(&self, kind: ClaimKind) -> Vec<ClaimIx> {
        let claims = self.ledger.claims().filter(|(_, claim)| claim.kind == kind);
        claims.map(|(claim, _)| claim).collect()
    }

    /// All offers that are not answered.
    pub(super) fn offers(&self) -> Vec<Made> {
        let offers = self.claims(ClaimKind::Offer).into_iter();
        offers.filter_map(|claim| self.made(claim)).collect()
    }

    fn draw<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.fate.random_range(0..of.len())]
    }

    pub(super) fn populate(&mut self) {
        for nth in 0..N / 2 {
            let (total, of) = (self.draw(&TOTALS), self.draw(&ROLES));
            self.add_agent(nth, total);
            self.join(nth, of);
        }
    }

    /// Lets something happen.
    pub(super) fn step(&mut self) {
        let nth = self.fate.random_range(0..N);
        let (of, total) = (self.draw(&ROLES), self.draw(&TOTALS));
        match self.fate.random_range(0..16) {
            0 | 1 => self.rescind(|made, _| made.agent == agent(nth), Some((nth, total))),
            2 => {
                self.rescind(|made, _| made.agent == agent(nth), None);
                self.remove_agent(nth);
            }
            3 | 4 => self.join(nth, of),
            5 => self.leave(nth),
            6 => self.set_agent_active(nth, false),
            7..10 => self.state_demand(nth),
            10 => {
                let config = self.config();
                let change = self.ledger.set_role(&role(of), config);
                self.observe([change]);
            }
            11 => {
                let millis = self.fate.random_range(1..5000);
                self.wait(millis);
            }
            _ => self.answer(nth),
        }
    }

    /// Ends the offers that `lost` names and those of their gangs; then an agent may come, or come back as another.
    fn rescind(&mut self, lost: impl Fn(&Made, AgentIx) -> bool, then: Option<(usize, &str)>) {
        let offers = self.offers();
        let is_lost = |made: &Made| self.ledger.agent_ix(&made.agent).is_some_and(|ix| lost(made, ix));
        let gangs: BTreeSet<_> = (offers.iter())
            .filter(|made| is_lost(made))
            .filter_map(|made| Some((made.leaf, made.gang?)))
            .collect();
        let ended = offers
            .iter()
            .filter(|made| is_lost(made) || made.gang.is_some_and(|gang| gangs.contains(&(made.leaf, gang))));
        let ended: Vec<_> = ended.map(|made| made.claim).collect();
        ended.into_iter().for_each(|claim| self.end(claim));
        if let Some((nth, total)) = then {
            self.add_agent(nth, total);
        }
    }

    fn state_demand(&mut self, nth: usize) {
        let roles: Vec<_> = self
            .ledger
            .leaves_of(&framework(nth))
            .map(|(role, _)| role.clone())
            .collect();
        let n_shapes = self.fate.random_range(0..3);
        let shapes = (0..n_shapes).map(|id| {
            let gang = self.fate.random_bool(0.3).then_some(7);
            let count = self.fate.random_range(1..5);
            shape(id, self.draw(&TASKS), count, gang)
        });
        let shapes: Vec<_> = shapes.collect();
        for role in roles {
            self.want(nth, role.as_str(), shapes.clone());
        }
    }

    fn config(&mut self) -> RoleConfig {
        let amounts = ["", "cpus:2", "cpus:3;mem:2GiB"];
        let guarantee = resources(self.draw(&amounts));
        let limit = self
            .fate
            .random_bool(0.5)
            .then(|| (ResourceName::Cpus, self.fate.random_range(4..9) * 1000));
        RoleConfig {
            weight_millis: self.fate.random_range(1..4) * 1000,
            priority: self.fate.random_range(0..2),
            quota: Quota {
                guarantee,
                limit: limit.into_iter().collect(),
            },
        }
    }

    /// An offer is accepted or refused, with those of its gang, or a task ends.
    fn answer(&mut self, nth: usize) {
        let (offers, tasks) = (self.offers(), self.claims(ClaimKind::Task));
        let accepts = self.fate.random_bool(0.6);
        if let Some(task) = tasks
            .get(nth)
            .filter(|_| offers.is_empty() || nth.is_multiple_of(2))
        {
            return self.end(*task);
        }
        let Some(first) = offers.get(nth % offers.len().max(1)) else {
            return;
        };
        let together =
            |made: &Made| made.gang.is_some() && (made.leaf, made.gang) == (first.leaf, first.gang);
        for offer in offers
            .iter()
            .filter(|made| made.claim == first.claim || together(made))
        {
            if accepts {
                self.run(offer);
            } else {
                self.decline(offer, 500 * (nth as u64));
            }
        }
    }
}
