//! Service specs as messages: what a client sends and what is kept of a service are the same `v1::ServiceSpec`.
//!
//! What the wire can check is checked here; what only the scheduler knows is left to `spec`.

mod virtuals;

use std::time::Duration;

use proffer_types::{ContainerSpec, KillPolicy, Limits, PlacementRules, Resources};
use proffer_wire::container::check_memory;
use proffer_wire::demand::{Budget, placement_rules};
use proffer_wire::task::limits;
use proffer_wire::text::{labels, role};
use proffer_wire::{ConvertError, v1};

use crate::autoscale::Autoscaling;
use crate::spec::{Amount, MAX_REPLICA_RULES, Mode, ServiceSpec, ServiceTask, UpdatePolicy, UpdateStrategy};

mod config;
mod rule;

impl TryFrom<v1::ServiceSpec> for ServiceSpec {
    type Error = ConvertError;

    fn try_from(message: v1::ServiceSpec) -> Result<Self, ConvertError> {
        let mode = match message.mode() {
            v1::ServiceMode::Daemon => Mode::Daemon,
            v1::ServiceMode::Unspecified | v1::ServiceMode::Replicated => Mode::Replicated,
        };
        let task = message.task.ok_or_else(|| missing("task"))?;
        let scaling = message.scaling.map(Autoscaling::try_from).transpose();
        Ok(Self {
            name: message.name,
            role: role(&message.role)?,
            mode,
            replicas: message.replicas,
            task: service_task(task).map_err(|error| error.under("task"))?,
            lost_after: message.lost_after_ms.map(Duration::from_millis),
            update: message.update.map_or_else(UpdatePolicy::default, update_policy),
            disruption: amount(message.disruption, Amount::Count(1)),
            labels: labels("labels", message.labels)?,
            expose: virtuals::ports("expose", message.expose)?,
            shutdown_delay: message.shutdown_delay_ms.map(Duration::from_millis),
            scaling: scaling.map_err(|error| error.under("scaling"))?,
        })
    }
}

fn update_policy(message: v1::UpdatePolicy) -> UpdatePolicy {
    let default = UpdatePolicy::default();
    let strategy = match message.strategy() {
        v1::UpdateStrategy::BlueGreen => UpdateStrategy::BlueGreen,
        v1::UpdateStrategy::Unspecified | v1::UpdateStrategy::Rolling => UpdateStrategy::Rolling,
    };
    let duration = |millis: Option<u64>, default| millis.map_or(default, Duration::from_millis);
    UpdatePolicy {
        strategy,
        max_surge: amount(message.max_surge, default.max_surge),
        max_unavailable: amount(message.max_unavailable, default.max_unavailable),
        canary: message.canary,
        promote_by_hand: message.promote_by_hand,
        min_healthy: duration(message.min_healthy_ms, default.min_healthy),
        deadline: duration(message.deadline_ms, default.deadline),
        auto_rollback: message.auto_rollback.unwrap_or(default.auto_rollback),
    }
}

pub(crate) fn amount(message: Option<v1::Amount>, default: Amount) -> Amount {
    match message.and_then(|amount| amount.of) {
        Some(v1::amount::Of::Count(count)) => Amount::Count(count),
        Some(v1::amount::Of::Percent(percent)) => Amount::Percent(percent),
        None => default,
    }
}

pub(crate) fn service_task(message: v1::ServiceTask) -> Result<ServiceTask, ConvertError> {
    let in_container = |error: ConvertError| error.under("container");
    let resources = message.resources.unwrap_or_default();
    let resources = Resources::try_from(resources).map_err(|error| error.under("resources"))?;
    let limits = limits(message.limits.unwrap_or_default(), &resources);
    let rules = placement_rules(message.rules, &mut Budget::default());
    let replica_rule = |(index, message)| {
        rule::read(message).map_err(|error: ConvertError| error.under(format!("replica_rules[{index}]")))
    };
    let replica_rules = message.replica_rules.into_iter().take(MAX_REPLICA_RULES + 1);
    let replica_rules = replica_rules.enumerate().map(replica_rule);
    let container = message.container.ok_or_else(|| missing("container"))?;
    let container: ContainerSpec = container.try_into().map_err(in_container)?;
    check_memory(&container, &resources).map_err(in_container)?;
    Ok(ServiceTask {
        resources,
        limits: limits.map_err(|error| error.under("limits"))?,
        rules: rules.map_err(|error| error.under("rules"))?,
        replica_rules: replica_rules.collect::<Result<_, _>>()?,
        container,
        kill_policy: message.kill_policy.map(KillPolicy::from).unwrap_or_default(),
    })
}

fn missing(field: &str) -> ConvertError {
    ConvertError::new(field, "is missing")
}

impl From<&ServiceSpec> for v1::ServiceSpec {
    fn from(spec: &ServiceSpec) -> Self {
        Self {
            name: spec.name.clone(),
            role: spec.role.to_string(),
            mode: match spec.mode {
                Mode::Replicated => v1::ServiceMode::Unspecified,
                Mode::Daemon => v1::ServiceMode::Daemon,
            }
            .into(),
            replicas: spec.replicas,
            task: Some(task_message(&spec.task)),
            lost_after_ms: spec.lost_after.map(millis),
            update: (spec.update != UpdatePolicy::default()).then(|| policy_message(&spec.update)),
            disruption: (spec.disruption != Amount::Count(1)).then(|| amount_message(spec.disruption)),
            labels: spec.labels.clone(),
            expose: spec.expose.iter().map(Into::into).collect(),
            shutdown_delay_ms: spec.shutdown_delay.map(millis),
            scaling: spec.scaling.as_ref().map(Into::into),
        }
    }
}

fn policy_message(policy: &UpdatePolicy) -> v1::UpdatePolicy {
    let strategy = match policy.strategy {
        UpdateStrategy::Rolling => v1::UpdateStrategy::Rolling,
        UpdateStrategy::BlueGreen => v1::UpdateStrategy::BlueGreen,
    };
    v1::UpdatePolicy {
        strategy: strategy.into(),
        max_surge: Some(amount_message(policy.max_surge)),
        max_unavailable: Some(amount_message(policy.max_unavailable)),
        canary: policy.canary,
        promote_by_hand: policy.promote_by_hand,
        min_healthy_ms: Some(millis(policy.min_healthy)),
        deadline_ms: Some(millis(policy.deadline)),
        auto_rollback: Some(policy.auto_rollback),
    }
}

pub(crate) fn amount_message(amount: Amount) -> v1::Amount {
    let of = match amount {
        Amount::Count(count) => v1::amount::Of::Count(count),
        Amount::Percent(percent) => v1::amount::Of::Percent(percent),
    };
    v1::Amount { of: Some(of) }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<&ServiceTask> for v1::ServiceTask {
    fn from(task: &ServiceTask) -> Self {
        task_message(task)
    }
}

pub(crate) fn task_message(task: &ServiceTask) -> v1::ServiceTask {
    v1::ServiceTask {
        limits: (task.limits != Limits::default()).then(|| task.limits.into()),
        rules: (task.rules != PlacementRules::default()).then(|| (&task.rules).into()),
        replica_rules: task.replica_rules.iter().map(rule::write).collect(),
        resources: Some((&task.resources).into()),
        container: Some((&task.container).into()),
        kill_policy: Some(task.kill_policy.into()),
    }
}
