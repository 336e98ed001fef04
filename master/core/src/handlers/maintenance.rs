//! Maintenance windows: announced, begun and ended by time, or taken back.
//!
//! `coming --start--> begun --end--> none`. While one has begun, the agent is in a drain that ends with it, unless an
//! operator drains the agent: that stays, and is no business of the window. A window that passed while no master led is over.

use std::time::Duration;

use proffer_types::{AgentId, Unavailability};

use super::drain;
use super::upkeep::{known, set};
use crate::cx::Cx;
use crate::limits::{MAX_WINDOW, MAX_WINDOW_AHEAD, MAX_WINDOW_NAME_BYTES, MAX_WINDOWS_PER_AGENT, MIN_WINDOW};
use crate::{Drain, DrainPhase, OperatorError, Upkeep, Window, WindowStart};

/// Announces a window to agents, all of them or none.
pub(crate) fn schedule(
    cx: &mut Cx<'_>,
    name: &str,
    agents: &[AgentId],
    start: WindowStart,
    duration: Duration,
    max_grace: Option<Duration>,
) -> Result<(), OperatorError> {
    check_name(cx, name)?;
    let time = time(cx, start, duration)?;
    drain::check(cx, agents)?;
    for agent in agents {
        check_room(agent, &known(cx, agent)?, time)?;
    }
    for agent in agents {
        let mut upkeep = known(cx, agent)?;
        let later = |window: &Window| window.time.start < time.start;
        let at = upkeep.windows.partition_point(later);
        let name = name.to_owned();
        upkeep.windows.insert(
            at,
            Window {
                name,
                time,
                max_grace,
                begun: false,
            },
        );
        set(cx, agent, upkeep);
    }
    Ok(())
}

fn check_name(cx: &Cx<'_>, name: &str) -> Result<(), OperatorError> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > MAX_WINDOW_NAME_BYTES || !name.bytes().all(is_of_name) {
        return Err(OperatorError::WindowName(shown(name)));
    }
    match cx.state.agents_of_window(name) {
        Some(_) => Err(OperatorError::WindowExists(name.to_owned())),
        None => Ok(()),
    }
}

/// As much of a name as helps to recognise it.
fn shown(name: &str) -> String {
    name.chars().take(MAX_WINDOW_NAME_BYTES).collect()
}

fn time(cx: &Cx<'_>, start: WindowStart, duration: Duration) -> Result<Unavailability, OperatorError> {
    if !(MIN_WINDOW..=MAX_WINDOW).contains(&duration) {
        return Err(OperatorError::WindowDuration);
    }
    let start = match start {
        WindowStart::At(at) => at,
        WindowStart::After(after) => cx.now.after(after),
    };
    if start <= cx.now {
        return Err(OperatorError::WindowPast(cx.now.since(start)));
    }
    if start.since(cx.now) > MAX_WINDOW_AHEAD {
        return Err(OperatorError::WindowTooFar);
    }
    Ok(Unavailability { start, duration })
}

fn check_room(agent: &AgentId, upkeep: &Upkeep, time: Unavailability) -> Result<(), OperatorError> {
    // By the clock of another master, one that has begun may not have come yet.
    let is_later = |window: &&Window| !window.begun || window.time.end() <= time.start;
    let is_free = |window: &&Window| is_later(window) && !window.time.overlaps(time);
    if let Some(other) = upkeep.windows.iter().find(|window| !is_free(window)) {
        return Err(OperatorError::WindowOverlaps {
            agent_id: agent.clone(),
            name: other.name.clone(),
        });
    }
    if upkeep.windows.len() >= MAX_WINDOWS_PER_AGENT {
        return Err(OperatorError::TooManyWindows {
            agent_id: agent.clone(),
            limit: MAX_WINDOWS_PER_AGENT,
        });
    }
    Ok(())
}

/// Takes a window back from all its agents. Where it has begun, it ends.
pub(crate) fn cancel(cx: &mut Cx<'_>, name: &str) -> Result<(), OperatorError> {
    let Some(agents) = cx.state.agents_of_window(name).cloned() else {
        return Err(OperatorError::NoSuchWindow(shown(name)));
    };
    for agent in agents {
        let mut upkeep = known(cx, &agent)?;
        if let Some(at) = upkeep.windows.iter().position(|window| window.name == name) {
            remove(&mut upkeep, at);
        }
        set(cx, &agent, upkeep);
    }
    Ok(())
}

/// The time of one of the agent's windows has come: it begins, or is over.
pub(crate) fn turn(cx: &mut Cx<'_>, agent: &AgentId) {
    while let Some(upkeep) = cx.state.agent(agent).map(|agent| agent.upkeep.clone()) {
        let Some(window) = upkeep.windows.first() else {
            return;
        };
        if window.time.end() <= cx.now {
            let mut upkeep = upkeep;
            remove(&mut upkeep, 0);
            set(cx, agent, upkeep);
        } else if !window.begun && window.time.start <= cx.now {
            let upkeep = begun(cx, upkeep);
            set(cx, agent, upkeep);
            drain::kill_all(cx, agent);
        } else {
            return;
        }
    }
}

/// The first window begins. A drain that the agent is in stays the operator's; where it waits for its turn, or for its
/// deadline, that has come.
fn begun(cx: &Cx<'_>, mut upkeep: Upkeep) -> Upkeep {
    let mut max_grace = None;
    if let Some(window) = upkeep.windows.first_mut() {
        window.begun = true;
        max_grace = window.max_grace;
    }
    let waits = |drain: &&mut Drain| drain.phase == DrainPhase::Waiting;
    if let Some(drain) = upkeep.drain.as_mut().filter(waits) {
        drain.phase = DrainPhase::Draining;
        drain.since = cx.now;
    }
    if let Some(drain) = upkeep.drain.as_mut() {
        drain.kills_at = None;
    }
    upkeep.drain.get_or_insert_with(|| Drain {
        request: cx.state.next_drain_request(),
        position: 0,
        at_once: u32::MAX,
        max_grace,
        notice: Duration::ZERO,
        kills_at: None,
        mark_gone: false,
        phase: DrainPhase::Draining,
        since: cx.now,
        by_window: true,
    });
    upkeep
}

/// Without one window, and the drain that is part of it.
fn remove(upkeep: &mut Upkeep, at: usize) {
    let window = upkeep.windows.remove(at);
    if window.begun {
        upkeep.drain.take_if(|drain| drain.by_window);
    }
}
