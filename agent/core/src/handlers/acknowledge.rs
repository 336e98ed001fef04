//! An acknowledgement: takes the head off the queue when it is the head that is meant; the last one of a
//! task that has ended lets the agent forget it.

use proffer_types::{StatusUuid, Timestamp};

use crate::{Agent, Effect, Event, Output, TaskKey};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, key: &TaskKey, uuid: StatusUuid, out: &mut Output) {
    let Some(task) = agent.tasks.get_mut(key) else {
        return unknown(key, out);
    };
    if task.updates.front().and_then(|head| head.uuid) != Some(uuid) {
        return unknown(key, out);
    }
    task.updates.pop_front();
    task.sent = None;
    if task.updates.is_empty() && !task.is_live() {
        forget(agent, key, out);
        return;
    }
    Agent::save(task, out);
    agent.send_head(now, key, out);
}

fn unknown(key: &TaskKey, out: &mut Output) {
    out.event(Event::UnknownIgnored {
        key: key.clone(),
        what: "acknowledgement",
    });
}

fn forget(agent: &mut Agent, key: &TaskKey, out: &mut Output) {
    let Some(task) = agent.tasks.remove(key) else {
        return;
    };
    agent.containers.remove(&task.container_id);
    if task.durable {
        out.effect(Effect::Forget {
            container_id: task.container_id,
        });
    }
    out.event(Event::TaskForgotten { key: key.clone() });
}
