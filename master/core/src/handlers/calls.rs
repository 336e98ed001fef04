//! What a scheduler asks, one call at a time.

use std::collections::BTreeSet;

use proffer_types::scheduler_link::Call;
use proffer_types::{FrameworkId, Role};

use super::{
    accept, acknowledge, demand, framework_gone, inverse, kill, offers, operation, reconcile, subscribe,
    suspend, update,
};
use crate::cx::Cx;
use crate::state::Peer;
use crate::{CloseReason, Event, LinkId};

pub(crate) fn handle(cx: &mut Cx<'_>, link: LinkId, calls: Vec<Call>) {
    let mut calls = calls.into_iter();
    if cx.state.peer(link).is_none() {
        match calls.next() {
            Some(Call::Subscribe {
                info,
                suppressed_roles,
                adopt,
            }) => subscribe::handle(cx, link, info, suppressed_roles, adopt),
            Some(_) => cx.close(link, CloseReason::NotRegistered),
            None => {}
        }
    }
    for call in calls {
        // A call may end the subscription; what follows it on the stream is void.
        let Some(Peer::Framework(framework)) = cx.state.peer(link).cloned() else {
            return;
        };
        call_of(cx, link, &framework, call);
    }
}

fn call_of(cx: &mut Cx<'_>, link: LinkId, framework: &FrameworkId, call: Call) {
    match call {
        Call::Subscribe { .. } => {
            framework_gone::disconnected(cx, framework);
            let message = "the stream is subscribed already; open another one to subscribe again";
            cx.refuse_scheduler(link, message.to_owned());
        }
        Call::Update {
            info,
            suppressed_roles,
        } => update::handle(cx, link, framework, info, suppressed_roles),
        Call::Demand { role, demand } => demand::handle(cx, link, framework, role, demand),
        Call::Accept {
            offers,
            operations,
            refused,
            filters,
        } => {
            accept::handle(cx, framework, &offers, operations, &refused, filters);
        }
        Call::Decline { offers, filters } => offers::decline(cx, framework, &offers, filters),
        Call::AcceptInverse { offers } => inverse::accept(cx, framework, &offers),
        Call::DeclineInverse { offers, refuse } => inverse::decline(cx, framework, &offers, refuse),
        Call::Revive { roles } => revive(cx, framework, roles),
        Call::Suppress { roles } => suppress(cx, framework, roles),
        Call::Kill {
            task_id,
            agent_id,
            kill_policy,
        } => kill::handle(cx, framework, &task_id, agent_id.as_ref(), kill_policy),
        Call::Suspend { task_id, agent_id } => suspend::handle(cx, framework, &task_id, agent_id.as_ref()),
        Call::Acknowledge {
            agent_id,
            task_id,
            uuid,
        } => acknowledge::handle(cx, framework, &agent_id, &task_id, uuid),
        Call::Reconcile { tasks } => reconcile::handle(cx, framework, &tasks),
        Call::AcknowledgeOperation {
            agent_id,
            operation_id,
            uuid,
        } => operation::acknowledge(cx, framework, &agent_id, &operation_id, uuid),
        Call::ReconcileOperations { operations } => operation::reconcile(cx, framework, &operations),
        Call::Teardown => {
            framework_gone::complete(cx, framework);
            cx.close(link, CloseReason::FrameworkCompleted);
        }
        Call::Ping => {}
    }
}

fn suppress(cx: &mut Cx<'_>, framework: &FrameworkId, roles: BTreeSet<Role>) {
    if let Some(roles) = own_roles(cx, framework, roles) {
        cx.emit(Event::RolesSuppressed {
            framework_id: framework.clone(),
            roles,
        });
    }
}

fn revive(cx: &mut Cx<'_>, framework: &FrameworkId, roles: BTreeSet<Role>) {
    if let Some(roles) = own_roles(cx, framework, roles) {
        cx.emit(Event::RolesRevived {
            framework_id: framework.clone(),
            roles,
        });
    }
}

/// No role means all; one that is not the framework's voids the call.
fn own_roles(cx: &Cx<'_>, framework: &FrameworkId, roles: BTreeSet<Role>) -> Option<BTreeSet<Role>> {
    let own = &cx.state.framework(framework)?.info.roles;
    if roles.is_empty() {
        return Some(own.clone());
    }
    roles.is_subset(own).then_some(roles)
}
