//! The session is open: updates that wait for acknowledgement are sent at once.

use std::time::Duration;

use proffer_types::{AgentId, Session, Timestamp};

use crate::config::MIN_HEARTBEAT;
use crate::link::{Link, silent_at};
use crate::{Agent, Effect, Event, LinkId, Output};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    link: LinkId,
    session: Session,
    agent_id: AgentId,
    heartbeat: Duration,
    out: &mut Output,
) {
    if agent.link.session().is_some() {
        return;
    }
    let heartbeat = heartbeat.max(MIN_HEARTBEAT);
    if agent.agent_id.as_ref() != Some(&agent_id) {
        out.effect(Effect::SaveAgentId(agent_id.clone()));
        agent.agent_id = Some(agent_id.clone());
    }
    out.event(Event::Registered { agent_id, session });
    agent.link = Link::Up {
        link,
        session,
        heartbeat,
        next_heartbeat: now.after(heartbeat),
        deadline: silent_at(now, heartbeat),
    };
    for (key, task) in &mut agent.tasks {
        task.sent = None;
        Agent::send(&agent.link, now, key, task, out);
    }
    agent.operations.forget_sent();
    // The registration said it.
    agent.operations.total_due = false;
    agent.send_operations(now, out);
}
