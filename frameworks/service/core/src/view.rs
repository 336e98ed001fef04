//! A service as its owner sees it.

use proffer_types::{TaskId, TaskState, TaskStatus};

use crate::autoscale::ScalingView;
use crate::deployment::Deployment;
use crate::instance::{Instance, Phase};
use crate::service::Service;
use crate::slot::{Place, Slot};
use crate::spec::ServiceSpec;
use crate::task_id::Parts;
use crate::version::Version;

/// One service at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    pub spec: ServiceSpec,
    /// Counts the changes of role and task, from 1.
    pub version: u64,
    pub deleting: bool,
    /// By slot; of a slot with a successor that comes second.
    pub replicas: Vec<ReplicaView>,
    /// The latest one.
    pub deployment: Option<Deployment>,
    /// Whether the deployment waits for somebody to promote it.
    pub awaits_promotion: bool,
    /// What keeps the deployment from going on, in words.
    pub blocker: Option<String>,
    /// Those that are remembered, oldest first.
    pub versions: Vec<Version>,
    /// Of a service that scales by itself.
    pub scaling: Option<ScalingView>,
}

/// One task of a slot at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaView {
    pub slot: u32,
    /// Of the latest start; absent before the first.
    pub task_id: Option<TaskId>,
    /// What it runs, or is to run.
    pub version: u64,
    /// Of the slot.
    pub n_starts: u64,
    /// The latest of the latest start.
    pub status: Option<TaskStatus>,
    pub state: ReplicaState,
    /// Whether it is to take the place of the slot's other one.
    pub is_successor: bool,
    /// Whether it has been healthy and ready for as long as the update policy says.
    pub is_available: bool,
}

/// What a slot is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplicaState {
    /// Waits for an offer.
    Waiting,
    /// Pauses after a quick failure.
    BackingOff,
    Starting,
    Running,
    Stopping,
}

impl ServiceView {
    pub(crate) fn of(service: &Service, scaling: Option<ScalingView>) -> Self {
        let name = &service.spec.name;
        let active = service
            .deployment
            .as_ref()
            .filter(|deployment| deployment.is_active());
        Self {
            spec: service.spec.clone(),
            version: service.version,
            deleting: service.deleting,
            replicas: service
                .slots
                .values()
                .flat_map(|slot| ReplicaView::of(name, slot))
                .collect(),
            awaits_promotion: service.awaits_promotion(),
            blocker: active.and_then(|_| service.blocker()),
            deployment: service.deployment.clone(),
            versions: service.versions.values().cloned().collect(),
            scaling,
        }
    }
}

impl ReplicaView {
    fn of<'a>(service: &'a str, slot: &'a Slot) -> impl Iterator<Item = Self> + 'a {
        slot.instances().map(move |(place, instance)| {
            let parts = Parts {
                service,
                slot: slot.number,
                start: instance.start,
            };
            Self {
                slot: slot.number,
                task_id: parts.id().filter(|_| instance.start > 0),
                version: instance.version,
                n_starts: slot.n_starts,
                status: instance.status.clone(),
                state: ReplicaState::of(instance),
                is_successor: place == Place::Next,
                is_available: instance.is_available(),
            }
        })
    }
}

impl ReplicaState {
    fn of(instance: &Instance) -> Self {
        let killing = matches!(&instance.status, Some(status) if status.state == TaskState::Killing);
        match instance.phase {
            Phase::Waiting => Self::Waiting,
            Phase::BackingOff { .. } => Self::BackingOff,
            Phase::Starting | Phase::Running { .. } if killing => Self::Stopping,
            Phase::Starting => Self::Starting,
            Phase::Running { .. } => Self::Running,
            Phase::Stopping { .. } => Self::Stopping,
        }
    }
}
