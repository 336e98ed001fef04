//! Which offer a replica starts on.
//!
//! An offer goes to what it was made for. On what is left of it whatever fits may start: of the offers that fit, the
//! agent with the fewest replicas of the version goes first, so that the loss of one agent costs few of them. What is
//! not used is declined without a filter: the demand that follows says what is wanted instead. An agent with a maintenance
//! window soon is declined for a while.

use std::collections::{BTreeMap, BTreeSet};

use proffer_session::Context;
use proffer_types::{AgentId, Filters, Offer, Resources, ShapeId, TaskInfo};
use proffer_wire::container::encoded_bytes;

use crate::leaving::{REFUSAL, is_closing};
use crate::service::Service;
use crate::slot::Slot;
use crate::version::Version;

/// The most bytes of command and environment in one accept: half of what a frame may hold.
const MAX_ACCEPT_BYTES: usize = 512 << 10;
/// What the rest of a task takes in a message: ids, names, resources.
const TASK_OVERHEAD_BYTES: usize = 1 << 10;

/// An offer, what is left of it, and what starts on it.
struct Candidate {
    offer: Offer,
    left: Resources,
    tasks: Vec<TaskInfo>,
    bytes: usize,
}

impl Candidate {
    fn new(offer: Offer) -> Self {
        Self {
            left: offer.resources.clone(),
            offer,
            tasks: Vec::new(),
            bytes: 0,
        }
    }

    /// Starts one replica of a version, if one waits and there is room for it.
    fn start(&mut self, service: &mut Service, version: u64, cx: &mut Context<'_>) -> bool {
        let Some(task) = service.versions.get(&version).map(|version| &version.task) else {
            return false;
        };
        let bytes = self.bytes + encoded_bytes(&task.container) + TASK_OVERHEAD_BYTES;
        let taken = task.pick(&self.left);
        let Some(taken) = taken.filter(|_| bytes <= MAX_ACCEPT_BYTES) else {
            return false;
        };
        let Some(task) = service.start_on(&self.offer, version, taken, cx) else {
            return false;
        };
        self.left.subtract(&task.resources);
        self.bytes = bytes;
        self.tasks.push(task);
        true
    }
}

/// Starts what waits on what is offered.
pub(crate) fn place(services: &mut BTreeMap<String, Service>, offers: Vec<Offer>, cx: &mut Context<'_>) {
    let now = cx.now();
    let (closing, open): (Vec<_>, Vec<_>) = offers.into_iter().partition(|offer| is_closing(offer, now));
    for offer in closing {
        cx.decline(&offer, REFUSAL);
    }
    let mut candidates: Vec<_> = open.into_iter().map(Candidate::new).collect();
    place_shapes(services, &mut candidates, cx);
    for service in services.values_mut() {
        let wishes = service.wishes(u32::MAX).into_iter();
        let versions: BTreeSet<_> = wishes.map(|wish| wish.version).collect();
        for version in versions {
            place_rest(service, version, &mut candidates, cx);
        }
    }
    for Candidate { offer, tasks, .. } in candidates {
        if tasks.is_empty() {
            // What an agent was offered for may pause there: another one has its turn.
            let pauses = services
                .values()
                .any(|service| service.pauses_on(&offer.agent_id));
            cx.decline(&offer, if pauses { REFUSAL } else { Filters::NONE.refuse });
        } else {
            cx.launch(&offer, tasks, Filters::NONE);
        }
    }
}

/// Starts what the offers were made for, as far as it still waits.
fn place_shapes(
    services: &mut BTreeMap<String, Service>,
    candidates: &mut [Candidate],
    cx: &mut Context<'_>,
) {
    let mut by_shape: BTreeMap<ShapeId, (String, u64)> = BTreeMap::new();
    for service in services.values() {
        let wishes = service.wishes(u32::MAX).into_iter();
        by_shape.extend(wishes.map(|wish| (wish.shape, (service.spec.name.clone(), wish.version))));
    }
    for candidate in candidates {
        for (shape, n) in candidate.offer.shapes.clone() {
            let Some((name, number)) = by_shape.get(&shape) else {
                continue;
            };
            let service = services.get_mut(name);
            let in_role = |service: &&mut Service| {
                let version = service.versions.get(number);
                version.is_some_and(|version| version.role == candidate.offer.role)
            };
            if let Some(service) = service.filter(in_role) {
                let _ = (0..n)
                    .take_while(|_| candidate.start(service, *number, cx))
                    .count();
            }
        }
    }
}

/// Starts what waits of one version on what is left of the offers, where it may run.
fn place_rest(service: &mut Service, version: u64, candidates: &mut [Candidate], cx: &mut Context<'_>) {
    let left = candidates.iter().any(|candidate| !candidate.left.is_empty());
    let Some(known) = service.versions.get(&version).filter(|_| left) else {
        return;
    };
    let most = known.task.rules.max_per_agent.unwrap_or(u32::MAX) as usize;
    let mut order = spread(service, known, candidates);
    while let Some((n_replicas, at)) = order.pop_first() {
        if n_replicas < most && candidates[at].start(service, version, cx) {
            order.insert((n_replicas + 1, at));
        }
    }
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
