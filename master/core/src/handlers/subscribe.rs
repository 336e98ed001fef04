//! A scheduler subscribes: a new framework, one that comes back, or a second instance that takes over.

use std::collections::BTreeSet;

use proffer_types::{FrameworkId, FrameworkInfo, Role, TaskStatus, scheduler_link};

use super::{away, framework_gone, known, operation, tick};
use crate::cx::Cx;
use crate::limits::{MAX_FRAMEWORK_ROLES, MAX_NAME_BYTES, MAX_SERVICES};
use crate::state::Framework;
use crate::validate::{check_labels, check_preferences};
use crate::{CloseReason, Event, LinkId};

/// The way out for whoever comes with an id that is no good, for people.
const ANEW: &str = "to start anew as a new framework, remove the records that hold it (a shipped framework's data directory)";

pub(crate) fn handle(
    cx: &mut Cx<'_>,
    link: LinkId,
    info: FrameworkInfo,
    suppressed: BTreeSet<Role>,
    adopt: bool,
) {
    if let Err(message) = check_info(&info, &suppressed) {
        return cx.refuse_scheduler(link, message);
    }
    let framework_id = match known_id(cx, &info, adopt) {
        Ok(id) => id,
        Err(message) => return cx.refuse_scheduler(link, message),
    };
    if !take_over(cx, link, &framework_id) {
        return cx.close(link, CloseReason::TakenOver);
    }
    let watches = info.capabilities.agents;
    cx.emit(Event::FrameworkSubscribed {
        framework_id: framework_id.clone(),
        info,
        suppressed_roles: suppressed,
        link,
    });
    cx.send(
        link,
        scheduler_link::Event::Subscribed {
            framework_id: framework_id.clone(),
            master_id: cx.state.master_id().clone(),
            heartbeat_interval: cx.config.heartbeat_interval,
        },
    );
    cx.send(link, tick::shapes(cx.state));
    if watches {
        cx.send(link, known::all(cx.state));
    }
    resend_unacknowledged(cx, &framework_id);
    operation::resend(cx, &framework_id);
    away::tell_all(cx, &framework_id);
}

/// An id of which there is no record is taken as given only when that is asked for: at another cluster's master, a
/// framework would take its tasks for lost, and start them a second time.
fn known_id(cx: &Cx<'_>, info: &FrameworkInfo, adopt: bool) -> Result<FrameworkId, String> {
    let Some(id) = &info.id else {
        return Ok(cx.state.next_framework_id());
    };
    match cx.state.framework(id) {
        None if adopt => Ok(id.clone()),
        None => Err(format!(
            "the master has no record of framework id `{id}`; if this is its cluster all the same, subscribe with adoption (--adopt {id}); {ANEW}"
        )),
        Some(framework) if framework.is_completed() => Err(format!(
            "framework `{id}` is completed (torn down, or away for longer than its failover timeout) and its id is spent; {ANEW}"
        )),
        Some(_) => Ok(id.clone()),
    }
}

/// The older of two links ends, and its offers are void. False when that is `link`: a subscription that was long under
/// way, of a scheduler that has dialled again since; an error would be told to the living one.
fn take_over(cx: &mut Cx<'_>, link: LinkId, framework: &FrameworkId) -> bool {
    let known = cx.state.framework(framework);
    if known
        .and_then(|framework| framework.latest_link)
        .is_some_and(|latest| latest > link)
    {
        return false;
    }
    let Some(old) = known.and_then(Framework::link) else {
        return true;
    };
    let message = "another instance of the framework subscribed".to_owned();
    cx.send(old, scheduler_link::Event::Error { message });
    cx.close(old, CloseReason::TakenOver);
    framework_gone::end_offers(cx, framework);
    true
}

/// What the framework did not acknowledge before it left: its agents retry only every few minutes.
fn resend_unacknowledged(cx: &mut Cx<'_>, framework: &FrameworkId) {
    let waiting = cx
        .state
        .tasks_of(framework)
        .filter(|(_, task)| task.unacknowledged);
    let waiting: Vec<TaskStatus> = waiting.map(|(_, task)| task.view.status.clone()).collect();
    for status in waiting {
        cx.tell_framework(framework, scheduler_link::Event::Update(status));
    }
}

/// The form of what a framework says of itself.
pub(crate) fn check_info(info: &FrameworkInfo, suppressed: &BTreeSet<Role>) -> Result<(), String> {
    if info.roles.is_empty() || info.roles.len() > MAX_FRAMEWORK_ROLES {
        return Err(format!("a framework has 1 to {MAX_FRAMEWORK_ROLES} roles"));
    }
    if !suppressed.is_subset(&info.roles) {
        return Err("a suppressed role is not one of the framework's roles".to_owned());
    }
    if info.name.len() > MAX_NAME_BYTES {
        return Err(format!(
            "the framework's name has more than {MAX_NAME_BYTES} bytes"
        ));
    }
    if info.services.len() > MAX_SERVICES {
        return Err(format!("a framework advertises at most {MAX_SERVICES} services"));
    }
    for (role, preferences) in &info.preferences {
        if !info.roles.contains(role) {
            return Err(format!(
                "there are preferences for `{role}`, which is not one of the framework's roles"
            ));
        }
        check_preferences(preferences)?;
    }
    check_labels(&info.labels)
}
