//! What became of an operation is told at least once before its agent forgets it, and is never contradicted.
//!
//! Source: Mesos, "Offer Operation Feedback": retried until acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::agent_link::RegisteredOperation;
use proffer_types::{FrameworkId, OperationId, OperationState, OperationStatus, StatusUuid, Timestamp};

use super::{Invariant, completed};
use crate::facts::Fact;

type Key = (FrameworkId, OperationId);

#[derive(Debug, Default)]
pub(crate) struct OperationsTold {
    kept: BTreeMap<usize, BTreeMap<Key, StatusUuid>>,
    told: BTreeSet<StatusUuid>,
    ends: BTreeMap<Key, OperationState>,
    frameworks: BTreeSet<FrameworkId>,
    completed: BTreeSet<FrameworkId>,
}

impl Invariant for OperationsTold {
    fn name(&self) -> &'static str {
        "operations are told, and never contradicted"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::FrameworkId { id, .. } => {
                self.frameworks.insert((*id).clone());
                Ok(())
            }
            Fact::Stored { changes, .. } => {
                self.completed.extend(completed(changes));
                Ok(())
            }
            Fact::OperationsKept { agent, operations } => self.written(*agent, operations),
            Fact::ToldOperation { framework_id, status } => self.told(framework_id, status),
            _ => Ok(()),
        }
    }
}

impl OperationsTold {
    fn written(&mut self, agent: usize, operations: &[RegisteredOperation]) -> Result<(), String> {
        let now: BTreeMap<Key, StatusUuid> = operations
            .iter()
            .filter_map(|kept| {
                let key = (kept.framework_id.clone(), kept.status.operation_id.clone());
                Some((key, kept.status.uuid?))
            })
            .collect();
        let before = self.kept.insert(agent, now.clone()).unwrap_or_default();
        for (key, uuid) in before {
            // The master's own operations are nobody else's business.
            let waits = self.frameworks.contains(&key.0) && !self.completed.contains(&key.0);
            if waits && !now.contains_key(&key) && !self.told.contains(&uuid) {
                return Err(format!(
                    "agent {agent} forgot operation {} of {} before its scheduler had heard of it",
                    key.1, key.0
                ));
            }
        }
        Ok(())
    }

    fn told(&mut self, framework_id: &FrameworkId, status: &OperationStatus) -> Result<(), String> {
        self.told.extend(status.uuid);
        let key = (framework_id.clone(), status.operation_id.clone());
        if !status.state.is_terminal() {
            return Ok(());
        }
        match self.ends.insert(key, status.state) {
            Some(before) if before != status.state => Err(format!(
                "operation {} of {framework_id} ended as {before:?} and then as {:?}",
                status.operation_id, status.state
            )),
            Some(_) | None => Ok(()),
        }
    }
}
