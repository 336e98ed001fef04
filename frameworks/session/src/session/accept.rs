//! What a scheduler does with offers.
//!
//! Tasks and operations with an id are recorded before the call goes out. What was asked for on offers that cannot be
//! used does not go out, and ends with updates of the session's own.

use proffer_types::scheduler_link::Call;
use proffer_types::{
    AgentId, Filters, OfferId, Operation, OperationId, OperationState, OperationStatus, StatusReason,
    StatusSource, TaskId, TaskInfo, TaskState, TaskStatus,
};

use super::offers::Unusable;
use super::{Local, Session};
use crate::records::{self, Live, LiveOperation};
use crate::{Output, Scheduler};

impl<S: Scheduler> Session<S> {
    pub(super) fn accept(
        &mut self,
        offers: Vec<OfferId>,
        mut operations: Vec<Operation>,
        filters: Filters,
        out: &mut Output,
    ) {
        let taken = self.offers.take(&offers);
        let agent_id = taken.as_ref().ok().cloned().flatten();
        operations.retain(|operation| self.record(operation, agent_id.as_ref(), out));
        match taken {
            Ok(_) => {
                let refused = Vec::new();
                self.send(
                    Call::Accept {
                        offers,
                        operations,
                        refused,
                        filters,
                    },
                    out,
                );
            }
            Err(Unusable { why, left }) => {
                operations
                    .iter()
                    .for_each(|operation| self.drop_locally(operation, why));
                self.ask_about_suspended(&operations, out);
                self.decline(left, filters, out);
            }
        }
    }

    /// Declines offers that were taken, if there are any.
    pub(super) fn decline(&mut self, offers: Vec<OfferId>, filters: Filters, out: &mut Output) {
        if !offers.is_empty() {
            self.send(Call::Decline { offers, filters }, out);
        }
    }

    /// Records what an operation brings to life; tells whether it may be carried out.
    fn record(&mut self, operation: &Operation, agent_id: Option<&AgentId>, out: &mut Output) -> bool {
        match operation {
            Operation::Launch(tasks) | Operation::LaunchGroup(tasks) => {
                tasks.iter().for_each(|task| self.record_task(task, out));
                true
            }
            // What becomes of a resumption is in the task's statuses.
            Operation::Resume(_) | Operation::Change { id: None, .. } => true,
            Operation::Change { id: Some(id), .. } if self.operations.contains_key(id) => {
                let (state, why) = (OperationState::Error, "an operation with this id is under way");
                let status = self.local_operation(id, state, why);
                self.local.push_back(Local::Duplicate(status));
                false
            }
            Operation::Change { id: Some(id), .. } => {
                let live = LiveOperation {
                    agent_id: agent_id.cloned(),
                    answered: true,
                };
                out.writes.push(records::put_operation(id, &live));
                self.operations.insert(id.clone(), live);
                true
            }
        }
    }

    fn record_task(&mut self, task: &TaskInfo, out: &mut Output) {
        let live = Live {
            agent_id: Some(task.agent_id.clone()),
            kill: None,
            answered: true,
        };
        out.writes.push(records::put_task(&task.id, &live));
        self.tasks.insert(task.id.clone(), live);
    }

    fn drop_locally(&mut self, operation: &Operation, why: &str) {
        match operation {
            Operation::Launch(tasks) | Operation::LaunchGroup(tasks) => {
                let dropped = tasks.iter().map(|task| Local::Task(self.dropped(task, why)));
                let dropped: Vec<_> = dropped.collect();
                self.local.extend(dropped);
            }
            Operation::Resume(_) | Operation::Change { id: None, .. } => {}
            Operation::Change { id: Some(id), .. } => {
                let status = self.local_operation(id, OperationState::Dropped, why);
                self.local.push_back(Local::Operation(status));
            }
        }
    }

    /// Tasks that are not resumed after all stay suspended; the master's answer tells so.
    fn ask_about_suspended(&self, operations: &[Operation], out: &mut Output) {
        let resumed = operations.iter().flat_map(|operation| match operation {
            Operation::Resume(tasks) => tasks.as_slice(),
            Operation::Launch(_) | Operation::LaunchGroup(_) | Operation::Change { .. } => &[],
        });
        let tasks: Vec<_> = resumed.map(|id| (id.clone(), self.agent_of(id))).collect();
        if !tasks.is_empty() {
            self.send(Call::Reconcile { tasks }, out);
        }
    }

    /// Where a task is, as far as that is known.
    pub(super) fn agent_of(&self, id: &TaskId) -> Option<AgentId> {
        self.tasks.get(id)?.agent_id.clone()
    }

    fn dropped(&self, task: &TaskInfo, why: &str) -> TaskStatus {
        TaskStatus {
            task_id: task.id.clone(),
            agent_id: Some(task.agent_id.clone()),
            state: TaskState::Dropped,
            source: StatusSource::Master,
            reason: Some(StatusReason::InvalidOffers),
            message: why.to_owned(),
            timestamp: self.now,
            uuid: None,
            exit: None,
            usage: None,
            condition: proffer_types::TaskCondition::default(),
        }
    }

    fn local_operation(&self, id: &OperationId, state: OperationState, why: &str) -> OperationStatus {
        OperationStatus {
            operation_id: id.clone(),
            agent_id: None,
            state,
            message: why.to_owned(),
            timestamp: self.now,
            uuid: None,
        }
    }
}
