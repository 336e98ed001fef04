//! The reference: the textbook algorithm, all agents x sorted roles x sorted frameworks, with books of its own.
//!
//! Written for clarity, from the published description of Mesos's allocator, with the types and the release flags of
//! ours: the agents in random order; the first framework in the order of shares whose filters let it takes the whole
//! remainder of the agent; two stages, first what quota guarantees, then everything but the headroom. Where Mesos
//! copies what this language can lend (the available resources, once a pair), it lends: that only makes it faster.
//! Roles are flat, as in the shapes.

use std::collections::{BTreeMap, HashMap};

use proffer_types::{AgentId, FrameworkId, Quota, ResourceName, Resources, Role, TaskId};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::sorter::{Sorter, Total};
use super::subject::{Filter, Offered, Running, Subject};

/// Remainders below both are not worth an offer: a hundredth of a core, 32 MiB; Mesos's defaults.
const MIN_CPU_MILLIS: u64 = 10;
const MIN_MEM_BYTES: u64 = 32 << 20;

#[derive(Debug)]
struct Agent {
    total: Resources,
    claimed: Resources,
    /// `total` without `claimed`.
    available: Resources,
    claims: Vec<ClaimId>,
    /// What each framework refused there, for ever.
    filters: HashMap<FrameworkId, Vec<(Role, Resources)>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ClaimId {
    Offer(usize),
    Task(FrameworkId, TaskId),
}

#[derive(Debug)]
struct Claim {
    agent: AgentId,
    framework: FrameworkId,
    role: Role,
    resources: Resources,
}

/// The quota of one cycle: what roles have, and what is held back for guarantees that are not met.
#[derive(Debug, Default)]
struct Headroom {
    consumed: HashMap<Role, Resources>,
    required: Resources,
    available: Resources,
}

#[derive(Debug)]
pub(super) struct Textbook {
    agents: HashMap<AgentId, Agent>,
    quotas: HashMap<Role, Quota>,
    total: Total,
    allocated: Resources,
    roles: Sorter<Role>,
    sorters: HashMap<Role, Sorter<FrameworkId>>,
    claims: HashMap<ClaimId, Claim>,
    offers: Vec<Offered>,
    /// Agents to look at at once, as something about them changed.
    candidates: Vec<AgentId>,
    n_offers: usize,
    rng: ChaCha8Rng,
}

impl Textbook {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            agents: HashMap::new(),
            quotas: HashMap::new(),
            total: Total::default(),
            allocated: Resources::new(),
            roles: Sorter::new(),
            sorters: HashMap::new(),
            claims: HashMap::new(),
            offers: Vec::new(),
            candidates: Vec::new(),
            n_offers: 0,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    fn allocate(&mut self, mut agents: Vec<AgentId>) {
        let mut headroom = self.headroom();
        agents.shuffle(&mut self.rng);
        for agent in &agents {
            self.offer_guarantees(agent, &mut headroom);
        }
        agents.shuffle(&mut self.rng);
        for agent in &agents {
            self.offer_rest(agent, &mut headroom);
        }
    }

    fn headroom(&self) -> Headroom {
        let mut headroom = Headroom {
            available: self.total.sum.minus(&self.allocated),
            ..Headroom::default()
        };
        for (role, quota) in &self.quotas {
            let consumed = self.roles.allocation(role).cloned().unwrap_or_default();
            headroom.required.add(&quota.guarantee.minus(&consumed));
            headroom.consumed.insert(role.clone(), consumed);
        }
        headroom
    }

    /// The first stage: what roles are guaranteed and do not have, and what else of the agent they may have.
    fn offer_guarantees(&mut self, agent_id: &AgentId, headroom: &mut Headroom) {
        for role in self.roles.sort(&self.total) {
            let Some(quota) = self.quotas.get(&role).filter(|quota| !quota.guarantee.is_empty()) else {
                continue;
            };
            let Some(sorter) = self.sorters.get_mut(&role) else {
                continue;
            };
            if self.agents[agent_id].available.is_empty() {
                break;
            }
            let limit = quota.limit.clone();
            let mut unsatisfied = quota.guarantee.minus(&headroom.consumed[&role]);
            if unsatisfied.is_empty() {
                continue;
            }
            for framework in sorter.sort(&self.total) {
                if unsatisfied.is_empty() {
                    break;
                }
                let available = &self.agents[agent_id].available;
                if !is_allocatable(available) {
                    continue;
                }
                let scalars = scalars_of(&available.plain());
                let guaranteed = shrink(&scalars, &unsatisfied);
                if guaranteed.is_empty() {
                    continue;
                }
                let left = headroom.consumed[&role].plus(&guaranteed);
                let more = within_limit(&scalars.minus(&guaranteed), &limit, &left);
                let more = headroom.cut(more);
                let mut offer = available.minus(&scalars);
                offer.add(&guaranteed);
                offer.add(&more);
                if !is_allocatable(&offer) || self.is_filtered(&framework, &role, agent_id, &offer) {
                    continue;
                }
                let increase = guaranteed.plus(&more);
                unsatisfied.subtract(&increase);
                headroom.required.subtract(&guaranteed);
                headroom.take(&role, &increase);
                self.offer(agent_id, &role, &framework, offer);
            }
        }
    }

    /// The second stage: everything that limits and headroom leave, to the first that takes it.
    fn offer_rest(&mut self, agent_id: &AgentId, headroom: &mut Headroom) {
        for role in self.roles.sort(&self.total) {
            if self.agents[agent_id].available.is_empty() {
                break;
            }
            let limit = self.quotas.get(&role).map(|quota| quota.limit.clone());
            let Some(sorter) = self.sorters.get_mut(&role) else {
                continue;
            };
            for framework in sorter.sort(&self.total) {
                let available = &self.agents[agent_id].available;
                if available.is_empty() {
                    break;
                }
                if !is_allocatable(available) {
                    continue;
                }
                let mut cut = None;
                if limit.is_some() || !headroom.required.is_empty() {
                    let scalars = scalars_of(&available.plain());
                    let mut rest = available.minus(&scalars);
                    let within = match &limit {
                        Some(limit) => within_limit(&scalars, limit, &headroom.consumed[&role]),
                        None => scalars,
                    };
                    rest.add(&headroom.cut(within));
                    cut = Some(rest);
                }
                let offer = cut.as_ref().unwrap_or(available);
                if !is_allocatable(offer) || self.is_filtered(&framework, &role, agent_id, offer) {
                    continue;
                }
                let offer = offer.clone();
                headroom.take(&role, &scalars_of(&offer));
                self.offer(agent_id, &role, &framework, offer);
            }
        }
    }

    fn is_filtered(&self, framework: &FrameworkId, role: &Role, agent: &AgentId, offer: &Resources) -> bool {
        // Equal is the usual case, and quicker to find out than contained.
        let refuses = |refused: &Resources| refused == offer || refused.contains(offer);
        self.agents[agent].filters.get(framework).is_some_and(|filters| {
            let mut filters = filters.iter();
            filters.any(|(of, refused)| of == role && refuses(refused))
        })
    }

    fn offer(&mut self, agent: &AgentId, role: &Role, framework: &FrameworkId, resources: Resources) {
        let id = self.n_offers;
        self.n_offers += 1;
        let claim = Claim {
            agent: agent.clone(),
            framework: framework.clone(),
            role: role.clone(),
            resources: resources.clone(),
        };
        self.claim(ClaimId::Offer(id), claim);
        self.offers.push(Offered {
            id,
            framework: framework.clone(),
            role: role.clone(),
            agent: agent.clone(),
            resources,
        });
    }

    fn claim(&mut self, id: ClaimId, claim: Claim) {
        let scalars = scalars_of(&claim.resources);
        if let Some(agent) = self.agents.get_mut(&claim.agent) {
            agent.claimed.add(&claim.resources);
            agent.available.subtract(&claim.resources);
            agent.claims.push(id.clone());
        }
        self.allocated.add(&scalars);
        self.roles.allocated(&claim.role, &scalars, &self.total);
        if let Some(sorter) = self.sorters.get_mut(&claim.role) {
            sorter.allocated(&claim.framework, &scalars, &self.total);
        }
        self.claims.insert(id, claim);
    }

    fn release(&mut self, id: &ClaimId) {
        let Some(claim) = self.claims.remove(id) else {
            return;
        };
        let scalars = scalars_of(&claim.resources);
        if let Some(agent) = self.agents.get_mut(&claim.agent) {
            agent.claimed.subtract(&claim.resources);
            agent.available.add(&claim.resources);
            agent.claims.retain(|claim| claim != id);
        }
        self.allocated.subtract(&scalars);
        self.roles.unallocated(&claim.role, &scalars);
        if let Some(sorter) = self.sorters.get_mut(&claim.role) {
            sorter.unallocated(&claim.framework, &scalars);
        }
    }

    fn run(&mut self, agent: &AgentId, task: &Running) {
        let claim = Claim {
            agent: agent.clone(),
            framework: task.framework.clone(),
            role: task.role.clone(),
            resources: task.resources.clone(),
        };
        self.claim(ClaimId::Task(task.framework.clone(), task.task.clone()), claim);
    }
}

impl Headroom {
    /// What of these scalars may go without touching what guarantees need.
    fn cut(&self, scalars: Resources) -> Resources {
        if self.required.is_empty() {
            return scalars;
        }
        shrink(&scalars, &self.available.minus(&self.required))
    }

    fn take(&mut self, role: &Role, scalars: &Resources) {
        if let Some(consumed) = self.consumed.get_mut(role) {
            consumed.add(scalars);
        }
        self.available.subtract(scalars);
    }
}

fn is_allocatable(resources: &Resources) -> bool {
    resources.cpu_millis() >= MIN_CPU_MILLIS || resources.mem_bytes() >= MIN_MEM_BYTES
}

/// All scalars, of every kind: what shares are counted in.
fn scalars_of(resources: &Resources) -> Resources {
    let scalars = resources.scalars();
    scalars.fold(Resources::new(), |sum, (name, units)| {
        sum.with(name.clone(), units)
    })
}

/// The scalars cut to a bound; what the bound does not name is left out.
fn shrink(scalars: &Resources, bound: &Resources) -> Resources {
    let all = scalars.scalars();
    all.fold(Resources::new(), |sum, (name, units)| {
        sum.with(name.clone(), units.min(bound.scalar(name)))
    })
}

fn within_limit(scalars: &Resources, limit: &BTreeMap<ResourceName, u64>, consumed: &Resources) -> Resources {
    let all = scalars.scalars();
    all.fold(Resources::new(), |sum, (name, units)| {
        let left = limit
            .get(name)
            .map_or(u64::MAX, |limit| limit.saturating_sub(consumed.scalar(name)));
        sum.with(name.clone(), units.min(left))
    })
}

impl Subject for Textbook {
    fn add_framework(&mut self, framework: &FrameworkId, role: &Role) {
        self.roles.add(role);
        let sorter = self.sorters.entry(role.clone()).or_insert_with(Sorter::new);
        sorter.add(framework);
    }

    fn suppress(&mut self, framework: &FrameworkId, role: &Role) {
        if let Some(sorter) = self.sorters.get_mut(role) {
            sorter.deactivate(framework);
        }
    }

    /// The textbook knows of no demand.
    fn demand(&mut self, _framework: &FrameworkId, _role: &Role, _one: &Resources, _count: u64) {}

    fn set_quota(&mut self, role: &Role, quota: &Quota) {
        self.quotas.insert(role.clone(), quota.clone());
    }

    fn add_agent(&mut self, agent: &AgentId, total: &Resources, running: &[Running]) {
        let entry = Agent {
            total: total.clone(),
            claimed: Resources::new(),
            available: total.clone(),
            claims: Vec::new(),
            filters: HashMap::new(),
        };
        self.agents.insert(agent.clone(), entry);
        self.total.sum.add(&scalars_of(total));
        self.total.version += 1;
        for task in running {
            self.run(agent, task);
        }
        self.candidates.push(agent.clone());
    }

    fn update_agent(&mut self, agent: &AgentId, total: &Resources) {
        if let Some(entry) = self.agents.get_mut(agent) {
            self.total.sum.subtract(&scalars_of(&entry.total));
            self.total.sum.add(&scalars_of(total));
            self.total.version += 1;
            entry.total = total.clone();
            entry.available = total.minus(&entry.claimed);
            self.candidates.push(agent.clone());
        }
    }

    fn remove_agent(&mut self, agent: &AgentId) {
        let Some(entry) = self.agents.get(agent) else {
            return;
        };
        self.total.sum.subtract(&scalars_of(&entry.total));
        self.total.version += 1;
        for claim in entry.claims.clone() {
            self.release(&claim);
        }
        self.agents.remove(agent);
    }

    fn cycle(&mut self) {
        self.candidates.clear();
        self.allocate(self.agents.keys().cloned().collect());
    }

    fn react(&mut self) {
        let candidates = std::mem::take(&mut self.candidates);
        self.allocate(candidates);
    }

    fn take_offers(&mut self) -> Vec<Offered> {
        std::mem::take(&mut self.offers)
    }

    fn answer(&mut self, offer: &Offered, tasks: &[Running], filter: Filter) {
        self.release(&ClaimId::Offer(offer.id));
        for task in tasks {
            self.run(&offer.agent, task);
        }
        if filter == Filter::ForEver
            && let Some(agent) = self.agents.get_mut(&offer.agent)
        {
            let filters = agent.filters.entry(offer.framework.clone()).or_default();
            filters.push((offer.role.clone(), offer.resources.clone()));
        }
    }

    fn end_task(&mut self, _agent: &AgentId, task: &Running) {
        self.release(&ClaimId::Task(task.framework.clone(), task.task.clone()));
    }
}
