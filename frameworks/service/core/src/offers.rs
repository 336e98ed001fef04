//! Which offer a replica starts on.
//!
//! An offer goes to what it was made for. On what is left of it whatever fits may start: of the offers that fit, the
//! agent with the fewest replicas of the service goes first, so that the loss of one agent costs few of them. What is
//! not used is declined without a filter: the demand that follows says what is wanted instead. An agent with a maintenance
//! window soon is declined for a while.

use std::collections::{BTreeMap, BTreeSet};

use proffer_session::Context;
use proffer_types::{AgentId, Filters, Offer, Resources, TaskInfo};
use proffer_wire::container::encoded_bytes;

use crate::leaving::{REFUSAL, is_closing};
use crate::service::Service;

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

    /// Starts one replica of a service, if one waits and there is room for it.
    fn start(&mut self, service: &mut Service, cx: &mut Context<'_>) -> bool {
        let bytes = self.bytes + encoded_bytes(&service.spec.task.container) + TASK_OVERHEAD_BYTES;
        let taken = service.spec.task.pick(&self.left);
        let Some(taken) = taken.filter(|_| bytes <= MAX_ACCEPT_BYTES) else {
            return false;
        };
        let Some(task) = service.start_next(&self.offer.agent_id, taken, cx) else {
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
        place_rest(service, &mut candidates, cx);
    }
    for Candidate { offer, tasks, .. } in candidates {
        if tasks.is_empty() {
            cx.decline(&offer, Filters::NONE.refuse);
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
    let mut by_number: BTreeMap<_, _> = services
        .values_mut()
        .map(|service| (service.number, service))
        .collect();
    for candidate in candidates {
        for (shape, n) in candidate.offer.shapes.clone() {
            let service = by_number.get_mut(&shape.0);
            let in_role = service.filter(|service| service.spec.role == candidate.offer.role);
            if let Some(service) = in_role {
                let _ = (0..n).take_while(|_| candidate.start(service, cx)).count();
            }
        }
    }
}

/// Starts what waits of one service on what is left of the offers, where it may run.
fn place_rest(service: &mut Service, candidates: &mut [Candidate], cx: &mut Context<'_>) {
    let left = candidates.iter().any(|candidate| !candidate.left.is_empty());
    if service.index.waiting.is_empty() || !left {
        return;
    }
    let most = service.spec.task.rules.max_per_agent.unwrap_or(u32::MAX) as usize;
    let mut order = spread(service, candidates);
    while let Some((n_replicas, at)) = order.pop_first() {
        if n_replicas < most && candidates[at].start(service, cx) {
            order.insert((n_replicas + 1, at));
        }
    }
}

/// The offers a service may use, by how many of its replicas their agent has.
fn spread(service: &Service, candidates: &[Candidate]) -> BTreeSet<(usize, usize)> {
    let mut n_replicas: BTreeMap<&AgentId, usize> = BTreeMap::new();
    for replica in service.replicas.values().filter(|replica| replica.has_task()) {
        if let Some(agent_id) = &replica.agent_id {
            *n_replicas.entry(agent_id).or_default() += 1;
        }
    }
    let constraints = &service.spec.task.rules.constraints;
    let may_run = |offer: &Offer| offer.role == service.spec.role && offer.meets(constraints);
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
