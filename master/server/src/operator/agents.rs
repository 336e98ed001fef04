//! Agents as operators see them, and what they ask of them.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_master_core::{
    AgentState, AgentView, Drain, DrainPhase, GoneAgent, OperatorRequest, RemovalDelay, Snapshot,
};
use proffer_types::{AgentId, Timestamp};
use proffer_wire::v1::list_agents_response as message;
use proffer_wire::{ConvertError, v1};

use super::parse;

/// The agents there are, then, if wanted, those that are gone.
pub(super) fn list(snapshot: &Snapshot, include_gone: bool) -> Vec<message::Agent> {
    let n_running = n_running(snapshot);
    let agents = snapshot.agents.iter().map(|view| agent(view, &n_running));
    let gone = include_gone.then_some(&*snapshot.gone_agents);
    agents.chain(gone.into_iter().flatten().map(gone_agent)).collect()
}

/// How many agents of each drain request are draining or drained.
pub(super) fn n_running(snapshot: &Snapshot) -> BTreeMap<u64, u32> {
    let mut n_running: BTreeMap<u64, u32> = BTreeMap::new();
    let drains = snapshot
        .agents
        .iter()
        .filter_map(|view| view.upkeep.drain.as_ref());
    for drain in drains {
        let runs = drain.phase != DrainPhase::Waiting;
        *n_running.entry(drain.request).or_default() += u32::from(runs);
    }
    n_running
}

/// The drain that an agent is in, if it is in one.
pub(super) fn drain_of(view: &AgentView, n_running: &BTreeMap<u64, u32>) -> Option<message::Drain> {
    let drain = |drain: &Drain| message::Drain {
        phase: drain_phase(drain.phase).into(),
        since_ms: drain.since.0,
        n_unfinished: view.n_unfinished,
        mark_gone: drain.mark_gone,
        at_once: Some(drain.at_once).filter(|at_once| *at_once != u32::MAX),
        n_running: n_running.get(&drain.request).copied().unwrap_or(0),
        max_grace_ms: drain.max_grace.map(millis),
        window: window_of(view, drain),
        kills_at_ms: drain.kills_at.map(|at| at.0),
        deadline_ms: millis(drain.notice),
    };
    view.upkeep.drain.as_ref().map(drain)
}

/// The window that a drain is for.
fn window_of(view: &AgentView, drain: &Drain) -> Option<message::DrainingWindow> {
    let window = view.upkeep.windows.first().filter(|_| drain.by_window)?;
    Some(message::DrainingWindow {
        name: window.name.clone(),
        end_ms: window.time.end().0,
    })
}

fn agent(view: &AgentView, n_running: &BTreeMap<u64, u32>) -> message::Agent {
    let state = match view.state {
        AgentState::Active => v1::AgentState::AgentActive,
        AgentState::Disconnected => v1::AgentState::AgentDisconnected,
        AgentState::Recovered => v1::AgentState::AgentRecovered,
        AgentState::Unreachable => v1::AgentState::AgentUnreachable,
    };
    message::Agent {
        agent_id: view.agent_id.to_string(),
        info: Some((&*view.info).into()),
        state: state.into(),
        used: Some((&view.used).into()),
        offered: Some((&view.offered).into()),
        n_tasks: view.n_tasks,
        since_ms: view.unreachable_since.map(|at| at.0),
        deactivated_since_ms: view.upkeep.deactivated.map(|at| at.0),
        drain: drain_of(view, n_running),
        removal_delay: view.removal_delay.map(removal_delay),
        n_daemons: view.n_daemons,
    }
}

fn removal_delay((why, until): (RemovalDelay, Timestamp)) -> message::RemovalDelay {
    message::RemovalDelay {
        until_ms: until.0,
        too_many_away: match why {
            RemovalDelay::TooManyAway => true,
            RemovalDelay::Limit => false,
        },
    }
}

fn gone_agent((id, gone): (&AgentId, &GoneAgent)) -> message::Agent {
    message::Agent {
        agent_id: id.to_string(),
        info: Some((&*gone.info).into()),
        state: v1::AgentState::AgentGone.into(),
        since_ms: Some(gone.since.0),
        ..Default::default()
    }
}

/// The wire's word for how far a drain is.
pub(crate) fn drain_phase(phase: DrainPhase) -> v1::DrainPhase {
    match phase {
        DrainPhase::Waiting => v1::DrainPhase::DrainWaiting,
        DrainPhase::Draining => v1::DrainPhase::DrainDraining,
        DrainPhase::Drained => v1::DrainPhase::DrainDrained,
    }
}

/// A duration in whole milliseconds; the longest there are, where it is longer.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn drain(request: v1::DrainAgentsRequest) -> Result<OperatorRequest, ConvertError> {
    Ok(OperatorRequest::DrainAgents {
        agent_ids: ids(&request.agent_ids)?,
        max_grace: request.max_grace_ms.map(Duration::from_millis),
        notice: Duration::from_millis(request.deadline_ms),
        mark_gone: request.mark_gone,
        at_once: request.at_once,
    })
}

pub(super) fn ids(ids: &[String]) -> Result<Vec<AgentId>, ConvertError> {
    ids.iter().map(|id| parse("agent_ids", id)).collect()
}
