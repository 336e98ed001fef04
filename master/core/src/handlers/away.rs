//! Frameworks with tasks on an agent hear at once that it is cut off, and that it is back.
//!
//! That is long before the agent is unreachable, and nothing follows from it here: no task changes its state. Who cannot
//! wait may start what ran there elsewhere.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_types::{AgentId, FrameworkId, scheduler_link};

use crate::cx::Cx;
use crate::state::{Agent, AgentPresence};

/// The agent was cut off, and silent for so long before.
pub(crate) fn tell(cx: &mut Cx<'_>, agent: &AgentId, silence: Duration) {
    for framework in with_tasks(cx, agent) {
        let event = scheduler_link::Event::AgentAway {
            agent_id: agent.clone(),
            away_for: silence,
        };
        cx.tell_framework(&framework, event);
    }
}

/// The agent has a session again. Of one that was unreachable, or expected since the start, nobody was told.
pub(crate) fn back(cx: &mut Cx<'_>, agent: &AgentId) {
    for framework in with_tasks(cx, agent) {
        cx.tell_framework(&framework, scheduler_link::Event::AgentBack(agent.clone()));
    }
}

/// Tells a framework that has just subscribed of those of its agents that are away.
pub(crate) fn tell_all(cx: &mut Cx<'_>, framework: &FrameworkId) {
    let agents = cx
        .state
        .tasks_of(framework)
        .map(|(_, task)| &task.view.info.agent_id);
    let agents: BTreeSet<&AgentId> = agents.collect();
    let away = agents
        .into_iter()
        .filter_map(|id| match cx.state.agent(id)?.presence {
            AgentPresence::Disconnected { deadline } => Some((id.clone(), deadline)),
            AgentPresence::Active { .. }
            | AgentPresence::Recovered { .. }
            | AgentPresence::Unreachable { .. } => None,
        });
    for (agent_id, deadline) in away.collect::<Vec<_>>() {
        let left = deadline.since(cx.now);
        let away_for = cx.config.agent_reregister_timeout.saturating_sub(left);
        cx.tell_framework(framework, scheduler_link::Event::AgentAway { agent_id, away_for });
    }
}

fn with_tasks(cx: &Cx<'_>, agent: &AgentId) -> BTreeSet<FrameworkId> {
    let tasks = cx.state.agent(agent).map(|agent: &Agent| &agent.tasks);
    let frameworks = tasks.into_iter().flatten().map(|(framework, _)| framework);
    // Those of one framework are next to each other.
    let mut named: Option<&FrameworkId> = None;
    let fresh = frameworks.filter(|framework| named.replace(framework) != Some(*framework));
    fresh.cloned().collect()
}
