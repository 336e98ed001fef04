//! A framework that is subscribed says something else of itself: whole or not at all.

use std::collections::BTreeSet;

use proffer_types::{FrameworkId, FrameworkInfo, Role};

use super::{framework_gone, offers, subscribe};
use crate::cx::Cx;
use crate::{Event, LinkId};

pub(crate) fn handle(
    cx: &mut Cx<'_>,
    link: LinkId,
    framework: &FrameworkId,
    info: FrameworkInfo,
    suppressed: BTreeSet<Role>,
) {
    if let Err(message) = check(framework, &info, &suppressed) {
        framework_gone::disconnected(cx, framework);
        return cx.refuse_scheduler(link, message);
    }
    let Some(known) = cx.state.framework(framework) else {
        return;
    };
    let info = FrameworkInfo {
        id: Some(framework.clone()),
        ..info
    };
    let entry = cx.state.ledger().framework(framework);
    let old_suppressed = entry.map(|entry| entry.suppressed.clone()).unwrap_or_default();
    if known.info == info && old_suppressed == suppressed {
        return;
    }
    let watches = info.capabilities.agents && !known.info.capabilities.agents;
    let left: BTreeSet<Role> = known.info.roles.difference(&info.roles).cloned().collect();
    offers::rescind_where(cx, |cx, id| {
        let offer = cx.state.offer(id);
        offer.is_some_and(|offer| offer.framework_id == *framework && left.contains(&offer.role))
    });
    let revived = old_suppressed.difference(&suppressed);
    let revived: BTreeSet<Role> = revived
        .filter(|role| info.roles.contains(*role))
        .cloned()
        .collect();
    cx.emit(Event::FrameworkUpdated {
        framework_id: framework.clone(),
        info,
        suppressed_roles: suppressed,
    });
    if watches {
        cx.send(link, super::known::all(cx.state));
    }
    if !revived.is_empty() {
        // Whoever wants offers again wants those it refused before, too.
        cx.emit(Event::RolesRevived {
            framework_id: framework.clone(),
            roles: revived,
        });
    }
}

fn check(framework: &FrameworkId, info: &FrameworkInfo, suppressed: &BTreeSet<Role>) -> Result<(), String> {
    match &info.id {
        Some(id) if id != framework => Err(format!("framework `{framework}` cannot become `{id}`")),
        Some(_) | None => subscribe::check_info(info, suppressed),
    }
}
