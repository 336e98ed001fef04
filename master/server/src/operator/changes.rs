//! Requests for changes, as the core takes them.

use proffer_master_core::OperatorRequest;
use proffer_types::Resources;
use proffer_wire::{ConvertError, offer, quota, v1};

use super::parse;

/// What is absent stays as it is.
pub(super) fn set_role(request: v1::SetRoleRequest) -> Result<OperatorRequest, ConvertError> {
    let weight = request
        .weight
        .map(|weight| offer::weight_millis("weight", weight));
    let guarantee = request
        .guarantee
        .map(|message| quota::guarantee("guarantee", message));
    let limits = request.limits.map(|message| quota::limits("limits", message));
    Ok(OperatorRequest::SetRole {
        role: parse("role", &request.role)?,
        weight_millis: weight.transpose()?,
        priority: request.priority,
        guarantee: guarantee.transpose()?,
        limit: limits.transpose()?,
        force: request.force,
    })
}

pub(super) fn reserve(request: v1::ReserveRequest) -> Result<OperatorRequest, ConvertError> {
    Ok(OperatorRequest::Reserve {
        agent_id: parse("agent_id", &request.agent_id)?,
        resources: reserved(request.resources)?,
    })
}

pub(super) fn unreserve(request: v1::UnreserveRequest) -> Result<OperatorRequest, ConvertError> {
    Ok(OperatorRequest::Unreserve {
        agent_id: parse("agent_id", &request.agent_id)?,
        resources: reserved(request.resources)?,
    })
}

/// Resources all of which are reserved.
fn reserved(message: Option<v1::Resources>) -> Result<Resources, ConvertError> {
    let refuse = |problem| ConvertError::new("resources", problem);
    let message = message.ok_or_else(|| refuse("is missing"))?;
    let resources = Resources::try_from(message).map_err(|error: ConvertError| error.under("resources"))?;
    if resources.is_empty() {
        return Err(refuse("is empty"));
    }
    if resources.reserved() != resources {
        return Err(refuse("must be reserved, like `cpus(+role):1`"));
    }
    Ok(resources)
}
