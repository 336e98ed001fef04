//! What a sabotaged master's shell makes of what passes through it.

use std::time::Duration;

use proffer_master_core::{Command, Effect, State};
use proffer_types::scheduler_link::{Call, Event};
use proffer_types::{Filters, FrameworkInfo, Operation, ResourceName, Resources, Role, Timestamp};

use crate::sabotage::Sabotage;
use crate::scenario::FIRST_PORT;

/// A role below another, and what a master that does not look up the tree takes it for.
const BELOW: &str = "eng/prod";
const BESIDE: &str = "eng-prod";

pub(crate) fn command(sabotage: Option<Sabotage>, mut command: Command) -> Command {
    let Command::SchedulerCalls { calls, .. } = &mut command else {
        return command;
    };
    match sabotage {
        Some(Sabotage::OffersWhatIsRefused) => calls.iter_mut().for_each(claim_too_much),
        Some(Sabotage::LimitOfTopRoleOnly) => calls.iter_mut().for_each(set_beside),
        _ => {}
    }
    command
}

pub(crate) fn effect(sabotage: Option<Sabotage>, mut effect: Effect) -> Effect {
    if sabotage == Some(Sabotage::LimitOfTopRoleOnly)
        && let Effect::ToFramework {
            event: Event::Offers(offers),
            ..
        } = &mut effect
    {
        offers
            .iter_mut()
            .for_each(|offer| rename(&mut offer.role, BESIDE, BELOW));
    }
    effect
}

/// What makes of each offer whose time is over one that ended without a filter, before the master gets to it.
pub(crate) fn end_without_filter(state: &State, now: Timestamp) -> Vec<Command> {
    let over = state
        .offers()
        .filter(|(_, offer)| offer.expires.is_some_and(|at| at <= now));
    let ends = over.filter_map(|(id, offer)| {
        let link = state.framework(&offer.framework_id)?.link()?;
        let filters = Filters {
            refuse: Duration::ZERO,
            at_least: None,
        };
        let offers = vec![id.clone()];
        let calls = vec![Call::Decline { offers, filters }];
        Some(Command::SchedulerCalls { link, calls })
    });
    ends.collect()
}

/// The role that was meant.
pub(crate) fn meant(role: &Role) -> Role {
    let mut role = role.clone();
    rename(&mut role, BESIDE, BELOW);
    role
}

fn rename(role: &mut Role, from: &str, to: &str) {
    if role.as_str() == from
        && let Ok(other) = Role::new(to)
    {
        *role = other;
    }
}

fn set_beside(call: &mut Call) {
    let beside = |mut role: Role| {
        rename(&mut role, BELOW, BESIDE);
        role
    };
    match call {
        Call::Subscribe {
            info,
            suppressed_roles: roles,
            ..
        }
        | Call::Update {
            info,
            suppressed_roles: roles,
        } => {
            let FrameworkInfo {
                roles: all,
                preferences,
                ..
            } = info;
            *all = std::mem::take(all).into_iter().map(beside).collect();
            let renamed = std::mem::take(preferences).into_iter();
            *preferences = renamed
                .map(|(role, preference)| (beside(role), preference))
                .collect();
            *roles = std::mem::take(roles).into_iter().map(beside).collect();
        }
        Call::Revive { roles } | Call::Suppress { roles } => {
            *roles = std::mem::take(roles).into_iter().map(beside).collect();
        }
        Call::Demand { role, .. } => rename(role, BELOW, BESIDE),
        Call::Accept { .. }
        | Call::Decline { .. }
        | Call::AcceptInverse { .. }
        | Call::DeclineInverse { .. }
        | Call::Kill { .. }
        | Call::Suspend { .. }
        | Call::Acknowledge { .. }
        | Call::AcknowledgeOperation { .. }
        | Call::Reconcile { .. }
        | Call::ReconcileOperations { .. }
        | Call::Teardown
        | Call::Ping => {}
    }
}

/// As if the free ports of an offer had been another's: whoever takes the first is refused, however often.
fn claim_too_much(call: &mut Call) {
    let Call::Accept { operations, .. } = call else {
        return;
    };
    let launches = operations.iter_mut().filter_map(|operation| match operation {
        Operation::Launch(tasks) | Operation::LaunchGroup(tasks) => Some(tasks),
        Operation::Resume(_) | Operation::Change { .. } => None,
    });
    for task in launches.flatten() {
        let ports = task.resources.ranges(&ResourceName::Ports);
        let first = ports.and_then(|ports| ports.iter().next());
        if first.is_some_and(|(first, _)| first == FIRST_PORT) {
            task.resources.add(&Resources::of(1_000_000, 0, 0));
        }
    }
}
