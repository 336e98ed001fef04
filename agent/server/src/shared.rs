//! What the API reads while the driver writes: which tasks are live, in which containers, what there is in all, and whether a session
//! is open.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proffer_agent_core::{Agent, ContainerId, Event, TaskKey};
use proffer_types::Resources;
use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct Shared {
    live: Mutex<BTreeMap<TaskKey, ContainerId>>,
    /// Counts tasks that ended; readers of logs wait on it.
    ended: watch::Sender<u64>,
    registered: watch::Sender<bool>,
    total: watch::Sender<Resources>,
}

impl Shared {
    pub(crate) fn new(agent: &Agent) -> Self {
        let live = agent.tasks().filter(|task| !task.latest.state.is_terminal());
        Self {
            live: Mutex::new(live.map(|task| (task.key.clone(), task.container_id)).collect()),
            ended: watch::Sender::new(0),
            registered: watch::Sender::new(false),
            total: watch::Sender::new(agent.info().resources.clone()),
        }
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<TaskKey, ContainerId>> {
        // A map is whole between its operations, whoever panicked.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn apply(&self, event: &Event) {
        if let Event::TaskAccepted { key, container_id }
        | Event::ContainerReplaced { key, container_id }
        | Event::ExecutorStarted { key, container_id } = event
        {
            self.live().insert(key.clone(), *container_id);
        }
        // Its output is read as that of a task.
        if let Event::ExecutorEnded { key, .. } = event
            && self.live().remove(key).is_some()
        {
            self.ended.send_modify(|n| *n += 1);
        }
        if let Event::ResourcesChanged { total } = event {
            self.total.send_replace(total.clone());
        }
        if let Event::TaskState { key, state, .. } = event
            && state.is_terminal()
            && self.live().remove(key).is_some()
        {
            self.ended.send_modify(|n| *n += 1);
        }
    }

    pub(crate) fn set_registered(&self, registered: bool) {
        self.registered.send_if_modified(|present| {
            let changed = *present != registered;
            *present = registered;
            changed
        });
    }

    pub(crate) fn is_registered(&self) -> bool {
        *self.registered.borrow()
    }

    /// What the agent has in all, with its reservations and volumes.
    pub(crate) fn total(&self) -> Resources {
        self.total.borrow().clone()
    }

    /// Whether a task may still write to its sandbox.
    pub(crate) fn is_live(&self, key: &TaskKey) -> bool {
        self.live().contains_key(key)
    }

    /// The container of a live task; it may be about to be made, or be gone already.
    pub(crate) fn container(&self, key: &TaskKey) -> Option<ContainerId> {
        self.live().get(key).copied()
    }

    /// Those of all live tasks.
    pub(crate) fn containers(&self) -> Vec<(TaskKey, ContainerId)> {
        let live = self.live();
        live.iter().map(|(key, id)| (key.clone(), *id)).collect()
    }

    /// Changes whenever a task ends.
    pub(crate) fn ended(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    #[cfg(test)]
    pub(crate) fn with_live(live: impl IntoIterator<Item = TaskKey>) -> Self {
        Self {
            live: Mutex::new(live.into_iter().map(|key| (key, ContainerId(0))).collect()),
            ended: watch::Sender::new(0),
            registered: watch::Sender::new(false),
            total: watch::Sender::new(Resources::new()),
        }
    }

    #[cfg(test)]
    pub(crate) fn end(&self, key: &TaskKey) {
        self.live().remove(key);
        self.ended.send_modify(|n| *n += 1);
    }
}
