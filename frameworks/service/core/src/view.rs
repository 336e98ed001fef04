//! A service as its owner sees it.

use proffer_types::{TaskId, TaskState, TaskStatus};

use crate::replica::{Phase, Replica};
use crate::service::Service;
use crate::spec::ServiceSpec;
use crate::task_id::Parts;

/// One service at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    pub spec: ServiceSpec,
    /// Counts the changes of role and task, from 1.
    pub version: u64,
    pub deleting: bool,
    /// By slot.
    pub replicas: Vec<ReplicaView>,
}

/// One slot at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaView {
    pub slot: u32,
    /// Of the latest start; absent before the first.
    pub task_id: Option<TaskId>,
    /// The service's version at the latest start; 0 before the first.
    pub version: u64,
    pub n_starts: u64,
    /// The latest of the latest start.
    pub status: Option<TaskStatus>,
    pub state: ReplicaState,
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
    pub(crate) fn of(service: &Service) -> Self {
        let name = &service.spec.name;
        Self {
            spec: service.spec.clone(),
            version: service.version,
            deleting: service.deleting,
            replicas: service
                .replicas
                .values()
                .map(|replica| ReplicaView::of(name, replica))
                .collect(),
        }
    }
}

impl ReplicaView {
    fn of(service: &str, replica: &Replica) -> Self {
        let parts = Parts {
            service,
            slot: replica.slot,
            start: replica.start,
        };
        Self {
            slot: replica.slot,
            task_id: parts.id().filter(|_| replica.start > 0),
            version: replica.version,
            n_starts: replica.n_starts,
            status: replica.status.clone(),
            state: ReplicaState::of(replica),
        }
    }
}

impl ReplicaState {
    fn of(replica: &Replica) -> Self {
        let killing = matches!(&replica.status, Some(status) if status.state == TaskState::Killing);
        match replica.phase {
            Phase::Waiting => Self::Waiting,
            Phase::BackingOff { .. } => Self::BackingOff,
            Phase::Starting | Phase::Running { .. } if killing => Self::Stopping,
            Phase::Starting => Self::Starting,
            Phase::Running { .. } => Self::Running,
            Phase::Stopping { .. } => Self::Stopping,
        }
    }
}
