//! Random clusters and what may happen to them between rounds.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_allocator::{Allocator, ClaimIx, FrameworkEntry, RoleConfig};
use proffer_types::{
    AgentInfo, Attribute, Capabilities, Constraint, FaultDomain, GangId, OfferConstraints, OfferPreferences,
    Placement, Predicate, Quota, ResourceName, Resources, Role, Selector, Shape,
};
use proptest::prelude::*;

use crate::bench::{BUDGET, Bench, Offer, agent, framework, info, resources, role, shape};
use crate::properties;

pub(crate) const ROLES: [&str; 6] = ["*", "eng", "eng/prod", "eng/prod/web", "ops", "ops/dev"];
const N_AGENTS: usize = 5;
const N_FRAMEWORKS: usize = 5;
/// Rounds of a tiny budget after which it must have been enough.
const MAX_ROUNDS: usize = 20_000;

const TOTALS: [&str; 10] = [
    "cpus:8;mem:8GiB;disk:100GiB",
    "cpus:4;mem:16GiB;ports:[31000-31009]",
    "cpus:2;mem:2GiB;gpus:2",
    "cpus:4;mem:4GiB;cpus(eng):2;mem(eng):2GiB",
    "cpus:4;mem:4GiB;cpus(eng/prod):2;mem(eng/prod):2GiB;ports:[31000-31004];ports(ops):[32000-32004]",
    "cpus:4;mem:4GiB;cpus{rev}:4;mem{rev}:1GiB",
    "cpus:2;mem:4GiB;disk(+eng):10GiB;disk(+eng)[v1:/data]:5GiB",
    "cpus:2;mem:4GiB;disk(+ops)[s1:/data:shared]:5GiB",
    "cpus:2;mem:2GiB;cpus(eng,+eng/prod):2;mem(eng,+eng/prod):2GiB",
    "cpus:0.005;mem:8MiB;disk:1GiB",
];
const SHAPES: [&str; 8] = [
    "cpus:1",
    "cpus:1;mem:1GiB",
    "cpus:0.5;mem:2GiB",
    "cpus:3;mem:512MiB",
    "cpus:6;mem:4GiB",
    "gpus:1",
    "mem:256MiB;disk:1GiB",
    "disk:2GiB",
];
const AMOUNTS: [&str; 5] = ["", "cpus:2", "cpus:6;mem:6GiB", "mem:4GiB", "gpus:1;cpus:1"];

#[derive(Debug, Clone)]
pub(crate) struct Machine {
    total: usize,
    times: u32,
    rack: u8,
    region: u8,
}

#[derive(Debug, Clone)]
pub(crate) struct Member {
    roles: Vec<usize>,
    capabilities: u8,
    constraint: u8,
    minimum: u8,
}

#[derive(Debug, Clone)]
pub(crate) struct Wish {
    id: u64,
    each: usize,
    n_ports: u32,
    count: u32,
    constraint: u8,
    max_per_agent: Option<u32>,
    spread: bool,
    gang: Option<u64>,
    limit_secs: Option<u64>,
    /// The only agent that will do.
    agent: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) enum Move {
    Accept {
        nth: usize,
        half: bool,
    },
    Decline {
        nth: usize,
        refuse: u64,
        at_least: usize,
    },
    EndTask {
        nth: usize,
    },
    Suspend {
        nth: usize,
    },
    Demand {
        nth: usize,
        of: usize,
        wishes: Option<Vec<Wish>>,
    },
    Suppress {
        nth: usize,
        of: usize,
    },
    Revive {
        nth: usize,
        of: usize,
    },
    SetActive {
        nth: usize,
        active: bool,
    },
    Join {
        nth: usize,
        member: Member,
    },
    Leave {
        nth: usize,
    },
    SetAgentActive {
        nth: usize,
        active: bool,
    },
    SetAgent {
        nth: usize,
        machine: Machine,
    },
    RemoveAgent {
        nth: usize,
    },
    Configure {
        of: usize,
        config: RoleConfig,
    },
    Wait {
        millis: u64,
    },
}

fn machine() -> impl Strategy<Value = Machine> {
    (0..TOTALS.len(), 1..3_u32, 0..3_u8, 0..6_u8).prop_map(|(total, times, rack, region)| Machine {
        total,
        times,
        rack,
        region,
    })
}

fn member() -> impl Strategy<Value = Member> {
    let roles = proptest::collection::vec(0..ROLES.len(), 1..3);
    (roles, 0..8_u8, 0..8_u8, 0..6_u8).prop_map(|(roles, capabilities, constraint, minimum)| Member {
        roles,
        capabilities,
        constraint,
        minimum,
    })
}

fn wish() -> impl Strategy<Value = Wish> {
    let gang = prop_oneof![4 => Just(None), 1 => (0..2_u64).prop_map(Some)];
    let of = (0..4_u64, 0..SHAPES.len(), 0..3_u32, 1..7_u32, 0..10_u8);
    let more = (
        proptest::option::of(1..3_u32),
        any::<bool>(),
        gang,
        proptest::option::of(1..100_u64),
        proptest::option::weighted(0.2, 0..N_AGENTS),
    );
    (of, more).prop_map(
        |((id, each, n_ports, count, constraint), (max_per_agent, spread, gang, limit_secs, agent))| Wish {
            agent,
            id,
            each,
            n_ports: n_ports.saturating_sub(1),
            count,
            constraint,
            max_per_agent,
            spread,
            gang,
            limit_secs,
        },
    )
}

fn config() -> impl Strategy<Value = RoleConfig> {
    let limit = proptest::option::of((0..3_u8, 0..12_u64));
    let guarantee = prop_oneof![2 => Just(0), 1 => 0..AMOUNTS.len()];
    (1..5_u64, -1..2_i32, guarantee, limit).prop_map(|(weight, priority, guarantee, limit)| {
        let name = |nth| match nth {
            0 => (ResourceName::Cpus, 1000),
            1 => (ResourceName::Mem, 1 << 30),
            _ => (ResourceName::new("gpus").unwrap(), 1000),
        };
        let limit = limit.map(|(nth, amount)| {
            let (name, units) = name(nth);
            (name, amount * units)
        });
        RoleConfig {
            weight_millis: weight * 500,
            priority,
            quota: Quota {
                guarantee: resources(AMOUNTS[guarantee]),
                limit: limit.into_iter().collect(),
            },
        }
    })
}

pub(crate) fn a_move() -> impl Strategy<Value = Move> {
    let nth = || 0..8_usize;
    let of = || 0..ROLES.len();
    let wishes = || proptest::option::weighted(0.8, proptest::collection::vec(wish(), 0..4));
    prop_oneof![
        6 => (nth(), any::<bool>()).prop_map(|(nth, half)| Move::Accept { nth, half }),
        4 => (nth(), 0..20_u64, 0..9_usize)
            .prop_map(|(nth, refuse, at_least)| Move::Decline { nth, refuse, at_least }),
        4 => nth().prop_map(|nth| Move::EndTask { nth }),
        2 => nth().prop_map(|nth| Move::Suspend { nth }),
        4 => (nth(), of(), wishes()).prop_map(|(nth, of, wishes)| Move::Demand { nth, of, wishes }),
        1 => (nth(), of()).prop_map(|(nth, of)| Move::Suppress { nth, of }),
        1 => (nth(), of()).prop_map(|(nth, of)| Move::Revive { nth, of }),
        1 => (nth(), any::<bool>()).prop_map(|(nth, active)| Move::SetActive { nth, active }),
        2 => (nth(), member()).prop_map(|(nth, member)| Move::Join { nth, member }),
        1 => nth().prop_map(|nth| Move::Leave { nth }),
        1 => (nth(), any::<bool>()).prop_map(|(nth, active)| Move::SetAgentActive { nth, active }),
        2 => (nth(), machine()).prop_map(|(nth, machine)| Move::SetAgent { nth, machine }),
        1 => nth().prop_map(|nth| Move::RemoveAgent { nth }),
        2 => (of(), config()).prop_map(|(of, config)| Move::Configure { of, config }),
        3 => (0..9000_u64).prop_map(|millis| Move::Wait { millis }),
    ]
}

/// A few machines and frameworks, and what happens.
pub(crate) fn story(n_moves: usize) -> impl Strategy<Value = Vec<Move>> {
    let machines = proptest::collection::vec(machine(), 1..N_AGENTS);
    let members = proptest::collection::vec(member(), 1..N_FRAMEWORKS);
    let moves = proptest::collection::vec(a_move(), 1..n_moves);
    (machines, members, moves).prop_map(|(machines, members, moves)| {
        let machines = machines.into_iter().enumerate();
        let machines = machines.map(|(nth, machine)| Move::SetAgent { nth, machine });
        let members = members.into_iter().enumerate();
        let members = members.map(|(nth, member)| Move::Join { nth, member });
        machines.chain(members).chain(moves).collect()
    })
}

fn constraints(nth: u8) -> OfferConstraints {
    let rack = |predicate| Constraint {
        selector: Selector::Attribute("rack".to_owned()),
        predicate,
    };
    match nth {
        0 => OfferConstraints::all_of(vec![rack(Predicate::Equals("r0".to_owned()))]),
        1 => OfferConstraints::all_of(vec![rack(Predicate::NotEquals("r1".to_owned()))]),
        2 => OfferConstraints {
            groups: vec![
                vec![
                    rack(Predicate::Exists),
                    rack(Predicate::NotEquals("r0".to_owned())),
                ],
                vec![Constraint {
                    selector: Selector::Region,
                    predicate: Predicate::Equals("away".to_owned()),
                }],
            ],
        },
        _ => OfferConstraints::default(),
    }
}

impl Machine {
    fn info(&self, name: &str) -> AgentInfo {
        let domain = |region: &str| FaultDomain {
            region: region.to_owned(),
            zone: "z".to_owned(),
        };
        AgentInfo {
            resources: resources(TOTALS[self.total]).times(self.times),
            attributes: vec![Attribute {
                name: "rack".to_owned(),
                value: format!("r{}", self.rack),
            }],
            domain: match self.region {
                0 => Some(domain("away")),
                1 => Some(domain("home")),
                _ => None,
            },
            ..info(name, "")
        }
    }
}

impl Member {
    fn entry(&self) -> FrameworkEntry {
        let roles: BTreeSet<Role> = self.roles.iter().map(|nth| role(ROLES[*nth])).collect();
        let min_allocatable = match self.minimum {
            0 => Some(Vec::new()),
            1 => Some(vec![resources("cpus:2")]),
            2 => Some(vec![resources("cpus:1;mem:3GiB"), resources("gpus:1")]),
            _ => None,
        };
        let preferences = OfferPreferences {
            min_allocatable,
            constraints: constraints(self.constraint),
        };
        FrameworkEntry {
            capabilities: Capabilities {
                revocable: self.capabilities & 1 > 0,
                shared: self.capabilities & 2 > 0,
                region_aware: self.capabilities & 4 > 0,
                agents: false,
            },
            preferences: roles
                .iter()
                .map(|role| (role.clone(), preferences.clone()))
                .collect(),
            roles,
            ..FrameworkEntry::default()
        }
    }
}

impl Wish {
    /// What may be said to be the cpus of suspended tasks is.
    fn resumes(&self) -> bool {
        self.agent.is_some() && self.gang.is_none() && self.n_ports == 0 && SHAPES[self.each] == "cpus:1"
    }
}

/// Shapes of one statement have ids of their own.
fn shapes(wishes: &[Wish]) -> Vec<Shape> {
    let mut known = BTreeSet::new();
    let wishes = wishes.iter().filter(|wish| known.insert(wish.id));
    wishes
        .map(|wish| Shape {
            resumes: wish.resumes(),
            n_ports: wish.n_ports,
            constraints: constraints(wish.constraint),
            max_per_agent: wish.max_per_agent,
            placement: if wish.spread {
                Placement::Spread
            } else {
                Placement::Pack
            },
            gang: wish.gang.map(GangId),
            agent: wish.agent.map(|nth| agent(&format!("a{nth}"))),
            time_limit: wish.limit_secs.map(Duration::from_secs),
            ..shape(wish.id, SHAPES[wish.each], wish.count)
        })
        .collect()
}

pub(crate) struct Play {
    pub(crate) bench: Bench,
    offers: Vec<Offer>,
    tasks: Vec<ClaimIx>,
}

impl Play {
    pub(crate) fn new(allocator: &str) -> Self {
        Self::with(proffer_allocator::by_name(allocator).unwrap())
    }

    pub(crate) fn with(allocator: Box<dyn Allocator>) -> Self {
        Self {
            bench: Bench::with(allocator),
            offers: Vec::new(),
            tasks: Vec::new(),
        }
    }

    /// Makes a move, then allocates until nothing more is to be examined, and checks what came out.
    pub(crate) fn step(&mut self, step: &Move, budget: u64) -> Vec<Offer> {
        let made = self.make_and_allocate(step, budget);
        properties::gangs_are_whole(&self.bench, &made);
        properties::nothing_is_left(&self.bench);
        made
    }

    pub(crate) fn make_and_allocate(&mut self, step: &Move, budget: u64) -> Vec<Offer> {
        self.make(step);
        let mut made = Vec::new();
        for nth in 0.. {
            let (offers, outcome) = self.bench.round_of(budget);
            made.extend(offers);
            if !outcome.more {
                break;
            }
            assert!(nth < MAX_ROUNDS, "a budget of {budget} is never enough");
        }
        self.offers.extend(made.iter().cloned());
        made
    }

    /// Ends all offers that `lost` names, and those that stand and fall with them.
    fn rescind(&mut self, lost: impl Fn(&Offer) -> bool) {
        let gangs: BTreeSet<_> = (self.offers.iter())
            .filter(|offer| lost(offer) && offer.gang.is_some())
            .map(|offer| (offer.framework.clone(), offer.role.clone(), offer.gang))
            .collect();
        let all = std::mem::take(&mut self.offers).into_iter();
        let (gone, kept): (Vec<_>, Vec<_>) = all.partition(|offer| {
            lost(offer) || gangs.contains(&(offer.framework.clone(), offer.role.clone(), offer.gang))
        });
        self.offers = kept;
        gone.iter().for_each(|offer| self.bench.end(offer.claim));
    }

    /// An offer, with the others of its gang.
    fn take(&mut self, nth: usize) -> Vec<Offer> {
        let Some(first) = self.offers.get(nth % self.offers.len().max(1)).cloned() else {
            return Vec::new();
        };
        let all = std::mem::take(&mut self.offers).into_iter();
        let (taken, kept) = all.partition(|offer| {
            offer.claim == first.claim
                || first.gang.is_some()
                    && (&offer.framework, &offer.role, offer.gang)
                        == (&first.framework, &first.role, first.gang)
        });
        self.offers = kept;
        taken
    }

    fn accept(&mut self, nth: usize, half: bool) {
        for offer in self.take(nth) {
            let has = &offer.resources;
            let task = if half && offer.shapes.is_empty() && !has.has_kinds() {
                Resources::of(has.cpu_millis() / 2, has.mem_bytes() / 2, 0)
            } else {
                has.clone()
            };
            self.tasks.push(self.bench.accept(&offer, &task));
        }
    }

    fn make(&mut self, step: &Move) {
        let fw = |nth: usize| format!("f{}", nth % N_FRAMEWORKS);
        let host = |nth: usize| format!("a{}", nth % N_AGENTS);
        let now = self.bench.now;
        match step {
            Move::Accept { nth, half } => self.accept(*nth, *half),
            Move::Decline {
                nth,
                refuse,
                at_least,
            } => {
                let at_least = AMOUNTS.get(*at_least).filter(|least| !least.is_empty());
                for offer in self.take(*nth) {
                    let at_least = at_least.map(|least| resources(least));
                    self.bench
                        .decline_below(&offer, Duration::from_secs(*refuse), at_least);
                }
            }
            Move::EndTask { nth } if !self.tasks.is_empty() => {
                let task = self.tasks.swap_remove(nth % self.tasks.len());
                self.bench.end(task);
            }
            Move::EndTask { .. } => {}
            Move::Suspend { nth } if !self.tasks.is_empty() => {
                let task = self.tasks[nth % self.tasks.len()];
                self.bench.suspend(task);
            }
            Move::Suspend { .. } => {}
            Move::Demand { nth, of, wishes } => {
                let demand = wishes.as_deref().map(|wishes| shapes(wishes).into());
                let ledger = &mut self.bench.ledger;
                let change = ledger.set_demand(&framework(&fw(*nth)), &role(ROLES[*of]), demand, now);
                self.bench.observe(change);
            }
            Move::Suppress { nth, of } => {
                let roles = [role(ROLES[*of])].into();
                let changes = self.bench.ledger.suppress(&framework(&fw(*nth)), &roles);
                self.bench.observe(changes);
            }
            Move::Revive { nth, of } => self.bench.revive(&fw(*nth), ROLES[*of]),
            Move::SetActive { nth, active } => {
                if !active {
                    self.rescind(|offer| offer.framework == framework(&fw(*nth)));
                }
                let changes = (self.bench.ledger).set_framework_active(&framework(&fw(*nth)), *active);
                self.bench.observe(changes);
            }
            Move::Join { nth, member } => self.bench.join_as(&fw(*nth), member.entry()),
            Move::Leave { nth } => {
                self.rescind(|offer| offer.framework == framework(&fw(*nth)));
                self.bench.leave(&fw(*nth));
            }
            Move::SetAgentActive { nth, active } => {
                let change = (self.bench.ledger).set_agent_active(&agent(&host(*nth)), *active);
                self.bench.observe(change);
            }
            Move::SetAgent { nth, machine } => {
                self.rescind(|offer| offer.agent == agent(&host(*nth)));
                self.bench.add(&host(*nth), machine.info(&host(*nth)));
            }
            Move::RemoveAgent { nth } => {
                self.rescind(|offer| offer.agent == agent(&host(*nth)));
                let gone = self.bench.ledger.agent_ix(&agent(&host(*nth)));
                let ledger = &self.bench.ledger;
                self.tasks
                    .retain(|task| Some(ledger.claim_of(*task).unwrap().agent) != gone);
                let changes = self.bench.ledger.remove_agent(&agent(&host(*nth)));
                self.bench.observe(changes);
            }
            Move::Configure { of, config } => self.bench.configure(ROLES[*of], config.clone()),
            Move::Wait { millis } => self.bench.wait(Duration::from_millis(*millis)),
        }
    }
}

/// A budget that ends no round.
pub(crate) const AMPLE: u64 = BUDGET;
