//! Why replicas are not running, in sentences for a person, most important first.

use proffer_types::{TaskStatus, Timestamp};

use crate::leaving::LEAVE_BEFORE;
use crate::losses::{AGENTS_A_MINUTE, ONE_AGENT_OF};
use crate::replica::{Phase, Replica};
use crate::service::Service;
use crate::services::Cluster;
use crate::spec::{is_amounts, unplaceable};

pub(crate) fn explain(service: &Service, cluster: &Cluster, now: Timestamp) -> Vec<String> {
    let mut reasons = vec![summary(service)];
    if !service.index.waiting.is_empty() {
        reasons.extend(waiting(service, cluster));
        reasons.extend(closing(cluster, now));
    }
    reasons.extend(losing(service, cluster, now));
    reasons.extend(backing_off(service, now));
    reasons.extend(replacing(service));
    reasons
}

fn summary(service: &Service) -> String {
    let name = &service.spec.name;
    let n_tasks = service
        .replicas
        .values()
        .filter(|replica| replica.has_task())
        .count();
    if service.deleting {
        return format!("service `{name}` is being deleted; replicas still to end: {n_tasks}");
    }
    let n_running = service.index.running.len();
    format!(
        "service `{name}` has {n_running} of {} replicas running",
        service.spec.replicas
    )
}

fn waiting(service: &Service, cluster: &Cluster) -> Vec<String> {
    let n_waiting = service.index.waiting.len();
    let request = &service.spec.task.resources;
    let constraints = &service.spec.task.rules.constraints;
    let place = match constraints.is_empty() {
        true => String::new(),
        false => format!(" where {constraints}"),
    };
    let mut reasons = vec![format!(
        "replicas waiting for an offer of {request}{place}: {n_waiting}"
    )];
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
    let (until, slot) = *service.index.backing_off.first()?;
    let replica = service.replicas.get(&slot)?;
    Some(format!(
        "replicas backing off after quick failures: {}; replica {slot} starts again in {:?} after {} in a row, the latest {}",
        service.index.backing_off.len(),
        until.since(now),
        replica.n_failures,
        replica
            .status
            .as_ref()
            .map_or_else(|| "unknown".to_owned(), ending),
    ))
}

fn ending(status: &TaskStatus) -> String {
    let mut text = status.state.as_str().to_owned();
    if let Some(reason) = status.reason {
        text.push_str(&format!(" ({})", reason.as_str()));
    }
    if !status.message.is_empty() {
        text.push_str(&format!(": {}", status.message));
    }
    text
}

fn replacing(service: &Service) -> Option<String> {
    let left = service.index.outdated.len() + service.index.stale.len();
    let slot = service.replicas.values().find(|replica| replica.replacing);
    if left == 0 && slot.is_none() {
        return None;
    }
    let now = match slot.map(|replica| (replica.slot, doing(replica))) {
        Some((slot, doing)) => format!("; replica {slot} is being replaced and {doing}"),
        None => String::new(),
    };
    let version = service.version;
    Some(format!(
        "replicas still to be replaced by version {version}: {left}{now}"
    ))
}

fn doing(replica: &Replica) -> &'static str {
    match replica.phase {
        Phase::Waiting => "waits for an offer",
        Phase::BackingOff { .. } => "backs off",
        Phase::Starting => "is starting",
        Phase::Running { .. } => "runs",
        Phase::Stopping { .. } => "is stopping",
    }
}
