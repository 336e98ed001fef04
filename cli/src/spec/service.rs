//! Service files.

use std::collections::BTreeMap;

use proffer_types::discovery::DEFAULT_NAMESPACE;
use proffer_wire::v1;
use serde::Deserialize;

use super::task::Check;
use super::task::ServiceTaskFile;
use super::{Condition, Span, Whole};

mod expose;
mod place;
mod scaling;
mod update;

use self::expose::ExposeFile;
use self::place::{By, OtherFile, SpreadFile, rules};
use self::scaling::ScalingFile;
pub(crate) use self::update::Part;
use self::update::UpdateFile;

/// A service file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceFile {
    name: String,
    /// Where it is not part of the name.
    namespace: Option<String>,
    #[serde(default)]
    role: String,
    #[serde(default)]
    mode: ModeFile,
    /// Not of a daemon.
    replicas: Option<Whole<u32>>,
    task: ServiceTaskFile,
    /// For how long nothing is heard of an agent before its replicas are started elsewhere.
    lost_after: Option<Span>,
    update: Option<UpdateFile>,
    /// How many replicas may be moved at once from agents that are to be left.
    max_moving: Option<Part>,
    /// By which virtual services find its replicas.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// The ports of an address of its own.
    #[serde(default)]
    expose: Vec<ExposeFile>,
    /// How long before it is killed a replica leaves discovery.
    shutdown_delay: Option<Span>,
    /// What the number of replicas follows.
    scaling: Option<ScalingFile>,
    /// As in the task.
    health: Option<Check>,
    /// Beside those of the task.
    #[serde(default)]
    constraints: Vec<Condition>,
    /// Evenly over the places.
    spread: Option<SpreadFile>,
    /// At most one replica in a place.
    unique: Option<By>,
    /// All in one place.
    together: Option<By>,
    /// Where another service runs.
    near: Option<OtherFile>,
    /// Where another service does not run.
    apart: Option<OtherFile>,
}

/// How many replicas there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModeFile {
    #[default]
    Replicated,
    /// One on each agent that meets the constraints.
    Daemon,
}

impl From<ServiceFile> for v1::ServiceSpec {
    fn from(service: ServiceFile) -> Self {
        let mut task = service.task.task();
        task.health = task.health.or(service.health);
        task.constraints.extend(service.constraints);
        Self {
            name: full_name(service.name, service.namespace.as_deref()),
            role: service.role,
            // One, where a service says nothing; the least of one that scales by itself; a daemon has as many as there are agents
            // for it.
            replicas: match (service.replicas, service.mode) {
                (Some(replicas), _) => replicas.0,
                (None, ModeFile::Replicated) if service.scaling.is_none() => 1,
                (None, ModeFile::Replicated | ModeFile::Daemon) => 0,
            },
            mode: match service.mode {
                ModeFile::Replicated => v1::ServiceMode::Unspecified,
                ModeFile::Daemon => v1::ServiceMode::Daemon,
            }
            .into(),
            lost_after_ms: service.lost_after.map(Span::millis),
            update: service.update.map(Into::into),
            disruption: service.max_moving.map(Into::into),
            labels: service.labels,
            expose: service.expose.into_iter().map(Into::into).collect(),
            shutdown_delay_ms: service.shutdown_delay.map(Span::millis),
            scaling: service.scaling.map(Into::into),
            task: Some(v1::ServiceTask {
                replica_rules: rules(
                    service.spread,
                    service.unique,
                    service.together,
                    service.near,
                    service.apart,
                ),
                ..task.service_task()
            }),
        }
    }
}

/// `NAME` in the namespace `default`, else `NAME.NAMESPACE`.
pub(crate) fn full_name(name: String, namespace: Option<&str>) -> String {
    match namespace {
        None | Some(DEFAULT_NAMESPACE) => name,
        Some(namespace) => format!("{name}.{namespace}"),
    }
}
