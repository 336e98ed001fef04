//! Which offer a replica starts on.
//!
//! Of the offers that fit, the agent with the fewest replicas of the service goes first, so that the loss of one
//! agent costs few of them. What is not used is left to the session to decline.

use std::collections::{BTreeMap, BTreeSet};

use proffer_session::Context;
use proffer_types::resources::format::format_scalar;
use proffer_types::{AgentId, Filters, Offer, ResourceName, Resources, TaskInfo};

use crate::service::Service;

/// The most bytes of command and environment in one accept: half of what a frame may hold.
const MAX_ACCEPT_BYTES: usize = 512 << 10;
/// What the rest of a task takes in a message: ids, names, resources.
const TASK_OVERHEAD_BYTES: usize = 1 << 10;

/// What was left of the latest offers in a service's role, none of which was enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PassedOver {
    pub(crate) n_offers: usize,
    /// Of the offer that lacked the fewest kinds of resources: its host, and what it lacked.
    pub(crate) hostname: String,
    pub(crate) lacked: String,
}

/// An offer, what is left of it, and what starts on it.
struct Candidate {
    offer: Offer,
    left: Resources,
    tasks: Vec<TaskInfo>,
    bytes: usize,
}

impl Candidate {
    fn take(&mut self, task: TaskInfo, bytes: usize) {
        self.left.subtract(&task.resources);
        self.bytes += bytes;
        self.tasks.push(task);
    }

    fn is_full(&self, bytes: usize) -> bool {
        self.bytes + bytes > MAX_ACCEPT_BYTES
    }
}

/// Starts what waits on what is offered.
pub(crate) fn place(services: &mut BTreeMap<String, Service>, offers: Vec<Offer>, cx: &mut Context<'_>) {
    let mut candidates: Vec<_> = offers
        .into_iter()
        .map(|offer| Candidate {
            left: offer.resources.clone(),
            offer,
            tasks: Vec::new(),
            bytes: 0,
        })
        .collect();
    let mut cut_short = false;
    for service in services.values_mut() {
        cut_short |= place_service(service, &mut candidates, cx);
    }
    // What a full message left over is wanted again at once.
    let filters = if cut_short {
        Filters::NONE
    } else {
        Filters::DEFAULT
    };
    for Candidate { offer, tasks, .. } in candidates {
        if !tasks.is_empty() {
            cx.launch(&offer, tasks, filters.clone());
        } else if cut_short {
            cx.decline(&offer, Filters::NONE.refuse);
        }
    }
}

/// Places one service; tells whether a message was full before everything fitting was placed.
fn place_service(service: &mut Service, candidates: &mut [Candidate], cx: &mut Context<'_>) -> bool {
    if service.index.waiting.is_empty() {
        return false;
    }
    let bytes = service.spec.task.container_bytes() + TASK_OVERHEAD_BYTES;
    let mut cut_short = false;
    let mut order = spread(service, candidates);
    let n_offers = order.len();
    while let Some((n_replicas, at)) = order.pop_first() {
        let candidate = &mut candidates[at];
        if !candidate.left.contains(&service.spec.task.resources) {
            continue;
        }
        if candidate.is_full(bytes) {
            cut_short = true;
            continue;
        }
        let Some(task) = service.start_next(&candidate.offer.agent_id, cx) else {
            break;
        };
        candidate.take(task, bytes);
        order.insert((n_replicas + 1, at));
    }
    if n_offers > 0 {
        let short = !cut_short && !service.index.waiting.is_empty();
        service.passed_over = if short {
            passed_over(service, candidates)
        } else {
            None
        };
    }
    cut_short
}

/// The offers in the service's role, by how many of its replicas their agent has.
fn spread(service: &Service, candidates: &[Candidate]) -> BTreeSet<(usize, usize)> {
    let mut n_replicas: BTreeMap<&AgentId, usize> = BTreeMap::new();
    for replica in service.replicas.values().filter(|replica| replica.has_task()) {
        if let Some(agent_id) = &replica.agent_id {
            *n_replicas.entry(agent_id).or_default() += 1;
        }
    }
    let in_role = |candidate: &Candidate| candidate.offer.role == service.spec.role;
    candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| in_role(candidate))
        .map(|(at, candidate)| {
            let n_replicas = n_replicas.get(&candidate.offer.agent_id);
            (n_replicas.copied().unwrap_or(0), at)
        })
        .collect()
}

fn passed_over(service: &Service, candidates: &[Candidate]) -> Option<PassedOver> {
    let request = &service.spec.task.resources;
    let in_role = || {
        candidates
            .iter()
            .filter(|candidate| candidate.offer.role == service.spec.role)
    };
    let nearest = in_role().min_by_key(|candidate| lacking(request, &candidate.left).len())?;
    Some(PassedOver {
        n_offers: in_role().count(),
        hostname: nearest.offer.hostname.clone(),
        lacked: lacking(request, &nearest.left).join(" and "),
    })
}

fn lacking(request: &Resources, left: &Resources) -> Vec<String> {
    let scalars = request
        .scalars()
        .filter(|(name, units)| left.scalar(name) < *units)
        .map(|(name, units)| {
            let has = format_scalar(name, left.scalar(name));
            format!("{name} ({has} of {})", format_scalar(name, units))
        });
    let ranges = request
        .all_ranges()
        .filter(|(name, ranges)| !left.ranges(name).is_some_and(|own| own.contains(ranges)))
        .map(|(name, _): (&ResourceName, _)| name.to_string());
    scalars.chain(ranges).collect()
}
