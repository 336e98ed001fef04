//! Deadlines: executors, heartbeats, lost links, kills, completion times, restarts, retries.

use proffer_types::agent_link::AgentMessage;
use proffer_types::{KillPolicy, Timestamp};

use super::{executor, kill_task, restart};
use crate::link::Link;
use crate::{Agent, Effect, Event, KillCause, Output, Signal, TaskKey};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, out: &mut Output) {
    link(agent, now, out);
    let keys: Vec<TaskKey> = agent.tasks.keys().cloned().collect();
    for key in keys {
        kills(agent, now, &key, out);
        checkpoint(agent, now, &key, out);
        restarts(agent, now, &key, out);
        retry(agent, now, &key, out);
    }
    executor::tick::handle(agent, now, out);
    operations(agent, now, out);
}

fn operations(agent: &mut Agent, now: Timestamp, out: &mut Output) {
    if agent.operations.save_at.is_some_and(|at| now >= at) {
        agent.save_resources(out);
    }
    agent.operations.mark_due(now);
    agent.send_operations(now, out);
}

fn link(agent: &mut Agent, now: Timestamp, out: &mut Output) {
    match &mut agent.link {
        Link::Registering { deadline, .. } if now >= *deadline => {
            agent.close_link("the master did not answer the registration", out);
        }
        Link::Up { deadline, .. } if now >= *deadline => {
            agent.close_link("the master was silent for too long", out);
        }
        Link::Up {
            link,
            session,
            heartbeat,
            next_heartbeat,
            ..
        } if now >= *next_heartbeat => {
            *next_heartbeat = now.after(*heartbeat);
            out.effect(Effect::Send {
                link: *link,
                session: *session,
                message: AgentMessage::Heartbeat {
                    interval: Some(*heartbeat),
                },
            });
        }
        Link::Down | Link::Registering { .. } | Link::Up { .. } => {}
    }
}

fn kills(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let due = |deadline: Option<Timestamp>| deadline.is_some_and(|deadline| now >= deadline);
    let Some(task) = agent.tasks.get_mut(key) else {
        return;
    };
    if due(task.kill_deadline()) && task.info.executor.is_some() {
        executor::kill_task::ignored(agent, now, key, out);
    } else if due(task.kill_deadline()) {
        task.kill_sent = true;
        out.effect(Effect::Signal {
            container_id: task.container_id,
            signal: Signal::Kill,
        });
    } else if due(task.completion_deadline()) {
        kill_task::kill(
            agent,
            now,
            key,
            KillCause::MaxCompletionTime,
            KillPolicy::default(),
            out,
        );
    }
}

fn restarts(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let deadline = agent.tasks.get(key).and_then(|task| task.restart_deadline());
    if agent.stopping.is_none() && deadline.is_some_and(|at| now >= at) {
        restart::launch(agent, key, out);
    }
}

fn checkpoint(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let Some(task) = agent.tasks.get_mut(key) else {
        return;
    };
    if task.save_at.is_none_or(|at| now < at) {
        return;
    }
    Agent::save(task, out);
    agent.send_head(now, key, out);
    executor::update::saved(agent, key, out);
}

fn retry(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let registered = agent.link.session().is_some();
    let Some(task) = agent.tasks.get_mut(key) else {
        return;
    };
    if registered && task.retry_deadline().is_some_and(|at| now >= at) {
        out.event(Event::UpdateRetried { key: key.clone() });
        Agent::send(&agent.link, now, key, task, out);
    }
}
