//! What a scheduler asks for, against what is possible at the moment.
//!
//! Launches on void offers end as DROPPED updates, kills outlive the connection, suppression is told again on
//! every subscription, and nothing but Subscribe is sent before the master answered it.

use std::collections::BTreeSet;

use proffer_types::scheduler_link::{Call, Operation};
use proffer_types::{
    KillPolicy, OfferId, Role, StatusReason, StatusSource, TaskId, TaskInfo, TaskState, TaskStatus,
};

use super::Session;
use crate::records::{self, Live};
use crate::{Output, Scheduler};

impl<S: Scheduler> Session<S> {
    pub(super) fn vet(&mut self, asked: Output, out: &mut Output) {
        out.writes.extend(asked.writes);
        for call in asked.calls {
            match &call {
                Call::Accept {
                    offers, operations, ..
                } => {
                    if !self.accept(offers, operations, out) {
                        continue;
                    }
                }
                Call::Decline { offers, .. } => {
                    if !self.take(offers) {
                        continue;
                    }
                }
                Call::Revive { roles } => self.revive(roles),
                Call::Suppress { roles } => self.suppress(roles),
                Call::Kill {
                    task_id, kill_policy, ..
                } => {
                    let call = self.kill(task_id, *kill_policy, out);
                    self.send(call, out);
                    continue;
                }
                Call::Subscribe { .. }
                | Call::Acknowledge { .. }
                | Call::Reconcile { .. }
                | Call::Teardown
                | Call::Ping => {}
            }
            self.send(call, out);
        }
    }

    fn send(&self, call: Call, out: &mut Output) {
        if self.is_subscribed() {
            out.calls.push(call);
        }
    }

    /// Takes the offers and records the tasks; tells whether the call may go out.
    fn accept(&mut self, offers: &[OfferId], operations: &[Operation], out: &mut Output) -> bool {
        let valid = self.take(offers);
        for Operation::Launch(tasks) in operations {
            for task in tasks {
                self.launch(task, out);
                if !valid {
                    self.local.push_back(self.dropped(task));
                }
            }
        }
        valid
    }

    /// Uses offers up; tells whether all of them were still there.
    fn take(&mut self, offers: &[OfferId]) -> bool {
        let n_taken = offers.iter().filter(|id| self.offers.remove(*id)).count();
        n_taken == offers.len()
    }

    fn launch(&mut self, task: &TaskInfo, out: &mut Output) {
        let live = Live {
            agent_id: Some(task.agent_id.clone()),
            kill: None,
            answered: true,
        };
        out.writes.push(records::put_task(&task.id, &live));
        self.tasks.insert(task.id.clone(), live);
    }

    fn dropped(&self, task: &TaskInfo) -> TaskStatus {
        TaskStatus {
            task_id: task.id.clone(),
            agent_id: Some(task.agent_id.clone()),
            state: TaskState::Dropped,
            source: StatusSource::Master,
            reason: Some(StatusReason::InvalidOffers),
            message: "the offer was void when the launch was asked for".to_owned(),
            timestamp: self.now,
            uuid: None,
            exit: None,
            usage: None,
        }
    }

    fn kill(&mut self, id: &TaskId, kill_policy: KillPolicy, out: &mut Output) -> Call {
        let live = self.tasks.get_mut(id);
        let agent_id = live.as_ref().and_then(|live| live.agent_id.clone());
        if let Some(live) = live
            && live.kill != Some(kill_policy)
        {
            live.kill = Some(kill_policy);
            out.writes.push(records::put_task(id, live));
        }
        Call::Kill {
            task_id: id.clone(),
            agent_id,
            kill_policy,
        }
    }

    fn revive(&mut self, roles: &BTreeSet<Role>) {
        if roles.is_empty() {
            self.suppressed.clear();
        } else {
            self.suppressed.retain(|role| !roles.contains(role));
        }
    }

    fn suppress(&mut self, roles: &BTreeSet<Role>) {
        let roles = if roles.is_empty() { &self.info.roles } else { roles };
        self.suppressed.extend(roles.iter().cloned());
    }
}
