//! An agent's checkpoints: what its checkpoint effects wrote, and nothing else, is there after a crash.

use std::collections::BTreeMap;

use proffer_agent_core::{
    ContainerId, Recovered, RecoveredTask, ResourcesRecord, StateRecord, TaskKey, TaskRecord,
};
use proffer_types::{AgentId, StatusReason, StatusUuid, TaskStatus};

#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) agent_id: Option<AgentId>,
    pub(crate) resources: ResourcesRecord,
    records: BTreeMap<ContainerId, (TaskRecord, Option<StateRecord>)>,
}

impl Disk {
    pub(crate) fn put_task(&mut self, id: ContainerId, task: TaskRecord) {
        self.records.insert(id, (task, None));
    }

    /// Replaces the state of a task that has a record.
    pub(crate) fn put_state(&mut self, id: ContainerId, state: StateRecord) {
        if let Some((_, slot)) = self.records.get_mut(&id) {
            *slot = Some(state);
        }
    }

    pub(crate) fn renew(&mut self, old: ContainerId, new: ContainerId, state: StateRecord) {
        if let Some((task, _)) = self.records.remove(&old) {
            self.records.insert(new, (task, Some(state)));
        }
    }

    pub(crate) fn forget(&mut self, id: ContainerId) {
        self.records.remove(&id);
    }

    fn state(&self, id: ContainerId) -> Option<&StateRecord> {
        self.records.get(&id).and_then(|(_, state)| state.as_ref())
    }

    /// The container of a task, if it has a record.
    pub(crate) fn container(&self, key: &TaskKey) -> Option<ContainerId> {
        let named = |task: &TaskRecord| task.framework_id == key.framework_id && task.info.id == key.task_id;
        self.records
            .iter()
            .find(|(_, (task, _))| named(task))
            .map(|(id, _)| *id)
    }

    /// The updates of a container that wait on disk, oldest first.
    pub(crate) fn pending(&self, id: ContainerId) -> Vec<StatusUuid> {
        let updates = self
            .state(id)
            .map(|state| state.updates.as_slice())
            .unwrap_or_default();
        updates.iter().filter_map(|status| status.uuid).collect()
    }

    /// Of those, the ones that say no more than how a running task is: the next of the kind may take their place.
    pub(crate) fn passing(&self, id: ContainerId) -> Vec<StatusUuid> {
        let is_passing = |status: &&TaskStatus| {
            matches!(
                status.reason,
                Some(StatusReason::TaskHealthCheckStatusUpdated | StatusReason::TaskCheckStatusUpdated)
            )
        };
        let updates = self.state(id).map(|state| state.updates.iter());
        let passing = updates.into_iter().flatten().filter(is_passing);
        passing.filter_map(|status| status.uuid).collect()
    }

    /// The task a container was launched for.
    pub(crate) fn key(&self, id: ContainerId) -> Option<TaskKey> {
        let (task, _) = self.records.get(&id)?;
        Some(TaskKey {
            framework_id: task.framework_id.clone(),
            task_id: task.info.id.clone(),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.resources.operations.is_empty()
    }

    pub(crate) fn recover(&self) -> Recovered {
        let task = |(id, (task, state)): (&ContainerId, &(TaskRecord, Option<StateRecord>))| RecoveredTask {
            container_id: *id,
            task: task.clone(),
            state: state.clone(),
        };
        Recovered {
            before_reboot: Default::default(),
            executors: Vec::new(),
            agent_id: self.agent_id.clone(),
            tasks: self.records.iter().map(task).collect(),
            operations: self.resources.operations.clone(),
        }
    }
}
