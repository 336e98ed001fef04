//! A stream is open: the agent registers on it, with everything it runs or has not had acknowledged.

use proffer_types::agent_link::{AgentMessage, RegisteredTask};
use proffer_types::{Session, TaskInfo, Timestamp};

use crate::config::REGISTRATION_TIMEOUT;
use crate::link::Link;
use crate::{Agent, Effect, LinkId, Output};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, link: LinkId, out: &mut Output) {
    agent.close_link("another stream was opened", out);
    agent.link = Link::Registering {
        link,
        deadline: now.after(REGISTRATION_TIMEOUT),
    };
    let tasks = agent.tasks.iter().map(|(key, task)| RegisteredTask {
        framework_id: key.framework_id.clone(),
        role: task.role.clone(),
        group: task.group.clone(),
        // The master has no use for data, of which there may be much.
        info: TaskInfo {
            data: Vec::new(),
            ..task.info.clone()
        },
        latest_status: task.latest.clone(),
    });
    out.effect(Effect::Send {
        link,
        session: Session(0),
        message: AgentMessage::Register {
            info: agent.config.info.clone(),
            agent_id: agent.agent_id.clone(),
            tasks: tasks.collect(),
            operations: agent.registered_operations(),
        },
    });
}
