//! An operator takes an agent out of use, or back: its offers end, its tasks stay.

use proffer_types::AgentId;

use super::{agent_lost, drain, inverse};
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

/// The agent is offered again; a drain ends, too, and a maintenance window that has begun.
pub(crate) fn reactivate(cx: &mut Cx<'_>, agent: &AgentId) -> Result<(), OperatorError> {
    let upkeep = Upkeep {
        deactivated: None,
        ..drain::ended(known(cx, agent)?)
    };
    set(cx, agent, upkeep);
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

/// Records what is decided of an agent, if it is anything new; takes its offers back where they
/// do not hold any more.
pub(super) fn set(cx: &mut Cx<'_>, agent: &AgentId, upkeep: Upkeep) {
    let Some(known) = cx.state.agent(agent).filter(|known| known.upkeep != upkeep) else {
        return;
    };
    let is_announced_anew = upkeep.announced() != known.upkeep.announced();
    // Whoever has an offer knows the next window by it.
    if !upkeep.is_offered() || upkeep.coming() != known.upkeep.coming() {
        agent_lost::rescind_offers(cx, agent);
    }
    if is_announced_anew {
        inverse::rescind_all(cx, agent);
    }
    let agent_id = agent.clone();
    cx.emit(Event::AgentUpkeep { agent_id, upkeep });
}
