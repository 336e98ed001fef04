//! An operator takes an agent out of use, or back: its offers end, its tasks stay.

use proffer_types::AgentId;

use super::agent_lost;
use crate::cx::Cx;
use crate::{Event, OperatorError, Upkeep};

/// The agent is not offered until further notice.
pub(crate) fn deactivate(cx: &mut Cx<'_>, agent: &AgentId) -> Result<(), OperatorError> {
    let upkeep = known(cx, agent)?;
    let deactivated = upkeep.deactivated.or(Some(cx.now));
    set(
        cx,
        agent,
        Upkeep {
            deactivated,
            ..upkeep
        },
    );
    Ok(())
}

/// The agent is offered again; a drain ends, too.
pub(crate) fn reactivate(cx: &mut Cx<'_>, agent: &AgentId) -> Result<(), OperatorError> {
    known(cx, agent)?;
    set(cx, agent, Upkeep::default());
    Ok(())
}

/// What operators decided of an agent that is admitted and not gone.
pub(super) fn known(cx: &Cx<'_>, agent: &AgentId) -> Result<Upkeep, OperatorError> {
    match cx.state.agent(agent) {
        Some(agent) => Ok(agent.upkeep.clone()),
        None if cx.state.gone_agents().contains_key(agent) => Err(OperatorError::AgentGone(agent.clone())),
        None => Err(OperatorError::NoSuchAgent(agent.clone())),
    }
}

/// Records what is decided of an agent, if it is anything new; takes its offers back where it is not offered any more.
pub(super) fn set(cx: &mut Cx<'_>, agent: &AgentId, upkeep: Upkeep) {
    let is_new = cx.state.agent(agent).is_some_and(|known| known.upkeep != upkeep);
    if !is_new {
        return;
    }
    if !upkeep.is_offered() {
        agent_lost::rescind_offers(cx, agent);
    }
    let agent_id = agent.clone();
    cx.emit(Event::AgentUpkeep { agent_id, upkeep });
}
