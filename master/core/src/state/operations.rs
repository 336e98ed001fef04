//! Operations: changes of agents' resources that are under way, or whose outcome nobody acknowledged.
//!
//! Each is in the list of its agent, in the order in which it was sent. Those of operators and those without a name
//! are the master's own: it names them, and acknowledges them itself.

use std::collections::BTreeMap;

use proffer_allocator::Change;
use proffer_types::{
    AgentId, FrameworkId, OperationId, OperationState, OperationStatus, ResourceChange, Timestamp,
};

use super::State;

/// An operation's name in the whole cluster.
pub(crate) type OperationKey = (FrameworkId, OperationId);

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationEntry {
    pub agent_id: AgentId,
    /// Absent when only its agent, or an earlier master, knows it.
    pub change: Option<ResourceChange>,
    /// The newest.
    pub status: OperationStatus,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Operations {
    by_framework: BTreeMap<FrameworkId, BTreeMap<OperationId, OperationEntry>>,
    n_minted: u64,
}

impl State {
    /// One operation that is not acknowledged.
    #[must_use]
    pub fn operation(&self, framework: &FrameworkId, operation: &OperationId) -> Option<&OperationEntry> {
        self.operations.by_framework.get(framework)?.get(operation)
    }

    /// The operations of a framework that are not acknowledged, by id.
    pub fn operations_of(
        &self,
        framework: &FrameworkId,
    ) -> impl Iterator<Item = (&OperationId, &OperationEntry)> {
        self.operations.by_framework.get(framework).into_iter().flatten()
    }

    /// All operations that are not acknowledged.
    pub fn operations(&self) -> impl Iterator<Item = (&FrameworkId, &OperationId, &OperationEntry)> {
        let all = self.operations.by_framework.iter();
        all.flat_map(|(framework, own)| own.iter().map(move |(id, entry)| (framework, id, entry)))
    }

    /// A name for an operation that was given none.
    pub(crate) fn next_operation_id(&self) -> OperationId {
        let id = format!("{}-p{}", self.master_id, self.operations.n_minted);
        OperationId::new(id).expect("a master's id and a number make an operation id")
    }

    pub(super) fn operation_sent(
        &mut self,
        (framework, id): OperationKey,
        agent: &AgentId,
        change: &ResourceChange,
        at: Timestamp,
    ) -> Vec<Change> {
        self.operations.n_minted += 1;
        let status = OperationStatus {
            operation_id: id,
            agent_id: Some(agent.clone()),
            state: OperationState::Pending,
            message: String::new(),
            timestamp: at,
            uuid: None,
        };
        self.insert_operation(&framework, agent, Some(change.clone()), status);
        Vec::new()
    }

    /// Takes note of a status, of an operation that is known or not.
    pub(super) fn operation_updated(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        status: &OperationStatus,
    ) -> Vec<Change> {
        let known = self.operations.by_framework.get_mut(framework);
        match known.and_then(|own| own.get_mut(&status.operation_id)) {
            Some(entry) => entry.status = status.clone(),
            None => self.insert_operation(framework, agent, None, status.clone()),
        }
        Vec::new()
    }

    pub(super) fn operation_forgotten(&mut self, framework: &FrameworkId, id: &OperationId) -> Vec<Change> {
        let Some(own) = self.operations.by_framework.get_mut(framework) else {
            return Vec::new();
        };
        let forgotten = own.remove(id);
        if own.is_empty() {
            self.operations.by_framework.remove(framework);
        }
        let Some(agent_id) = forgotten.map(|entry| entry.agent_id) else {
            return Vec::new();
        };
        if let Some(agent) = self.agent_mut(&agent_id) {
            agent
                .operations
                .retain(|(owner, other)| (owner, other) != (framework, id));
        }
        self.index_emptied(&agent_id);
        Vec::new()
    }

    fn insert_operation(
        &mut self,
        framework: &FrameworkId,
        agent_id: &AgentId,
        change: Option<ResourceChange>,
        status: OperationStatus,
    ) {
        let id = status.operation_id.clone();
        if let Some(agent) = self.agent_mut(agent_id) {
            agent.operations.push((framework.clone(), id.clone()));
        }
        self.index_emptied(agent_id);
        let entry = OperationEntry {
            agent_id: agent_id.clone(),
            change,
            status,
        };
        let own = self.operations.by_framework.entry(framework.clone()).or_default();
        own.insert(id, entry);
    }
}
