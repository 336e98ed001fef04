//! Services.

mod config;
mod deployment;
mod endpoints;
mod plan;
mod policy;
mod scaling;
mod version;

pub(crate) use self::config::ConfigView;
pub(crate) use self::endpoints::EndpointsView;
pub(crate) use self::plan::plan_text;
pub(crate) use self::policy::PoliciesView;
pub(crate) use self::scaling::ScalingView;
pub(crate) use self::version::VersionView;

use std::collections::BTreeSet;

use proffer_wire::v1;
use serde::Serialize;

use self::deployment::DeploymentView;

use super::task::StatusView;
use super::text::{State, bundle, bundle_json, state_name};
use crate::output::{Answer, Column, Row, left, render, right};
use crate::spec::RulesView;

/// One service with its replicas.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceView {
    name: String,
    role: String,
    mode: &'static str,
    /// Of a daemon as many as there are agents that have it.
    replicas_wanted: u32,
    replicas_running: usize,
    /// Of those that run; one without a readiness check is.
    replicas_ready: usize,
    version: u64,
    deleting: bool,
    framework_id: String,
    command: Vec<String>,
    resources: std::collections::BTreeMap<String, serde_json::Value>,
    #[serde(flatten)]
    rules: RulesView,
    deployment: Option<DeploymentView>,
    /// Absent where people scale.
    scaling: Option<ScalingView>,
    replicas: Vec<ReplicaView>,
    #[serde(skip)]
    resources_text: String,
}

/// One replica.
#[derive(Debug, Serialize)]
struct ReplicaView {
    slot: u32,
    task_id: String,
    state: State,
    version: u64,
    starts: u64,
    /// Whether it is to take the place of the slot's other one.
    successor: bool,
    /// Whether it has been healthy and ready for long enough.
    available: bool,
    latest_status: Option<StatusView>,
}

impl From<v1::Replica> for ReplicaView {
    fn from(replica: v1::Replica) -> Self {
        Self {
            state: state_name(replica.state().as_str_name(), "REPLICA_"),
            slot: replica.slot,
            task_id: replica.task_id,
            version: replica.version,
            starts: replica.starts,
            successor: replica.successor,
            available: replica.available,
            latest_status: replica.status.map(StatusView::from),
        }
    }
}

impl From<v1::ServiceView> for ServiceView {
    fn from(service: v1::ServiceView) -> Self {
        let scaling = ScalingView::of(&service);
        let spec = service.spec.unwrap_or_default();
        let is_daemon = spec.mode() == v1::ServiceMode::Daemon;
        let task = spec.task.unwrap_or_default();
        let container = task.container.unwrap_or_default();
        // Of a slot with a successor both may run: it counts once.
        let is_running = |replica: &&v1::Replica| replica.state() == v1::ReplicaState::ReplicaRunning;
        let running = || service.replicas.iter().filter(is_running);
        let slots = |replicas: &mut dyn Iterator<Item = &v1::Replica>| {
            replicas
                .map(|replica| replica.slot)
                .collect::<BTreeSet<_>>()
                .len()
        };
        let replicas_running = slots(&mut running());
        let n_slots = slots(&mut service.replicas.iter());
        let replicas_ready = slots(&mut running().filter(|replica| {
            let status = replica.status.clone().map(StatusView::from);
            status.is_some_and(|status| status.is_ready(container.readiness.is_some()))
        }));
        Self {
            replicas_running,
            replicas_ready,
            name: spec.name,
            role: if spec.role.is_empty() {
                "*".to_owned()
            } else {
                spec.role
            },
            mode: if is_daemon { "daemon" } else { "replicated" },
            replicas_wanted: if is_daemon { count(n_slots) } else { spec.replicas },
            version: service.version,
            deleting: service.deleting,
            framework_id: service.framework_id,
            resources: bundle_json(task.resources.as_ref()),
            resources_text: bundle(task.resources.as_ref()),
            rules: RulesView::of(task.limits.as_ref(), task.rules.as_ref()),
            command: container.command,
            deployment: service.deployment.map(DeploymentView::from),
            scaling,
            replicas: service.replicas.into_iter().map(ReplicaView::from).collect(),
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl ServiceView {
    fn state(&self) -> &'static str {
        let deployment = self.deployment.as_ref().and_then(DeploymentView::headline);
        if let Some(state) = deployment.filter(|_| !self.deleting) {
            return state;
        }
        match self.replicas_running {
            _ if self.deleting => "DELETING",
            running if running != self.replicas_wanted as usize => "CHANGING",
            running if running != self.replicas_ready => "NOT_READY",
            _ => "STEADY",
        }
    }
}

/// One service of a list. The same JSON as [`ServiceView`].
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct ServiceSummaryView(pub(crate) ServiceView);

impl Row for ServiceSummaryView {
    const COLUMNS: &'static [Column] = &[
        left("SERVICE"),
        left("ROLE"),
        left("STATE"),
        right("RUNNING"),
        right("WANTED"),
        right("VERSION"),
        left("EACH"),
        left("COMMAND"),
    ];

    fn cells(&self) -> Vec<String> {
        let service = &self.0;
        vec![
            service.name.clone(),
            service.role.clone(),
            service.state().to_owned(),
            service.replicas_running.to_string(),
            service.replicas_wanted.to_string(),
            service.version.to_string(),
            service.resources_text.clone(),
            service.command.join(" "),
        ]
    }
}

impl Row for ReplicaView {
    const COLUMNS: &'static [Column] = &[
        right("SLOT"),
        left("TASK"),
        left("STATE"),
        right("VERSION"),
        right("STARTS"),
        left("LAST STATUS"),
        StatusView::CONDITION[0],
        StatusView::CONDITION[1],
        left("REASON"),
    ];

    fn cells(&self) -> Vec<String> {
        let none = StatusView::default();
        let status = self.latest_status.as_ref().unwrap_or(&none);
        let [health, restarts] = status.condition();
        vec![
            if self.successor {
                format!("+{}", self.slot)
            } else {
                self.slot.to_string()
            },
            self.task_id.clone(),
            self.state.to_string(),
            self.version.to_string(),
            self.starts.to_string(),
            status.state.to_string(),
            health,
            restarts,
            status.why(),
        ]
    }
}

impl Answer for ServiceView {
    fn text(&self, width: usize) -> String {
        let head = format!(
            "service {}  {}  role {}  {} of {} running  version {}\n",
            self.name,
            self.state(),
            self.role,
            self.replicas_running,
            self.replicas_wanted,
            self.version,
        );
        let deployment = self.deployment.as_ref().map(DeploymentView::text);
        let scaling = self.scaling.as_ref().map(ScalingView::headline);
        let head = head + &deployment.unwrap_or_default() + &scaling.unwrap_or_default();
        let rows: Vec<_> = self.replicas.iter().map(Row::cells).collect();
        head + &render(ReplicaView::COLUMNS, &rows, width)
    }
}
