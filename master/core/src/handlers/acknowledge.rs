//! A framework has seen a status: the agent may drop it and send the next.

use proffer_types::agent_link::MasterMessage;
use proffer_types::{AgentId, FrameworkId, StatusUuid, TaskId};

use crate::Event;
use crate::cx::Cx;

pub(crate) fn handle(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    agent: &AgentId,
    task: &TaskId,
    uuid: StatusUuid,
) {
    let message = MasterMessage::AcknowledgeStatus {
        framework_id: framework.clone(),
        task_id: task.clone(),
        uuid,
    };
    // An agent that is away sends the status again when it is back, and so it is acknowledged again.
    if cx.tell_agent(agent, message) {
        passed(cx, framework, agent, task, uuid);
    }
}

/// Records an acknowledgement that went to the agent; that of a terminal status completes the task.
pub(crate) fn passed(
    cx: &mut Cx<'_>,
    framework: &FrameworkId,
    agent: &AgentId,
    task: &TaskId,
    uuid: StatusUuid,
) {
    let Some(live) = cx.state.task(framework, task) else {
        return;
    };
    let status = &live.view.status;
    if live.view.info.agent_id != *agent || !live.unacknowledged || status.uuid != Some(uuid) {
        return;
    }
    let is_terminal = status.state.is_terminal();
    let (framework_id, task_id) = (framework.clone(), task.clone());
    cx.emit(Event::TaskAcknowledged {
        framework_id,
        task_id,
    });
    if is_terminal {
        let (framework_id, task_id) = (framework.clone(), task.clone());
        cx.emit(Event::TaskCompleted {
            framework_id,
            task_id,
        });
    }
}
