//! RESUME: each task by itself. It takes its cpus out of the offers, and is on its way to go on.

use proffer_types::agent_link::MasterMessage;
use proffer_types::{FrameworkId, StatusReason, TaskId};

use super::Remainder;
use crate::Event;
use crate::cx::Cx;
use crate::handlers::suspend;

pub(super) fn run(cx: &mut Cx<'_>, remainder: &mut Remainder, tasks: &[TaskId]) {
    for task in tasks {
        let framework = remainder.framework_id.clone();
        match resume(cx, remainder, task) {
            Ok(()) => {}
            Err(why) => suspend::refuse(cx, &framework, task, StatusReason::TaskResumeFailed, &why),
        }
    }
}

/// Tells of tasks that are not resumed, whatever they are.
pub(super) fn refuse(cx: &mut Cx<'_>, framework: &FrameworkId, tasks: &[TaskId], why: &str) {
    for task in tasks {
        suspend::refuse(cx, framework, task, StatusReason::TaskResumeFailed, why);
    }
}

fn resume(cx: &mut Cx<'_>, remainder: &mut Remainder, task: &TaskId) -> Result<(), String> {
    let framework_id = remainder.framework_id.clone();
    let live = cx.state.task(&framework_id, task);
    let live = live.ok_or_else(|| "no such task is known".to_owned())?;
    let (view, suspension) = (&live.view, live.view.status.condition.suspension);
    if suspension == 0 {
        return Err("the task is not suspended".to_owned());
    }
    if live.kill.is_some() {
        return Err("the task is being killed".to_owned());
    }
    let (agent, role) = (&view.info.agent_id, &view.role);
    if *agent != remainder.agent_id || *role != remainder.role {
        return Err(format!(
            "the task is on agent {agent} in role `{role}`, the offer is of agent {} to role `{}`",
            remainder.agent_id, remainder.role
        ));
    }
    let cpus = view.info.resources.cpus();
    if !remainder.left.contains(&cpus) {
        return Err(format!(
            "the task gave up {cpus}; {} is left of the offer",
            remainder.left
        ));
    }
    remainder.left.subtract(&cpus);
    cx.emit(Event::TaskResumed {
        framework_id: framework_id.clone(),
        task_id: task.clone(),
        at: cx.now,
    });
    let message = MasterMessage::ResumeTask {
        framework_id,
        task_id: task.clone(),
        suspension,
    };
    cx.tell_agent(&remainder.agent_id, message);
    Ok(())
}
