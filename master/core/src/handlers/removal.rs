//! An agent's time to come back is over: it is given up, unless too many would be at a time.
//!
//! Whoever waits keeps its tasks and a deadline, at which it is asked again; coming back ends the wait.

use proffer_types::{AgentId, Timestamp};

use super::agent_lost;
use crate::cx::Cx;
use crate::state::Agent;
use crate::{Event, RemovalDelay};

/// Gives an agent up, or lets it wait.
pub(crate) fn overdue(cx: &mut Cx<'_>, agent: &AgentId) {
    match obstacle(cx, agent) {
        None => agent_lost::unreachable(cx, agent),
        Some((why, until)) => cx.emit(Event::AgentRemovalDelayed {
            agent_id: agent.clone(),
            why,
            until,
        }),
    }
}

fn obstacle(cx: &Cx<'_>, agent: &AgentId) -> Option<(RemovalDelay, Timestamp)> {
    let is_recovered = cx.state.agent(agent).is_some_and(Agent::is_recovered);
    if is_recovered && too_many_away(cx) {
        let until = cx.now.after(cx.config.agent_reregister_timeout);
        return Some((RemovalDelay::TooManyAway, until.max(Timestamp(cx.now.0 + 1))));
    }
    let limit = cx.config.removal_limit?;
    let since = |at: &&Timestamp| cx.now.since(**at) < limit.per;
    let recent: Vec<Timestamp> = cx.state.removals().filter(since).copied().collect();
    let n = usize::try_from(limit.n).unwrap_or(usize::MAX);
    let oldest = recent.len().checked_sub(n).and_then(|at| recent.get(at))?;
    Some((RemovalDelay::Limit, oldest.after(limit.per)))
}

/// Whether a larger share of the agents than is thought possible did not come back after the master's start: then it
/// is rather the master who is cut off.
fn too_many_away(cx: &Cx<'_>) -> bool {
    let (n_away, n_expected) = (cx.state.n_recovered_agents(), cx.state.n_expected_agents());
    u64::from(n_away) * 100 > u64::from(n_expected) * u64::from(cx.config.recovery_removal_percent)
}

/// Says once, of all that were asked about together, that the operator has to decide.
pub(crate) fn tell_held(cx: &mut Cx<'_>, first_event: usize) {
    let is_held = cx.out.events[first_event..].iter().any(|event| {
        let too_many = RemovalDelay::TooManyAway;
        matches!(event, Event::AgentRemovalDelayed { why, .. } if *why == too_many)
    });
    if is_held {
        cx.emit(Event::RemovalsHeld {
            n_away: cx.state.n_recovered_agents(),
            n_expected: cx.state.n_expected_agents(),
        });
    }
}
