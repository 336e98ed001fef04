//! A framework states what it would run in one of its roles.

use proffer_types::{Demand, FrameworkId, Role};

use super::framework_gone;
use crate::cx::Cx;
use crate::state::Framework;
use crate::validate::check_shapes;
use crate::{Event, LinkId};

pub(crate) fn handle(
    cx: &mut Cx<'_>,
    link: LinkId,
    framework: &FrameworkId,
    role: Role,
    demand: Option<Demand>,
) {
    if let Err(message) = check(cx.state.framework(framework), &role, demand.as_ref()) {
        framework_gone::disconnected(cx, framework);
        return cx.refuse_scheduler(link, message);
    }
    cx.emit(Event::DemandStated {
        framework_id: framework.clone(),
        role,
        demand,
        at: cx.now,
    });
}

fn check(framework: Option<&Framework>, role: &Role, demand: Option<&Demand>) -> Result<(), String> {
    if framework.is_none_or(|framework| !framework.info.roles.contains(role)) {
        return Err(format!(
            "demand is stated for `{role}`, which is not one of the framework's roles"
        ));
    }
    check_shapes(demand.map_or(&[][..], |demand| &demand.shapes))
}
