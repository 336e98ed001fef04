//! Frameworks that are known only by their tasks, once these have ended.
//!
//! While a task runs no time ends them. An end that nobody acknowledged waits as long as that of any framework that is away:
//! its own scheduler may come back and ask. Then the orphan is forgotten, and so is one without a task at once. No id is
//! spent, and nothing killed, by time: of an agent that is away nobody knows what it runs.

use std::collections::BTreeSet;

use proffer_types::{AgentId, FrameworkId, TaskId, Timestamp};

use super::framework_gone;
use crate::Event;
use crate::cx::Cx;
use crate::state::State;

/// The first step after a start: of orphans no task is known yet, and of some none may come.
pub(crate) fn start(cx: &mut Cx<'_>) {
    let orphans: Vec<_> = cx.state.orphans().iter().cloned().collect();
    for framework in orphans {
        idle(cx, &framework);
    }
}

/// Looks at the orphans of which a command ended tasks.
pub(crate) fn settle(cx: &mut Cx<'_>, first_event: usize) {
    let orphans = cx.state.orphans();
    if orphans.is_empty() {
        return;
    }
    let events = cx.out.events[first_event..].iter();
    let ended = events.filter_map(ended).filter(|id| orphans.contains(*id));
    let ended: BTreeSet<FrameworkId> = ended.cloned().collect();
    for framework_id in ended {
        if cx.state.n_tasks(Some(&framework_id)) == 0 {
            cx.emit(Event::FrameworkForgotten { framework_id });
        } else {
            idle(cx, &framework_id);
        }
    }
}

/// An orphan's time is over: a task of it runs again, or it is forgotten.
pub(crate) fn overdue(cx: &mut Cx<'_>, framework: &FrameworkId) {
    if has_live(cx.state, framework) {
        return set_idle(cx, framework);
    }
    let tasks = cx.state.tasks_of(framework);
    let tasks: Vec<(TaskId, AgentId)> = tasks
        .map(|(id, task)| (id.clone(), task.view.info.agent_id.clone()))
        .collect();
    for (task, agent) in tasks {
        framework_gone::finish(cx, framework, &task, &agent);
    }
    cx.emit(Event::FrameworkForgotten {
        framework_id: framework.clone(),
    });
}

/// The framework of a task that ended, or needs nothing more.
fn ended(event: &Event) -> Option<&FrameworkId> {
    if let Event::TaskReported {
        framework_id,
        state: latest,
        ..
    }
    | Event::TaskUpdated {
        framework_id,
        latest_state: latest,
        ..
    } = event
    {
        return latest.is_terminal().then_some(framework_id);
    }
    if let Event::TaskAdded {
        framework_id, status, ..
    } = event
    {
        return status.state.is_terminal().then_some(framework_id);
    }
    if let Event::TaskCompleted { framework_id, .. } = event {
        return Some(framework_id);
    }
    None
}

/// Gives an orphan its time when no task of it runs.
fn idle(cx: &mut Cx<'_>, framework: &FrameworkId) {
    let is_idle = deadline(cx.state, framework).is_some();
    if !is_idle && !has_live(cx.state, framework) {
        set_idle(cx, framework);
    }
}

fn set_idle(cx: &mut Cx<'_>, framework: &FrameworkId) {
    let timeout = cx.state.framework(framework).map(|f| f.info.failover_timeout);
    cx.emit(Event::OrphanIdle {
        framework_id: framework.clone(),
        deadline: cx.now.after(timeout.unwrap_or_default()),
    });
}

fn deadline(state: &State, framework: &FrameworkId) -> Option<Timestamp> {
    state.framework(framework)?.deadline()
}

fn has_live(state: &State, framework: &FrameworkId) -> bool {
    state
        .tasks_of(framework)
        .any(|(_, task)| !task.view.state.is_terminal())
}
