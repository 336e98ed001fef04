//! A framework leaves: for a while, with its tasks running on; or for good, and they are killed.

use std::collections::BTreeSet;

use proffer_types::agent_link::MasterMessage;
use proffer_types::{AgentId, FrameworkId, StatusReason, TaskId, TaskState, scheduler_link};

use super::{acknowledge, operation};
use crate::cx::Cx;
use crate::limits::MAX_COMPLETED_FRAMEWORKS;
use crate::state::{Agent, Framework, Peer};
use crate::{CloseReason, Event, LinkId, OfferEnd};

/// A scheduler's stream ended.
pub(crate) fn link_lost(cx: &mut Cx<'_>, link: LinkId) {
    if let Some(Peer::Framework(framework)) = cx.state.peer(link).cloned() {
        disconnected(cx, &framework);
    }
}

/// The framework is away; its tasks wait for it until the failover deadline.
pub(crate) fn disconnected(cx: &mut Cx<'_>, framework: &FrameworkId) {
    end_offers(cx, framework);
    let timeout = cx.state.framework(framework).map(|f| f.info.failover_timeout);
    let timeout = timeout.unwrap_or_default();
    cx.emit(Event::FrameworkDisconnected {
        framework_id: framework.clone(),
        deadline: cx.now.after(timeout),
    });
    if timeout.is_zero() {
        complete(cx, framework);
    }
}

/// Ends a framework's offers without a word to it: those of an ended link are void by themselves.
pub(crate) fn end_offers(cx: &mut Cx<'_>, framework: &FrameworkId) {
    let offers = cx.state.framework(framework).map(|f| f.offers.clone());
    for offer_id in offers.unwrap_or_default() {
        let end = OfferEnd::Rescinded;
        cx.emit(Event::OfferEnded {
            offer_id,
            end,
            at: cx.now,
        });
    }
}

/// Ends a framework that somebody else decided on; tells its scheduler.
pub(crate) fn evict(cx: &mut Cx<'_>, framework: &FrameworkId, message: &str) {
    let link = cx.state.framework(framework).and_then(Framework::link);
    complete(cx, framework);
    if let Some(link) = link {
        let message = message.to_owned();
        cx.send(link, scheduler_link::Event::Error { message });
        cx.close(link, CloseReason::FrameworkCompleted);
    }
}

/// Ends a framework for good. Its tasks keep their resources until their agents report them dead.
pub(crate) fn complete(cx: &mut Cx<'_>, framework: &FrameworkId) {
    end_offers(cx, framework);
    cx.emit(Event::FrameworkCompleted {
        framework_id: framework.clone(),
    });
    let tasks = cx.state.tasks_of(framework);
    let tasks: Vec<(TaskId, AgentId)> = tasks
        .map(|(id, task)| (id.clone(), task.view.info.agent_id.clone()))
        .collect();
    let operations = cx.state.operations_of(framework);
    let operations = operations.map(|(_, operation)| operation.agent_id.clone());
    let agents: BTreeSet<_> = tasks
        .iter()
        .map(|(_, agent)| agent.clone())
        .chain(operations)
        .collect();
    operation::framework_completed(cx, framework);
    for agent in agents {
        let framework_id = framework.clone();
        cx.tell_agent(&agent, MasterMessage::ShutdownFramework { framework_id });
    }
    for (task, agent) in tasks {
        finish(cx, framework, &task, &agent);
    }
    if let Some(surplus) = cx.state.surplus_framework(MAX_COMPLETED_FRAMEWORKS).cloned() {
        let framework_id = surplus;
        cx.emit(Event::FrameworkForgotten { framework_id });
    }
}

/// Nobody is left to acknowledge: the master does. A task whose agent is given up has ended, as far as anyone can say.
pub(crate) fn finish(cx: &mut Cx<'_>, framework: &FrameworkId, task: &TaskId, agent: &AgentId) {
    let Some(live) = cx.state.task(framework, task) else {
        return;
    };
    let waiting = live.view.status.uuid.filter(|_| live.unacknowledged);
    if let Some(uuid) = waiting {
        acknowledge::handle(cx, framework, agent, task, uuid);
    }
    if cx.state.agent(agent).is_none_or(Agent::is_unreachable) {
        let (state, reason) = (TaskState::Killed, StatusReason::FrameworkRemoved);
        let status = cx.status(task, Some(agent), state, reason, "its framework is completed");
        end_unseen(cx, framework, status);
    }
}

fn end_unseen(cx: &mut Cx<'_>, framework: &FrameworkId, status: proffer_types::TaskStatus) {
    let live = cx.state.task(framework, &status.task_id);
    match live.map(|live| live.view.state.is_terminal()) {
        None => {}
        Some(true) => cx.emit(Event::TaskCompleted {
            framework_id: framework.clone(),
            task_id: status.task_id,
        }),
        Some(false) => cx.update_task(framework, status),
    }
}
