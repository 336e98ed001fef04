//! Frameworks that ask for it are told of all agents, so that they can spread over what there is.

use std::collections::BTreeSet;

use proffer_types::{AgentId, KnownAgent, scheduler_link};

use crate::cx::Cx;
use crate::state::{Agent, State};
use crate::{Event, LinkId};

/// All agents.
pub(crate) fn all(state: &State) -> scheduler_link::Event {
    scheduler_link::Event::Agents {
        agents: state.agents().map(|(id, agent)| known(id, agent)).collect(),
        gone: Vec::new(),
    }
}

/// Tells of the agents that the events since `first_event` are about.
pub(crate) fn settle(cx: &mut Cx<'_>, first_event: usize) {
    let events = &cx.out.events[first_event..];
    let touched: BTreeSet<AgentId> = events.iter().filter_map(agent_of).cloned().collect();
    if touched.is_empty() {
        return;
    }
    let watching = cx.state.frameworks();
    let watching = watching.filter(|(_, framework)| framework.info.capabilities.agents);
    let watching: Vec<LinkId> = watching.filter_map(|(_, framework)| framework.link()).collect();
    for link in watching {
        let mut told = (Vec::new(), Vec::new());
        for id in &touched {
            match cx.state.agent(id) {
                Some(agent) => told.0.push(known(id, agent)),
                None => told.1.push(id.clone()),
            }
        }
        let (agents, gone) = told;
        cx.send(link, scheduler_link::Event::Agents { agents, gone });
    }
}

fn known(id: &AgentId, agent: &Agent) -> KnownAgent {
    KnownAgent {
        id: id.clone(),
        info: (*agent.info).clone(),
        is_offered: !agent.is_unreachable() && agent.upkeep.is_offered(),
    }
}

/// The agent of which an event changes what is told.
fn agent_of(event: &Event) -> Option<&AgentId> {
    if let Event::AgentAdmitted { agent_id, .. }
    | Event::AgentUnreachable { agent_id, .. }
    | Event::AgentForgotten { agent_id }
    | Event::AgentUpkeep { agent_id, .. }
    | Event::AgentGone { agent_id, .. } = event
    {
        Some(agent_id)
    } else {
        None
    }
}
