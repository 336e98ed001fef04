//! Operations that ended here and whose statuses are not acknowledged.
//!
//! Each status is sent by itself, retried as those of tasks are, and kept until it is acknowledged or its
//! framework is gone. None is sent while the checkpoint that holds it is not written, and no correction of the total.

use std::collections::BTreeMap;

use proffer_types::agent_link::{AgentMessage, RegisteredOperation};
use proffer_types::{FrameworkId, OperationId, OperationStatus, StatusUuid, Timestamp};

use crate::task::Sent;

#[derive(Debug)]
struct Operation {
    status: OperationStatus,
    sent: Option<Sent>,
    /// It is overdue, and sent again at the next opportunity.
    is_due: bool,
}

impl Operation {
    fn new(status: OperationStatus) -> Self {
        Self {
            status,
            sent: None,
            is_due: true,
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    by_id: BTreeMap<(FrameworkId, OperationId), Operation>,
    /// When the checkpoint of the resources is tried again.
    pub(crate) save_at: Option<Timestamp>,
    /// The master has another picture of the total. It is corrected after the statuses that explain it, as it counts
    /// what it believes to be under way on top.
    pub(crate) total_due: bool,
}

impl Operations {
    pub(crate) fn recovered(found: Vec<RegisteredOperation>) -> Self {
        let operations = found.into_iter().map(|found| {
            let id = found.status.operation_id.clone();
            ((found.framework_id, id), Operation::new(found.status))
        });
        Self {
            by_id: operations.collect(),
            save_at: None,
            total_due: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn contains(&self, framework_id: &FrameworkId, id: &OperationId) -> bool {
        self.by_id.contains_key(&(framework_id.clone(), id.clone()))
    }

    pub(crate) fn insert(&mut self, framework_id: FrameworkId, status: OperationStatus) {
        let key = (framework_id, status.operation_id.clone());
        self.by_id.insert(key, Operation::new(status));
    }

    /// Forgets an operation whose status is acknowledged. Returns whether it was that status.
    pub(crate) fn acknowledge(
        &mut self,
        framework_id: &FrameworkId,
        id: &OperationId,
        uuid: StatusUuid,
    ) -> bool {
        let key = (framework_id.clone(), id.clone());
        let is_it = self
            .by_id
            .get(&key)
            .is_some_and(|operation| operation.status.uuid == Some(uuid));
        is_it && self.by_id.remove(&key).is_some()
    }

    /// Forgets all of a framework. Returns whether there were any.
    pub(crate) fn forget_framework(&mut self, framework_id: &FrameworkId) -> bool {
        let before = self.by_id.len();
        self.by_id.retain(|(owner, _), _| owner != framework_id);
        self.by_id.len() < before
    }

    /// As they are registered and kept on disk.
    pub(crate) fn registered(&self) -> Vec<RegisteredOperation> {
        let operations = self.by_id.iter().map(|((framework_id, _), operation)| {
            let (framework_id, status) = (framework_id.clone(), operation.status.clone());
            RegisteredOperation { framework_id, status }
        });
        operations.collect()
    }

    /// Begins anew with all of them, as in a new session.
    pub(crate) fn forget_sent(&mut self) {
        for operation in self.by_id.values_mut() {
            operation.sent = None;
            operation.is_due = true;
        }
    }

    /// Marks those whose acknowledgement is overdue.
    pub(crate) fn mark_due(&mut self, now: Timestamp) {
        for operation in self.by_id.values_mut() {
            operation.is_due |= operation.sent.is_some_and(|sent| now >= sent.retry_at);
        }
    }

    /// When the next acknowledgement is overdue.
    pub(crate) fn retry_deadline(&self) -> Option<Timestamp> {
        let sent = self.by_id.values().filter_map(|operation| operation.sent);
        sent.map(|sent| sent.retry_at)
            .min()
            .filter(|_| self.save_at.is_none())
    }

    /// The statuses to be sent now, which are then on their way.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<AgentMessage> {
        if self.save_at.is_some() {
            return Vec::new();
        }
        let due = self.by_id.iter_mut().filter(|(_, operation)| operation.is_due);
        due.map(|((framework_id, _), operation)| {
            operation.is_due = false;
            operation.sent = Some(
                operation
                    .sent
                    .map_or_else(|| Sent::first(now), |sent| sent.again(now)),
            );
            AgentMessage::OperationUpdate {
                framework_id: framework_id.clone(),
                status: operation.status.clone(),
            }
        })
        .collect()
    }
}
