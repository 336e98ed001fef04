//! What operators decided of an agent.

use proffer_wire::v1;
use proffer_wire::v1::list_agents_response::{Agent, Drain, DrainingWindow};
use serde::Serialize;

use super::text::{State, state_name, until};

/// That an agent's tasks are to end, and how far that is.
#[derive(Debug, Serialize)]
pub(crate) struct DrainView {
    phase: State,
    since_ms: u64,
    /// Tasks and operations that are not over, or whose end nobody has acknowledged.
    n_unfinished: u32,
    mark_gone: bool,
    /// Absent means that the whole request may drain at once.
    at_once: Option<u32>,
    /// Of the request.
    n_running: u32,
    max_grace_ms: Option<u64>,
    /// How long tasks have from the agent's turn on before they are killed.
    deadline_ms: u64,
    /// When they are killed; absent once they were.
    kills_at_ms: Option<u64>,
    /// The maintenance window that it is for, and ends with.
    window: Option<DrainingWindowView>,
}

#[derive(Debug, Serialize)]
struct DrainingWindowView {
    name: String,
    end_ms: u64,
}

impl From<&Drain> for DrainView {
    fn from(drain: &Drain) -> Self {
        Self {
            phase: state_name(drain.phase().as_str_name(), "DRAIN_"),
            since_ms: drain.since_ms,
            n_unfinished: drain.n_unfinished,
            mark_gone: drain.mark_gone,
            at_once: drain.at_once,
            n_running: drain.n_running,
            max_grace_ms: drain.max_grace_ms,
            deadline_ms: drain.deadline_ms,
            kills_at_ms: drain.kills_at_ms,
            window: drain.window.as_ref().map(|window| DrainingWindowView {
                name: window.name.clone(),
                end_ms: window.end_ms,
            }),
        }
    }
}

/// An agent's state in a table: where it is, and what operators decided, where that is not as usual.
pub(super) fn state(agent: &Agent) -> String {
    let drain = agent.drain.as_ref().map(Drain::phase);
    let decided = [
        agent.deactivated_since_ms.map(|_| "DEACTIVATED"),
        drain.and_then(|phase| match phase {
            v1::DrainPhase::DrainDraining => Some("DRAINING"),
            v1::DrainPhase::DrainDrained => Some("DRAINED"),
            v1::DrainPhase::DrainWaiting => Some("WAITING TO DRAIN"),
            v1::DrainPhase::Unspecified => None,
        }),
    ];
    let is_waiting = drain == Some(v1::DrainPhase::DrainWaiting) && agent.deactivated_since_ms.is_none();
    let decided: Vec<_> = decided.into_iter().flatten().collect();
    let presence = state_name(agent.state().as_str_name(), "AGENT_").to_string();
    let is_usual = agent.state() == v1::AgentState::AgentActive && !is_waiting;
    let presence = Some(presence.as_str()).filter(|_| decided.is_empty() || !is_usual);
    let words: Vec<_> = presence.into_iter().chain(decided).collect();
    words.join(", ")
}

/// Since when the newest of that is so.
pub(super) fn since(agent: &Agent) -> Option<u64> {
    let drain = agent.drain.as_ref().map(|drain| drain.since_ms);
    [agent.since_ms, agent.deactivated_since_ms, drain]
        .into_iter()
        .flatten()
        .max()
}

/// What its removal, or its drain, waits for.
pub(super) fn progress(agent: &Agent) -> String {
    match agent.removal_delay {
        Some(delay) if delay.too_many_away => "an operator: too many agents are away".to_owned(),
        Some(delay) => format!("the limit of removals, {}", until(delay.until_ms)),
        None => drain_progress(agent),
    }
}

fn drain_progress(agent: &Agent) -> String {
    let Some(drain) = &agent.drain else {
        return String::new();
    };
    let s = if drain.n_unfinished == 1 { "" } else { "s" };
    let waits_for = match drain.phase() {
        v1::DrainPhase::DrainWaiting => {
            let at_once = drain.at_once.unwrap_or(0);
            format!("a place: {} of {at_once} taken", drain.n_running)
        }
        v1::DrainPhase::DrainDraining if drain.n_unfinished == 0 => "the agent".to_owned(),
        v1::DrainPhase::DrainDraining => {
            let killed = drain.kills_at_ms.map(|at| format!(", killed {}", until(at)));
            let killed = killed.unwrap_or_default();
            format!("{} task{s} or operation{s}{killed}", drain.n_unfinished)
        }
        v1::DrainPhase::DrainDrained => return drain.window.as_ref().map(end_of).unwrap_or_default(),
        v1::DrainPhase::Unspecified => return String::new(),
    };
    let then = match &drain.window {
        _ if drain.mark_gone => ", then gone".to_owned(),
        Some(window) => format!(", then {}", end_of(window)),
        None => String::new(),
    };
    format!("{waits_for}{then}")
}

fn end_of(window: &DrainingWindow) -> String {
    format!(
        "the end of maintenance window {}, {}",
        window.name,
        until(window.end_ms)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::text::now_ms;

    #[test]
    fn who_is_drained_for_a_maintenance_window_waits_for_its_end() {
        let window = DrainingWindow {
            name: "kernel".to_owned(),
            end_ms: now_ms() + 3_600_500,
        };
        let mut drain = Drain {
            n_unfinished: 2,
            window: Some(window),
            ..Default::default()
        };
        let mut waits_for = |phase: v1::DrainPhase| {
            drain.set_phase(phase);
            let drain = Some(drain.clone());
            progress(&Agent {
                drain,
                ..Default::default()
            })
        };
        let end = "the end of maintenance window kernel, in 1h";
        assert_eq!(waits_for(v1::DrainPhase::DrainDrained), end);
        assert_eq!(
            waits_for(v1::DrainPhase::DrainDraining),
            format!("2 tasks or operations, then {end}")
        );
    }

    #[test]
    fn what_is_left_on_an_agent_that_is_drained_is_told_with_its_deadline() {
        let mut drain = Drain {
            n_unfinished: 1,
            kills_at_ms: Some(now_ms() + 3_600_500),
            mark_gone: true,
            ..Default::default()
        };
        drain.set_phase(v1::DrainPhase::DrainDraining);
        let agent = Agent {
            drain: Some(drain),
            ..Default::default()
        };
        assert_eq!(progress(&agent), "1 task or operation, killed in 1h, then gone");
    }
}
