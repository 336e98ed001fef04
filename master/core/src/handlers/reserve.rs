//! An operator reserves resources of an agent, or gives them back: what is offered of them is taken back first. Answered
//! when the agent has it on disk.

use proffer_types::resources::change::ChangeError;
use proffer_types::{AgentId, OfferId, OperationId, ResourceChange, Resources};

use super::{offers, operation};
use crate::OperatorError;
use crate::cx::Cx;
use crate::state::Agent;

/// Reserves; `resources` are as they are to be.
pub(crate) fn reserve(
    cx: &mut Cx<'_>,
    agent_id: &AgentId,
    resources: &Resources,
) -> Result<OperationId, OperatorError> {
    let reserving = reserving(resources).map_err(|error| OperatorError::Change {
        agent_id: agent_id.clone(),
        why: error.to_string(),
    })?;
    change(cx, agent_id, reserving)
}

/// Takes the highest reservation off.
pub(crate) fn unreserve(
    cx: &mut Cx<'_>,
    agent_id: &AgentId,
    resources: Resources,
) -> Result<OperationId, OperatorError> {
    change(cx, agent_id, ResourceChange::Unreserve { resources })
}

/// The change that leads to these resources: all of one reservation on top.
fn reserving(wanted: &Resources) -> Result<ResourceChange, ChangeError> {
    let mut tops = wanted.kinds().filter_map(|(kind, _)| kind.reservations.last());
    let reservation = tops.next().cloned().ok_or(ChangeError::Nothing)?;
    let below = ResourceChange::Unreserve {
        resources: wanted.clone(),
    };
    let resources = below.conversion(wanted)?.produced;
    let change = ResourceChange::Reserve {
        resources: resources.clone(),
        reservation,
    };
    match change.conversion(&resources)?.produced == *wanted {
        true => Ok(change),
        false => Err(ChangeError::NotReserved(wanted.clone())),
    }
}

fn change(cx: &mut Cx<'_>, agent_id: &AgentId, change: ResourceChange) -> Result<OperationId, OperatorError> {
    if cx.state.agent(agent_id).and_then(Agent::link).is_none() {
        return Err(OperatorError::UnknownAgent(agent_id.clone()));
    }
    let refuse = |why: String| OperatorError::Change {
        agent_id: agent_id.clone(),
        why,
    };
    let agent = cx.state.agent(agent_id);
    let total = agent
        .map(|agent| agent.info.resources.clone())
        .unwrap_or_default();
    let conversion = change
        .conversion(&total)
        .map_err(|error| refuse(error.to_string()))?;
    free_up(cx, agent_id, &conversion.consumed)?;
    operation::send(cx, agent_id, None, change).map_err(refuse)
}

/// Takes offers of an agent back until what is wanted is free there; none when they would not be enough.
fn free_up(cx: &mut Cx<'_>, agent_id: &AgentId, wanted: &Resources) -> Result<(), OperatorError> {
    let agent = cx.state.agent(agent_id);
    let outstanding: Vec<OfferId> = agent
        .into_iter()
        .flat_map(|agent| &agent.offers)
        .cloned()
        .collect();
    let mut available = free(cx, agent_id);
    for offer in &outstanding {
        if let Some(claim) = cx.state.offered(offer) {
            available.add(&claim.resources);
        }
    }
    if let Some(name) = available.first_lacking(wanted).cloned() {
        return Err(OperatorError::NotFree {
            agent_id: agent_id.clone(),
            name,
            free: available,
        });
    }
    for offer in outstanding {
        if free(cx, agent_id).contains(wanted) {
            break;
        }
        offers::rescind(cx, &offer);
    }
    Ok(())
}

fn free(cx: &Cx<'_>, agent: &AgentId) -> Resources {
    let ledger = cx.state.ledger();
    let entry = ledger.agent_ix(agent).and_then(|agent| ledger.agent(agent));
    entry.map(|entry| entry.free.clone()).unwrap_or_default()
}
