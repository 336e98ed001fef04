//! Which offer a replica starts on.
//!
//! An offer goes to what it was made for. On what is left of it whatever fits may start: of the offers that fit, the
//! agent with the fewest replicas of the version goes first, so that the loss of one agent costs few of them. What is
//! not used is declined without a filter: the demand that follows says what is wanted instead. An agent with a maintenance
//! window soon is declined for a while.

use std::collections::{BTreeMap, BTreeSet};

use proffer_session::Context;
use proffer_types::{AgentId, AgentInfo, Filters, Offer, OfferConstraints, Resources, ShapeId, TaskInfo};
use proffer_wire::container::encoded_bytes;

use crate::configs::Configs;
use crate::leaving::{REFUSAL, is_closing};
use crate::neighbours::{Avoided, Neighbours};
use crate::service::Service;
use crate::services::Cluster;
use crate::slot::Slot;
use crate::version::Version;
use crate::wishes::Wish;

/// The most bytes of command and environment in one accept: half of what a frame may hold.
const MAX_ACCEPT_BYTES: usize = 512 << 10;
/// What the rest of a task takes in a message: ids, names, resources.
const TASK_OVERHEAD_BYTES: usize = 1 << 10;

/// An offer, what is left of it, and what starts on it.
struct Candidate {
    offer: Offer,
    agent: AgentInfo,
    left: Resources,
    tasks: Vec<TaskInfo>,
    bytes: usize,
}

impl Candidate {
    fn new(offer: Offer) -> Self {
        Self {
            left: offer.resources.clone(),
            agent: offer.agent_info(),
            offer,
            tasks: Vec::new(),
            bytes: 0,
        }
    }

    /// Starts one replica of a version, if one waits that may start there and there is room for it.
    fn start(
        &mut self,
        service: &mut Service,
        version: u64,
        rules: &mut Option<Neighbours>,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some(task) = service.versions.get(&version).map(|version| &version.task) else {
            return false;
        };
        let bytes = self.bytes + encoded_bytes(&task.container) + TASK_OVERHEAD_BYTES;
        let taken = task.pick(&self.left);
        let Some(taken) = taken.filter(|_| bytes <= MAX_ACCEPT_BYTES) else {
            return false;
        };
        let id = &self.offer.agent_id;
        let admits = |slot| {
            let rules = rules.as_ref();
            rules.is_none_or(|rules| rules.admit(slot, id, &self.agent))
        };
        let Some(seat) = service.seat(version, id, admits) else {
            return false;
        };
        let Some(task) = service.start_on(&self.offer, seat, version, taken, cx) else {
            return false;
        };
        if let Some(rules) = rules {
            rules.started(seat, id, &self.agent);
        }
        self.left.subtract(&task.resources);
        self.bytes = bytes;
        self.tasks.push(task);
        true
    }
}

/// The rules of versions, as they are looked at for the first time.
struct Rules<'a> {
    cluster: &'a Cluster,
    avoided: Avoided,
    known: BTreeMap<(String, u64), Option<Neighbours>>,
}

impl Rules<'_> {
    /// Those of a version, until they are [put back](Self::put).
    fn take(&mut self, services: &BTreeMap<String, Service>, name: &str, version: u64) -> Option<Neighbours> {
        if let Some(known) = self.known.remove(&(name.to_owned(), version)) {
            return known;
        }
        let service = services.get(name)?;
        self.avoided.neighbours(services, self.cluster, service, version)
    }

    /// Back, after so many starts: what these changed for others is looked at anew.
    fn put(&mut self, name: &str, version: u64, rules: Option<Neighbours>, n_started: usize) {
        if n_started > 0 {
            self.known.retain(|(other, _), rules| {
                let looks_at = |rules: &Neighbours| other == name || rules.look_at(name);
                !rules.as_ref().is_some_and(looks_at)
            });
        }
        self.known.insert((name.to_owned(), version), rules);
    }
}

/// Starts what waits on what is offered.
pub(crate) fn place(
    services: &mut BTreeMap<String, Service>,
    cluster: &Cluster,
    configs: &Configs,
    offers: Vec<Offer>,
    cx: &mut Context<'_>,
) {
    let now = cx.now();
    let (closing, open): (Vec<_>, Vec<_>) = offers.into_iter().partition(|offer| is_closing(offer, now));
    for offer in closing {
        cx.decline(&offer, REFUSAL);
    }
    let mut candidates: Vec<_> = open.into_iter().map(Candidate::new).collect();
    let mut rules = Rules {
        cluster,
        avoided: Avoided::of(services),
        known: BTreeMap::new(),
    };
    place_shapes(services, &mut rules, &mut candidates, cx);
    let waiting = services
        .iter()
        .map(|(name, service)| (name.clone(), service.waiting_versions()));
    for (name, versions) in waiting.collect::<Vec<_>>() {
        for version in versions {
            let mut own = rules.take(services, &name, version);
            let service = services.get_mut(&name);
            let n = service.map_or(0, |service| {
                place_rest(service, version, &mut own, &mut candidates, cx)
            });
            rules.put(&name, version, own, n);
        }
    }
    for mut candidate in candidates {
        candidate.tasks.iter_mut().for_each(|task| configs.allow(task));
        if candidate.tasks.is_empty() {
            let refuse = match is_refused(services, &rules, &candidate) {
                true => REFUSAL,
                false => Filters::NONE.refuse,
            };
            cx.decline(&candidate.offer, refuse);
        } else {
            cx.launch(&candidate.offer, candidate.tasks, Filters::NONE);
        }
    }
}

/// Whether nothing can start there for a while of what it was offered for, and it would be offered again at once: another
/// agent has its turn. It may pause there, or its rules forbid it in a way that constraints do not say.
fn is_refused(services: &BTreeMap<String, Service>, rules: &Rules<'_>, candidate: &Candidate) -> bool {
    let Candidate { offer, agent, .. } = candidate;
    let pauses = || {
        let mut services = services.values();
        services.any(|service| service.pauses_on(&offer.agent_id))
    };
    let offered: BTreeSet<_> = offer.shapes.iter().map(|(shape, _)| *shape).collect();
    let mut asking = services
        .values()
        .filter(|service| offered.iter().any(|shape| service.knows(*shape)));
    let would_be = |wish: Wish| {
        let steering = wish.steering.filter(|_| offered.contains(&wish.shape));
        steering.is_some_and(|steering| {
            steering.most > 0 && OfferConstraints::all_of(steering.constraints).hold(agent)
        })
    };
    pauses()
        || asking.any(|service| {
            let own = |version| {
                rules
                    .avoided
                    .neighbours(services, rules.cluster, service, version)
            };
            service
                .wishes(u32::MAX, own, rules.cluster)
                .into_iter()
                .any(would_be)
        })
}

/// Starts what the offers were made for, as far as it still waits.
fn place_shapes(
    services: &mut BTreeMap<String, Service>,
    rules: &mut Rules<'_>,
    candidates: &mut [Candidate],
    cx: &mut Context<'_>,
) {
    let mut by_shape: BTreeMap<ShapeId, (String, u64)> = BTreeMap::new();
    for service in services.values() {
        let shapes = service.wanted_shapes().into_iter();
        by_shape.extend(shapes.map(|(shape, version)| (shape, (service.spec.name.clone(), version))));
    }
    for candidate in candidates {
        for (shape, n) in candidate.offer.shapes.clone() {
            let Some((name, number)) = by_shape.get(&shape) else {
                continue;
            };
            let mut own = rules.take(services, name, *number);
            let service = services.get_mut(name);
            let in_role = |service: &&mut Service| {
                let version = service.versions.get(number);
                version.is_some_and(|version| version.role == candidate.offer.role)
            };
            let n_started = service.filter(in_role).map_or(0, |service| {
                (0..n)
                    .take_while(|_| candidate.start(service, *number, &mut own, cx))
                    .count()
            });
            rules.put(name, *number, own, n_started);
        }
    }
}

/// Starts what waits of one version on what is left of the offers, where it may run; tells how many.
fn place_rest(
    service: &mut Service,
    version: u64,
    rules: &mut Option<Neighbours>,
    candidates: &mut [Candidate],
    cx: &mut Context<'_>,
) -> usize {
    let left = candidates.iter().any(|candidate| !candidate.left.is_empty());
    let Some(known) = service.versions.get(&version).filter(|_| left) else {
        return 0;
    };
    let most = known.task.rules.max_per_agent.unwrap_or(u32::MAX) as usize;
    let mut order = spread(service, known, candidates);
    let mut n_started = 0;
    while let Some((n_replicas, at)) = order.pop_first() {
        if n_replicas < most && candidates[at].start(service, version, rules, cx) {
            n_started += 1;
            order.insert((n_replicas + 1, at));
        }
    }
    n_started
}

/// The offers a version may use, by how many of its replicas their agent has.
fn spread(service: &Service, version: &Version, candidates: &[Candidate]) -> BTreeSet<(usize, usize)> {
    let mut n_replicas: BTreeMap<&AgentId, usize> = BTreeMap::new();
    let instances = service.slots.values().flat_map(Slot::instances);
    for (_, instance) in instances.filter(|(_, instance)| instance.has_task()) {
        if let Some(agent_id) = instance
            .agent_id
            .as_ref()
            .filter(|_| instance.version == version.number)
        {
            *n_replicas.entry(agent_id).or_default() += 1;
        }
    }
    let constraints = &version.task.rules.constraints;
    let may_run = |offer: &Offer| offer.role == version.role && offer.meets(constraints);
    candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| may_run(&candidate.offer))
        .map(|(at, candidate)| {
            let n_replicas = n_replicas.get(&candidate.offer.agent_id);
            (n_replicas.copied().unwrap_or(0), at)
        })
        .collect()
}
