//! Why replicas are not running, in sentences for a person, most important first.

use proffer_types::{TaskStatus, Timestamp};

use crate::deployment::{Deployment, Ending, Failure};
use crate::instance::CRASH_LOOP;
use crate::leaving::LEAVE_BEFORE;
use crate::losses::{AGENTS_A_MINUTE, ONE_AGENT_OF};
use crate::neighbours::Avoided;
use crate::service::Service;
use crate::services::{Cluster, Services};
use crate::slot::Slot;
use crate::spec::{Mode, is_amounts, unplaceable};
use crate::wishes::Wish;

/// So many kinds of waiting replicas are explained: of more, the rest says nothing new.
const MAX_WISHES: usize = 16;

pub(crate) fn explain(services: &Services, service: &Service, now: Timestamp) -> Vec<String> {
    let cluster = &services.cluster;
    let mut reasons = vec![summary(service)];
    let avoided = Avoided::of(&services.services);
    let wishes = services.wishes(service, cluster.n_agents, &avoided);
    for wish in wishes.iter().take(MAX_WISHES) {
        reasons.extend(waiting(service, wish, cluster));
        let rules = avoided.neighbours(&services.services, cluster, service, wish.version);
        reasons.extend(rules.iter().flat_map(|rules| rules.explain(wish.slot)));
    }
    if !wishes.is_empty() {
        reasons.extend(closing(cluster, now));
    }
    reasons.extend(losing(service, cluster, now));
    reasons.extend(backing_off(service, now));
    reasons.extend(deployment(service));
    reasons.extend(moving(service));
    reasons
}

fn summary(service: &Service) -> String {
    let name = &service.spec.name;
    if service.deleting {
        let n_tasks = service.slots.values().filter(|slot| slot.has_task()).count();
        return format!("service `{name}` is being deleted; replicas still to end: {n_tasks}");
    }
    let n_wanted = service.n_wanted();
    let n_running = service.slots.values().filter(|slot| slot.is_running()).count();
    let n_serving = service.index.serving.len();
    let serving = match n_running == n_serving {
        true => String::new(),
        false => format!(", {n_serving} of them healthy and ready"),
    };
    format!("service `{name}` has {n_running} of {n_wanted} replicas running{serving}")
}

fn waiting(service: &Service, wish: &Wish, cluster: &Cluster) -> Vec<String> {
    let Some(version) = service.versions.get(&wish.version) else {
        return Vec::new();
    };
    let request = &version.task.resources;
    let constraints = &version.task.rules.constraints;
    let place = match constraints.is_empty() {
        true => String::new(),
        false => format!(" where {constraints}"),
    };
    let n_waiting = wish.n;
    let mut reasons = vec![match (service.spec.mode, &wish.agent) {
        (Mode::Daemon, None) => {
            format!(
                "agents that do not run it, as they do not match or have no room for {request}{place}: {n_waiting}"
            )
        }
        (Mode::Daemon | Mode::Replicated, Some(agent)) => {
            format!("a successor on agent {agent} waits for an offer of {request}")
        }
        (Mode::Replicated, None) if wish.slot.is_some() => {
            let slot = wish.slot.unwrap_or_default();
            format!("replica {slot} waits for an offer of {request}{place}, beside its other task")
        }
        (Mode::Replicated, None) => format!("replicas waiting for an offer of {request}{place}: {n_waiting}"),
    }];
    if !cluster.connected {
        reasons.push("the framework is not connected to a master".to_owned());
    } else if cluster.n_agents == 0 {
        reasons.push("the cluster has no agents".to_owned());
    } else if let Some((asked, agent)) = unplaceable(request, &cluster.largest) {
        reasons.push(format!("it asks for {asked}, and the largest agent has {agent}"));
    } else if !is_amounts(request) {
        reasons.push("only amounts can be asked for, and it asks for more; apply it without".to_owned());
    } else if let Some(most) = too_few_agents(service, cluster) {
        reasons.push(format!(
            "with as many on one agent as it allows, the agents there are hold {most} at most"
        ));
    }
    reasons
}

/// The agents that are not used, as they would have to be left soon.
fn closing(cluster: &Cluster, now: Timestamp) -> Option<String> {
    let n = cluster.leaving.n_closing(now);
    let minutes = LEAVE_BEFORE.as_secs() / 60;
    (n > 0).then(|| {
        format!("agents where no replica starts, as a maintenance window begins there within {minutes} minutes: {n}")
    })
}

/// How many replicas there can be, when the agents are too few for all of them by the service's own rule.
fn too_few_agents(service: &Service, cluster: &Cluster) -> Option<u32> {
    let max = service.spec.task.rules.max_per_agent?;
    let most = max.saturating_mul(cluster.n_agents);
    (most < service.spec.replicas).then_some(most)
}

fn losing(service: &Service, cluster: &Cluster, now: Timestamp) -> Option<String> {
    let given_up_at = |since: Timestamp| since.after(service.spec.lost_after());
    let n = cluster.losses.n_waiting(&service.spec.name, given_up_at, now);
    (n > 0).then(|| {
        format!(
            "agents with replicas that are away, and wait for their turn: {n}; {AGENTS_A_MINUTE} agents are given up in a \
             minute, or one of {ONE_AGENT_OF}"
        )
    })
}

fn backing_off(service: &Service, now: Timestamp) -> Option<String> {
    let backing_off = &service.index.backing_off;
    let mut turns = service.index.turns.iter();
    let (until, slot, place) = turns.find(|(_, slot, place)| backing_off.contains(&(*slot, *place)))?;
    let instance = service.slots.get(slot)?.at(*place)?;
    let crash_loop = match instance.n_failures >= CRASH_LOOP {
        true => " (a crash loop)",
        false => "",
    };
    Some(format!(
        "replicas backing off after quick failures: {}; replica {slot} starts again in {:?} after {} in a row{crash_loop}, the latest {}",
        backing_off.len(),
        until.since(now),
        instance.n_failures,
        instance
            .status
            .as_ref()
            .map_or_else(|| "unknown".to_owned(), ending),
    ))
}

pub(crate) fn ending(status: &TaskStatus) -> String {
    let mut text = status.state.as_str().to_owned();
    if let Some(reason) = status.reason {
        text.push_str(&format!(" ({})", reason.as_str()));
    }
    if !status.message.is_empty() {
        text.push_str(&format!(": {}", status.message));
    }
    text
}

/// What the deployment is at, what holds it up, or how it failed.
fn deployment(service: &Service) -> Vec<String> {
    let Some(deployment) = service.deployment.as_ref().filter(|_| !service.deleting) else {
        return Vec::new();
    };
    let to = deployment.to;
    let mut reasons = Vec::new();
    if let Some(Failure { version, why }) = &deployment.rolls_back {
        reasons.push(format!(
            "version {version} failed, and was taken back to version {to}: {why}"
        ));
    }
    match &deployment.ended {
        Some(Ending {
            failed: Some(why), ..
        }) => reasons.push(format!("the deployment of version {to} failed: {why}")),
        Some(Ending { failed: None, .. }) => {}
        None => reasons.push(under_way(service, deployment)),
    }
    reasons
}

fn under_way(service: &Service, deployment: &Deployment) -> String {
    let (to, n_wanted) = (deployment.to, service.n_wanted());
    let n_fresh = service.index.fresh.len();
    let n_left = service.index.outdated.len() + service.index.stale.len();
    let mut text = format!("version {to} is available in {n_fresh} of {n_wanted} replicas");
    if n_left > 0 {
        text.push_str(&format!(", replicas of other versions to be replaced: {n_left}"));
    }
    if deployment.paused {
        text.push_str("; paused, until it is resumed");
    } else if service.awaits_promotion() {
        text.push_str("; waits to be promoted");
    } else if let Some(blocker) = service.blocker() {
        text.push_str(&format!("; {blocker}"));
    }
    text
}

/// The replicas that are leaving their agents.
fn moving(service: &Service) -> Option<String> {
    let is_move = |slot: &&Slot| {
        let next = slot.next.as_ref();
        next.is_some_and(|next| next.version == slot.task.version)
    };
    let mut moving = service.slots.values().filter(is_move).map(|slot| slot.number);
    let first = moving.next()?;
    let n_more = moving.count();
    Some(format!(
        "replica {first} is being moved to another agent, and {n_more} more"
    ))
}
