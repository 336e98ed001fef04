//! Updates arrive in the order in which the agent made them, none is left out, and none is dropped by the agent
//! before the scheduler wrote down what it made of it. Each delivery is acknowledged once.
//!
//! A task whose checkpoint fails before its launch is refused: it ends as DROPPED, as if it never had been accepted. What
//! was written of it by then and not sent to anybody goes with it.
//!
//! Source: Mesos, "Reconciliation" and `StatusUpdateManager`: at least once, in order, head of the queue only.

use std::collections::{BTreeMap, BTreeSet};

use proffer_agent_core::TaskKey;
use proffer_types::scheduler_link::Call;
use proffer_types::{FrameworkId, StatusUuid, TaskStatus, Timestamp};

use super::{Invariant, completed};
use crate::facts::Fact;

#[derive(Debug, Default)]
struct Queue {
    /// In the order in which they were made.
    made: Vec<StatusUuid>,
    pending: Vec<StatusUuid>,
    passing: Vec<StatusUuid>,
    /// How many of `made` the scheduler has seen the first time.
    n_told: usize,
}

#[derive(Debug, Default)]
pub(crate) struct UpdatesInOrder {
    queues: BTreeMap<TaskKey, Queue>,
    /// Deliveries not acknowledged yet.
    open: BTreeMap<StatusUuid, u32>,
    /// Tasks that had a container.
    launched: BTreeSet<TaskKey>,
    /// What agents sent.
    sent: BTreeSet<StatusUuid>,
    completed: BTreeSet<FrameworkId>,
}

impl Invariant for UpdatesInOrder {
    fn name(&self) -> &'static str {
        "updates in order, acknowledged once"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Stored { changes, .. } => {
                self.completed.extend(completed(changes));
                Ok(())
            }
            Fact::ContainerLaunched { key, .. } => {
                self.launched.insert((*key).clone());
                Ok(())
            }
            Fact::Reported { uuid, .. } => {
                self.sent.extend(*uuid);
                Ok(())
            }
            Fact::Checkpointed {
                key,
                pending,
                passing,
            } => self.written(key, pending, passing),
            Fact::Told { framework_id, status } => self.told(framework_id, status),
            Fact::Called {
                call: Call::Acknowledge { uuid, .. },
                ..
            } => self.acknowledged(*uuid),
            _ => Ok(()),
        }
    }
}

impl UpdatesInOrder {
    fn written(
        &mut self,
        key: &TaskKey,
        pending: &[StatusUuid],
        passing: &[StatusUuid],
    ) -> Result<(), String> {
        let completed = self.completed.contains(&key.framework_id);
        let launched = self.launched.contains(key);
        let queue = self.queues.entry(key.clone()).or_default();
        // One that was not sent gives way to the next that says all it said.
        let replaced = queue.pending.last().copied().filter(|last| {
            let replaces = pending
                .last()
                .is_some_and(|now| now != last && passing.contains(now));
            queue.passing.contains(last) && !pending.contains(last) && replaces
        });
        if let Some(replaced) = replaced {
            queue.pending.pop();
            queue.made.retain(|made| *made != replaced);
        }
        for uuid in pending {
            if !queue.made.contains(uuid) {
                queue.made.push(*uuid);
            }
        }
        let dropped = queue.pending.iter().filter(|uuid| !pending.contains(uuid));
        for uuid in dropped {
            let told = queue.made.iter().take(queue.n_told).any(|made| made == uuid);
            let refused = !launched && !self.sent.contains(uuid);
            if !told && !completed && !refused {
                return Err(format!(
                    "the agent dropped update {uuid} of {key} before its scheduler had it"
                ));
            }
        }
        queue.pending = pending.to_vec();
        queue.passing = passing.to_vec();
        Ok(())
    }

    fn told(&mut self, framework_id: &FrameworkId, status: &TaskStatus) -> Result<(), String> {
        let key = TaskKey {
            framework_id: framework_id.clone(),
            task_id: status.task_id.clone(),
        };
        let Some(uuid) = status.uuid else { return Ok(()) };
        *self.open.entry(uuid).or_default() += 1;
        // Refused tasks have no record on disk: their one update has no order to keep.
        let Some(queue) = self.queues.get_mut(&key) else {
            return Ok(());
        };
        let Some(at) = queue.made.iter().position(|made| *made == uuid) else {
            return Ok(());
        };
        if at > queue.n_told {
            return Err(format!(
                "{key}: update {} came, but only {} came before it",
                at + 1,
                queue.n_told
            ));
        }
        queue.n_told = queue.n_told.max(at + 1);
        Ok(())
    }

    fn acknowledged(&mut self, uuid: StatusUuid) -> Result<(), String> {
        match self.open.get_mut(&uuid) {
            Some(n) if *n > 0 => {
                *n -= 1;
                Ok(())
            }
            _ => Err(format!("update {uuid} was acknowledged without a delivery")),
        }
    }
}
