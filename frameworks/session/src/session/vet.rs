//! What a scheduler asks for, against what is possible at the moment.
//!
//! Kills outlive the connection, suppression and demand are told again on every subscription, and nothing but
//! Subscribe is sent before the master answered it.

use std::collections::BTreeSet;

use proffer_types::scheduler_link::Call;
use proffer_types::{KillPolicy, Role, TaskId};

use super::Session;
use crate::records;
use crate::{Output, Scheduler};

impl<S: Scheduler> Session<S> {
    pub(super) fn vet(&mut self, asked: Output, out: &mut Output) {
        out.writes.extend(asked.writes);
        for call in asked.calls {
            self.vet_call(call, out);
        }
        self.tell_demand(out);
    }

    fn vet_call(&mut self, call: Call, out: &mut Output) {
        match call {
            Call::Accept {
                offers,
                operations,
                refused: _,
                filters,
            } => self.accept(offers, operations, filters, out),
            Call::Decline { offers, filters } => {
                let offers = self.offers.take_bundles(&offers);
                self.decline(offers, filters, out);
            }
            Call::Demand { role, demand } => self.state_demand(role, demand),
            Call::Revive { roles } => {
                self.revive(&roles);
                self.send(Call::Revive { roles }, out);
            }
            Call::Suppress { roles } => {
                self.suppress(&roles);
                self.send(Call::Suppress { roles }, out);
            }
            Call::Kill {
                task_id, kill_policy, ..
            } => {
                let call = self.kill(&task_id, kill_policy, out);
                self.send(call, out);
            }
            Call::Suspend { task_id, .. } => {
                let agent_id = self.agent_of(&task_id);
                self.send(Call::Suspend { task_id, agent_id }, out);
            }
            Call::Teardown => self.teardown(out),
            Call::AcceptInverse { .. }
            | Call::DeclineInverse { .. }
            | Call::Subscribe { .. }
            | Call::Update { .. }
            | Call::Acknowledge { .. }
            | Call::AcknowledgeOperation { .. }
            | Call::Reconcile { .. }
            | Call::ReconcileOperations { .. }
            | Call::Ping => self.send(call, out),
        }
    }

    pub(super) fn send(&self, call: Call, out: &mut Output) {
        if self.is_subscribed() {
            out.calls.push(call);
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
        self.suppressed
            .extend(roles.intersection(&self.info.roles).cloned());
    }
}
