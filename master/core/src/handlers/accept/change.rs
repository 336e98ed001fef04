//! RESERVE, UNRESERVE, CREATE, DESTROY, GROW and SHRINK: applied here at once, made durable by the agent.

use proffer_types::{OperationId, ResourceChange};

use super::{Remainder, tell_operation};
use crate::cx::Cx;
use crate::handlers::operation;
use crate::state::Framework;

pub(super) fn run(
    cx: &mut Cx<'_>,
    remainder: &mut Remainder,
    id: Option<OperationId>,
    change: ResourceChange,
) {
    if let Err(why) = apply(cx, remainder, id.clone(), change) {
        let (framework, agent) = (remainder.framework_id.clone(), remainder.agent_id.clone());
        tell_operation(cx, &framework, Some(&agent), id.as_ref(), &why);
    }
}

fn apply(
    cx: &mut Cx<'_>,
    remainder: &mut Remainder,
    id: Option<OperationId>,
    change: ResourceChange,
) -> Result<(), String> {
    check(cx, remainder, &change)?;
    let conversion = change
        .conversion(&remainder.left)
        .map_err(|error| error.to_string())?;
    let after = change.apply(&remainder.left).map_err(|error| error.to_string())?;
    let resizes = matches!(
        change,
        ResourceChange::Grow { .. } | ResourceChange::Shrink { .. }
    );
    let owner = id.map(|id| (remainder.framework_id.clone(), id));
    operation::send(cx, &remainder.agent_id, owner, change)?;
    if resizes {
        // Not to be used before the agent has done it.
        remainder.left.subtract(&conversion.consumed);
    } else {
        remainder.left = after;
        remainder.converted.add(&conversion.produced);
    }
    Ok(())
}

/// What a framework may not do though the resources allow it.
fn check(cx: &Cx<'_>, remainder: &Remainder, change: &ResourceChange) -> Result<(), String> {
    match change {
        ResourceChange::Reserve { reservation, .. } if reservation.role != remainder.role => Err(format!(
            "the reservation is for role `{}`, the offer is to role `{}`",
            reservation.role, remainder.role
        )),
        ResourceChange::Create { volume, .. } if volume.shared && !may_share(cx, remainder) => Err(format!(
            "volume `{}` is shared, and the framework does not have that capability",
            volume.id
        )),
        ResourceChange::Reserve { .. }
        | ResourceChange::Unreserve { .. }
        | ResourceChange::Create { .. }
        | ResourceChange::Destroy { .. }
        | ResourceChange::Grow { .. }
        | ResourceChange::Shrink { .. } => Ok(()),
    }
}

fn may_share(cx: &Cx<'_>, remainder: &Remainder) -> bool {
    let framework: Option<&Framework> = cx.state.framework(&remainder.framework_id);
    framework.is_some_and(|framework| framework.info.capabilities.shared)
}
