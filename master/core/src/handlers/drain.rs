//! Drain: an agent's tasks leave or end, a few agents of a request at a time.
//!
//! `Waiting --a place in the budget--> Draining --nothing is left--> Drained`; `undrain` ends it at any time. Of a draining
//! agent, frameworks are asked to leave it until its deadline; what is left then is killed. Draining and drained agents fill
//! the budget until somebody takes them back or they are gone. What was killed stays killed.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_types::task::DEFAULT_KILL_GRACE;
use proffer_types::{AgentId, FrameworkId, KillPolicy, StatusReason, TaskState, TaskStatus, Timestamp};

use super::upkeep::{known, set};
use super::{agent_gone, kill};
use crate::cx::Cx;
use crate::limits::{MAX_AGENTS_PER_REQUEST, MAX_DRAIN_NOTICE};
use crate::state::Task;
use crate::{Drain, DrainPhase, Event, OperatorError, Upkeep};

/// What a drain is to be like.
pub(crate) struct Wanted {
    /// How long frameworks have to leave before what is left is killed.
    pub(crate) notice: Duration,
    pub(crate) max_grace: Option<Duration>,
    pub(crate) mark_gone: bool,
    /// Absent means all of them.
    pub(crate) at_once: Option<u32>,
}

/// Drains agents, in this order. One that is in a drain already leaves it for this one, and goes on where it is.
pub(crate) fn start(cx: &mut Cx<'_>, agents: &[AgentId], wanted: &Wanted) -> Result<(), OperatorError> {
    let at_once = wanted.at_once.unwrap_or(u32::MAX);
    if at_once == 0 {
        return Err(OperatorError::NoneAtOnce);
    }
    if wanted.notice > MAX_DRAIN_NOTICE {
        return Err(OperatorError::DrainDeadline);
    }
    check(cx, agents)?;
    let request = cx.state.next_drain_request();
    for (position, agent) in (0..).zip(agents) {
        let upkeep = known(cx, agent)?;
        let earlier = upkeep.drain.map(|drain| (drain.phase, drain.since));
        let (phase, since) = earlier.unwrap_or((DrainPhase::Waiting, cx.now));
        // Drained, but to be gone: that is concluded anew.
        let is_to_go = phase == DrainPhase::Drained && wanted.mark_gone;
        // In a maintenance window nothing runs, whoever drains.
        let is_in_window = upkeep.windows.first().is_some_and(|window| window.begun);
        let asks = phase == DrainPhase::Draining && !is_in_window;
        let drain = Drain {
            request,
            position,
            at_once,
            max_grace: wanted.max_grace,
            notice: wanted.notice,
            kills_at: until(cx, wanted.notice).filter(|_| asks),
            mark_gone: wanted.mark_gone,
            phase: if is_to_go { DrainPhase::Draining } else { phase },
            since,
            by_window: false,
        };
        let drain = Some(drain);
        set(cx, agent, Upkeep { drain, ..upkeep });
        kill_all(cx, agent);
    }
    Ok(())
}

/// Ends the drains of agents. They are offered again, unless they are deactivated.
pub(crate) fn stop(cx: &mut Cx<'_>, agents: &[AgentId]) -> Result<(), OperatorError> {
    check(cx, agents)?;
    for agent in agents {
        let upkeep = ended(known(cx, agent)?);
        set(cx, agent, upkeep);
    }
    Ok(())
}

/// Without a drain, and without the maintenance window that has begun: that is one.
pub(super) fn ended(mut upkeep: Upkeep) -> Upkeep {
    upkeep.drain = None;
    upkeep.windows.retain(|window| !window.begun);
    upkeep
}

/// All or nothing: each agent is known, and there once.
pub(super) fn check(cx: &Cx<'_>, agents: &[AgentId]) -> Result<(), OperatorError> {
    if agents.is_empty() || agents.len() > MAX_AGENTS_PER_REQUEST {
        let limit = MAX_AGENTS_PER_REQUEST;
        return Err(OperatorError::WrongNumberOfAgents { limit });
    }
    let mut seen = BTreeSet::new();
    for agent in agents {
        known(cx, agent)?;
        if !seen.insert(agent) {
            return Err(OperatorError::AgentTwice(agent.clone()));
        }
    }
    Ok(())
}

/// Moves drains on after a step: whoever is empty is drained, and whoever has a place begins.
pub(crate) fn settle(cx: &mut Cx<'_>, mut first_event: usize) {
    loop {
        while let Some(agent) = cx.state.emptied_agent().cloned() {
            drained(cx, &agent);
        }
        let moves = cx.out.events[first_event..].iter().any(|event| {
            matches!(
                event,
                Event::AgentUpkeep { .. } | Event::AgentGone { .. } | Event::AgentForgotten { .. }
            )
        });
        if !moves {
            return;
        }
        first_event = cx.out.events.len();
        for agent in cx.state.drains_due() {
            move_to(cx, &agent, DrainPhase::Draining);
            kill_all(cx, &agent);
        }
    }
}

fn drained(cx: &mut Cx<'_>, agent: &AgentId) {
    let drain = cx
        .state
        .agent(agent)
        .and_then(|known| known.upkeep.drain.as_ref());
    match drain.is_some_and(|drain| drain.mark_gone) {
        true => agent_gone::mark(cx, agent),
        false => move_to(cx, agent, DrainPhase::Drained),
    }
}

/// The deadline of an agent's drain has come: what is left is killed.
pub(crate) fn overdue(cx: &mut Cx<'_>, agent: &AgentId) {
    let Some(mut upkeep) = cx.state.agent(agent).map(|agent| agent.upkeep.clone()) else {
        return;
    };
    if let Some(drain) = upkeep.drain.as_mut() {
        drain.kills_at = None;
    }
    set(cx, agent, upkeep);
    kill_all(cx, agent);
}

/// When so much notice is over; nothing where there is none.
fn until(cx: &Cx<'_>, notice: Duration) -> Option<Timestamp> {
    (!notice.is_zero()).then(|| cx.now.after(notice))
}

/// An agent is back: what it runs and should not has to end after all.
pub(crate) fn again(cx: &mut Cx<'_>, agent_id: &AgentId) {
    let Some(agent) = cx.state.agent(agent_id) else {
        return;
    };
    let is_drained = agent
        .upkeep
        .drain
        .as_ref()
        .is_some_and(|drain| drain.phase == DrainPhase::Drained);
    if is_drained && !(agent.tasks.is_empty() && agent.operations.is_empty()) {
        move_to(cx, agent_id, DrainPhase::Draining);
    }
    kill_all(cx, agent_id);
}

fn move_to(cx: &mut Cx<'_>, agent: &AgentId, phase: DrainPhase) {
    let Some(upkeep) = cx.state.agent(agent).map(|agent| agent.upkeep.clone()) else {
        return;
    };
    let drain = upkeep.drain.map(|drain| Drain {
        phase,
        since: cx.now,
        // Only one whose turn comes has notice.
        kills_at: until(cx, drain.notice).filter(|_| drain.phase == DrainPhase::Waiting),
        ..drain
    });
    set(cx, agent, Upkeep { drain, ..upkeep });
}

/// Wants every live task of an agent dead that nobody is asked to leave any more: within its own grace or the drain's,
/// whichever is shorter.
pub(super) fn kill_all(cx: &mut Cx<'_>, agent_id: &AgentId) {
    let Some(agent) = cx.state.agent(agent_id).filter(|agent| agent.upkeep.is_cleared()) else {
        return;
    };
    let max_grace = agent.upkeep.drain.as_ref().and_then(|drain| drain.max_grace);
    let tasks = agent.tasks.iter().filter_map(|(framework, id)| {
        let policy = wanted_kill(cx.state.task(framework, id)?, max_grace)?;
        Some((framework.clone(), id.clone(), policy))
    });
    for (framework, task, policy) in tasks.collect::<Vec<_>>() {
        kill::drain(cx, &framework, &task, policy);
    }
}

/// The kill a live task still needs. `None` when it has ended, or one that is as quick is wanted already.
fn wanted_kill(task: &Task, max_grace: Option<Duration>) -> Option<KillPolicy> {
    if task.view.state.is_terminal() {
        return None;
    }
    let own = task
        .view
        .info
        .kill_policy
        .grace_period
        .unwrap_or(DEFAULT_KILL_GRACE);
    let grace = max_grace.map_or(own, |max| own.min(max));
    if task
        .kill
        .is_some_and(|kill| kill.grace_period.unwrap_or(own) <= grace)
    {
        return None;
    }
    Some(KillPolicy {
        grace_period: max_grace.map(|_| grace),
    })
}

/// A status as its framework hears it: what a drain killed says so, and nothing is held against it.
pub(crate) fn blame(cx: &Cx<'_>, agent: &AgentId, framework: &FrameworkId, status: TaskStatus) -> TaskStatus {
    let is_told_so = match status.state {
        TaskState::Killed => true,
        TaskState::Killing => status.reason.is_none(),
        TaskState::Staging
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Finished
        | TaskState::Failed
        | TaskState::Error
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Unreachable
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => false,
    };
    if !is_told_so {
        return status;
    }
    let live = cx.state.task(framework, &status.task_id);
    let live = live.filter(|live| live.view.info.agent_id == *agent);
    let is_cleared = || {
        let agent = cx.state.agent(agent);
        agent.is_some_and(|agent| agent.upkeep.is_cleared())
    };
    // That nobody is known to have wanted it dead means that the master who did is no more.
    if !live.is_some_and(|live| live.drained || (live.kill.is_none() && is_cleared())) {
        return status;
    }
    TaskStatus {
        reason: Some(StatusReason::AgentDraining),
        ..status
    }
}
