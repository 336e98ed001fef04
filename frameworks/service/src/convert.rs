//! Between the messages of `proffer.v1.Services` and the scheduler's types.

use proffer_service_core::{
    Deployment, Outcome, Plan, PolicyView, ReplicaState, ReplicaView, ScalingView, ServiceSpec, ServiceView,
    Steer, Version, VirtualService, VirtualServiceView,
};
use proffer_types::policy::NetworkPolicy;
use proffer_wire::frame::MAX_MESSAGE_BYTES;
use proffer_wire::v1::steer_service_request;
use proffer_wire::{ConvertError, v1};
use prost::Message as _;

/// What an answer may take: a little less than what a client accepts, for the tags around each service.
const MAX_ANSWER_BYTES: usize = MAX_MESSAGE_BYTES - (16 << 10);

/// Checks what a client sent; what the scheduler checks itself is left to it.
pub(crate) fn spec(message: Option<v1::ServiceSpec>) -> Result<ServiceSpec, ConvertError> {
    let message = message.ok_or_else(|| ConvertError::new("spec", "is missing"))?;
    ServiceSpec::try_from(message).map_err(|error| error.under("spec"))
}

/// As [`spec`], of a virtual service.
pub(crate) fn virtual_spec(message: Option<v1::VirtualService>) -> Result<VirtualService, ConvertError> {
    let message = message.ok_or_else(|| ConvertError::new("virtual_service", "is missing"))?;
    VirtualService::try_from(message).map_err(|error| error.under("virtual_service"))
}

/// As [`spec`], of a network policy.
pub(crate) fn policy(message: Option<v1::NetworkPolicy>) -> Result<NetworkPolicy, ConvertError> {
    let message = message.ok_or_else(|| ConvertError::new("policy", "is missing"))?;
    NetworkPolicy::try_from(message).map_err(|error| error.under("policy"))
}

pub(crate) fn policy_view(view: &PolicyView) -> v1::NetworkPolicyView {
    v1::NetworkPolicyView {
        spec: Some((&view.spec).into()),
        services: view.services.clone(),
    }
}

/// Makes an answer small enough for a client: where it would be too large, the services that are selected are left out.
pub(crate) fn fit_policies(mut views: Vec<v1::NetworkPolicyView>) -> Vec<v1::NetworkPolicyView> {
    let bytes: usize = views.iter().map(v1::NetworkPolicyView::encoded_len).sum();
    if bytes > MAX_ANSWER_BYTES {
        views.iter_mut().for_each(|view| view.services.clear());
    }
    views
}

pub(crate) fn virtual_view(view: &VirtualServiceView) -> v1::VirtualServiceView {
    v1::VirtualServiceView {
        spec: Some((&view.spec).into()),
        of_service: view.is_of_service,
        address: view
            .address
            .map(|address| address.to_string())
            .unwrap_or_default(),
        services: view.services.clone(),
        endpoints: view.told.endpoints.iter().map(Into::into).collect(),
        problems: view.problems.clone(),
    }
}

/// Makes an answer small enough for a client: where it would be too large, endpoints are left out, then the last ones.
pub(crate) fn fit_virtual(mut views: Vec<v1::VirtualServiceView>) -> Vec<v1::VirtualServiceView> {
    let bytes = |views: &[v1::VirtualServiceView]| {
        views
            .iter()
            .map(v1::VirtualServiceView::encoded_len)
            .sum::<usize>()
    };
    if bytes(&views) > MAX_ANSWER_BYTES {
        views.iter_mut().for_each(|view| view.endpoints.clear());
    }
    let mut excess = bytes(&views).saturating_sub(MAX_ANSWER_BYTES);
    while excess > 0
        && let Some(dropped) = views.pop()
    {
        excess = excess.saturating_sub(dropped.encoded_len());
    }
    views
}

pub(crate) fn view(view: ServiceView, framework_id: &str) -> v1::ServiceView {
    let deployment = view.deployment.as_ref();
    v1::ServiceView {
        spec: Some((&view.spec).into()),
        version: view.version,
        deleting: view.deleting,
        deployment: deployment.map(|of| deployment_message(of, &view)),
        versions: view.versions.iter().map(version).collect(),
        replicas: view.replicas.into_iter().map(replica).collect(),
        framework_id: framework_id.to_owned(),
        scaling: view.scaling.map(scaling),
    }
}

fn scaling(view: ScalingView) -> v1::ScalingStatus {
    let figures = view.figures.into_iter().map(|figure| v1::ScalingFigure {
        value_milli: figure.milli,
        wants: figure.wants,
        problem: figure.problem.unwrap_or_default(),
    });
    let decisions = view.decisions.into_iter().map(|decision| v1::ScalingDecision {
        at_ms: decision.at.0,
        from: decision.from,
        to: decision.to,
        why: decision.why,
    });
    v1::ScalingStatus {
        figures: figures.collect(),
        message: view.message,
        decisions: decisions.collect(),
    }
}

/// As [`view`], without the tasks of versions and what was decided of the number of replicas.
pub(crate) fn listed(view: ServiceView, framework_id: &str) -> v1::ServiceView {
    let mut listed = self::view(view, framework_id);
    listed.versions.iter_mut().for_each(|version| version.task = None);
    if let Some(scaling) = &mut listed.scaling {
        scaling.decisions.clear();
    }
    listed
}

/// What an apply would do.
pub(crate) fn plan(plan: &Plan) -> v1::PlanServiceResponse {
    v1::PlanServiceResponse {
        after: Some((&plan.after).into()),
        before: plan.before.as_ref().map(Into::into),
        deploys: plan.deploys,
        starts: plan.starts,
        stops: plan.stops,
        replaces: plan.replaces,
    }
}

/// What somebody wants of a deployment.
pub(crate) fn steer(steer: Option<steer_service_request::Steer>) -> Result<Steer, ConvertError> {
    use steer_service_request::Steer as Wanted;
    match steer {
        Some(Wanted::Pause(_)) => Ok(Steer::Pause),
        Some(Wanted::Resume(_)) => Ok(Steer::Resume),
        Some(Wanted::Promote(_)) => Ok(Steer::Promote),
        Some(Wanted::Restart(_)) => Ok(Steer::Restart),
        Some(Wanted::Rollback(to)) => Ok(Steer::Rollback(to.version)),
        None => Err(ConvertError::new("steer", "is missing")),
    }
}

fn deployment_message(deployment: &Deployment, view: &ServiceView) -> v1::Deployment {
    let ended = deployment.ended.as_ref();
    let failed = ended.and_then(|ending| ending.failed.clone());
    let state = match ended {
        Some(_) if failed.is_some() => v1::DeploymentState::DeploymentFailed,
        Some(_) => v1::DeploymentState::DeploymentDone,
        None if deployment.paused => v1::DeploymentState::DeploymentPaused,
        None if view.awaits_promotion => v1::DeploymentState::DeploymentAwaitsPromotion,
        None if deployment.promoted => v1::DeploymentState::DeploymentReplacing,
        None => v1::DeploymentState::DeploymentTrying,
    };
    let rolls_back = deployment.rolls_back.as_ref();
    v1::Deployment {
        to: deployment.to,
        from: deployment.from,
        started_ms: deployment.started.0,
        progressed_ms: deployment.progressed.0,
        available: deployment.best,
        state: state.into(),
        rolls_back: rolls_back.map(|failure| failure.version),
        rolls_back_why: rolls_back.map(|failure| failure.why.clone()).unwrap_or_default(),
        ended_ms: ended.map(|ending| ending.at.0),
        message: failed.or_else(|| view.blocker.clone()).unwrap_or_default(),
    }
}

fn version(version: &Version) -> v1::ServiceVersion {
    let (outcome, message) = match &version.outcome {
        Outcome::Deploying => (v1::VersionOutcome::VersionDeploying, ""),
        Outcome::Good => (v1::VersionOutcome::VersionGood, ""),
        Outcome::Failed(why) => (v1::VersionOutcome::VersionFailed, &**why),
        Outcome::Superseded => (v1::VersionOutcome::VersionSuperseded, ""),
    };
    v1::ServiceVersion {
        number: version.number,
        role: version.role.to_string(),
        task: Some((&version.task).into()),
        created_ms: version.created.0,
        outcome: outcome.into(),
        message: message.to_owned(),
    }
}

fn replica(replica: ReplicaView) -> v1::Replica {
    v1::Replica {
        slot: replica.slot,
        task_id: replica.task_id.map(|id| id.to_string()).unwrap_or_default(),
        version: replica.version,
        starts: replica.n_starts,
        status: replica.status.map(|status| (&status).into()),
        state: state(replica.state).into(),
        successor: replica.is_successor,
        available: replica.is_available,
    }
}

fn state(state: ReplicaState) -> v1::ReplicaState {
    match state {
        ReplicaState::Waiting => v1::ReplicaState::ReplicaWaiting,
        ReplicaState::BackingOff => v1::ReplicaState::ReplicaBackingOff,
        ReplicaState::Starting => v1::ReplicaState::ReplicaStarting,
        ReplicaState::Running => v1::ReplicaState::ReplicaRunning,
        ReplicaState::Stopping => v1::ReplicaState::ReplicaStopping,
    }
}

/// Makes an answer small enough for a client: where it would be too large, the tasks of versions are left out, then the
/// replicas' statuses, then their task ids, then the last services.
pub(crate) fn fit(mut services: Vec<v1::ServiceView>) -> Vec<v1::ServiceView> {
    if bytes(&services) > MAX_ANSWER_BYTES {
        let versions = services.iter_mut().flat_map(|service| &mut service.versions);
        versions.for_each(|version| version.task = None);
    }
    let leave_out: [fn(&mut v1::Replica); 2] =
        [|replica| replica.status = None, |replica| replica.task_id.clear()];
    for leave_out in leave_out {
        if bytes(&services) > MAX_ANSWER_BYTES {
            let replicas = services.iter_mut().flat_map(|service| &mut service.replicas);
            replicas.for_each(leave_out);
        }
    }
    let mut excess = bytes(&services).saturating_sub(MAX_ANSWER_BYTES);
    while excess > 0
        && let Some(dropped) = services.pop()
    {
        excess = excess.saturating_sub(dropped.encoded_len());
    }
    services
}

fn bytes(services: &[v1::ServiceView]) -> usize {
    services.iter().map(v1::ServiceView::encoded_len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(n_services: usize, n_replicas: usize, message_bytes: usize) -> Vec<v1::ServiceView> {
        let status = v1::TaskStatus {
            message: "x".repeat(message_bytes),
            ..v1::TaskStatus::default()
        };
        let replica = v1::Replica {
            task_id: "x".repeat(70),
            status: Some(status),
            ..v1::Replica::default()
        };
        let service = v1::ServiceView {
            framework_id: "x".repeat(1000),
            replicas: vec![replica; n_replicas],
            ..v1::ServiceView::default()
        };
        vec![service; n_services]
    }

    #[test]
    fn an_answer_that_is_too_large_loses_statuses_first_then_task_ids_then_services() {
        let small = services(10, 10, 100);
        assert_eq!(fit(small.clone()), small);

        let no_statuses = fit(services(10, 1000, 1000));
        assert!(
            no_statuses[9]
                .replicas
                .iter()
                .all(|replica| replica.status.is_none())
        );
        assert_eq!(no_statuses[9].replicas[0].task_id.len(), 70);

        let no_ids = fit(services(10, 10_000, 0));
        assert!(no_ids.iter().all(|service| service.replicas.len() == 10_000));
        assert_eq!(no_ids[0].replicas[0].task_id, "");

        let no_room = fit(services(10_000, 0, 0));
        assert!(no_room.len() < 10_000 && bytes(&no_room) <= MAX_ANSWER_BYTES);
    }
}
