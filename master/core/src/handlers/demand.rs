//! A framework states what it would run in one of its roles.

use proffer_types::{FrameworkId, Role, Shape};

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
    shapes: Option<Vec<Shape>>,
) {
    if let Err(message) = check(cx.state.framework(framework), &role, shapes.as_deref()) {
        framework_gone::disconnected(cx, framework);
        return cx.refuse_scheduler(link, message);
    }
    cx.emit(Event::DemandStated {
        framework_id: framework.clone(),
        role,
        shapes,
        at: cx.now,
    });
}

fn check(framework: Option<&Framework>, role: &Role, shapes: Option<&[Shape]>) -> Result<(), String> {
    if framework.is_none_or(|framework| !framework.info.roles.contains(role)) {
        return Err(format!(
            "demand is stated for `{role}`, which is not one of the framework's roles"
        ));
    }
    check_shapes(shapes.unwrap_or_default())
}
