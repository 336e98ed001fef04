//! A frame of the master: the fence, then one handler per message.
//!
//! A frame is taken only on the present link and in the present session. While registering, the only frame
//! taken is one that opens a session. So a message delayed from an earlier session cannot launch anything.

use std::sync::Arc;

use proffer_types::agent_link::MasterMessage;
use proffer_types::{Session, Timestamp};

use super::{
    acknowledge, acknowledge_operation, apply_operation, gone, kill_task, registered, resume_task, run_group,
    run_task, shutdown_framework, suspend_task,
};
use crate::link::{Link, silent_at};
use crate::{Agent, Effect, Event, LinkId, Output, TaskKey, TaskRecord};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    link: LinkId,
    session: Session,
    messages: Vec<MasterMessage>,
    out: &mut Output,
) {
    if !passes(agent, now, link, session, &messages) {
        out.event(Event::FrameDropped {
            session,
            n_messages: messages.len(),
        });
        return;
    }
    for message in messages {
        // An earlier message may have ended the session (too many refused tasks) or the agent.
        if agent.link.id() != Some(link) || agent.exited {
            return;
        }
        handle_message(agent, now, link, session, message, out);
    }
}

fn passes(
    agent: &mut Agent,
    now: Timestamp,
    from: LinkId,
    session: Session,
    messages: &[MasterMessage],
) -> bool {
    match &mut agent.link {
        Link::Down => false,
        Link::Registering { link, .. } => {
            let opens = matches!(
                messages.first(),
                Some(
                    MasterMessage::Registered { .. }
                        | MasterMessage::Refused { .. }
                        | MasterMessage::Gone { .. }
                )
            );
            *link == from && opens
        }
        Link::Up {
            link,
            session: present,
            heartbeat,
            deadline,
            ..
        } => {
            let fits = *link == from && *present == session;
            if fits {
                *deadline = silent_at(now, *heartbeat);
            }
            fits
        }
    }
}

fn handle_message(
    agent: &mut Agent,
    now: Timestamp,
    link: LinkId,
    session: Session,
    message: MasterMessage,
    out: &mut Output,
) {
    match message {
        MasterMessage::Registered {
            agent_id,
            heartbeat_interval,
            master_id: _,
        } => registered::handle(agent, now, link, session, agent_id, heartbeat_interval, out),
        MasterMessage::RunTask {
            framework_id,
            role,
            info,
        } => {
            let task = TaskRecord {
                framework_id,
                role,
                group: None,
                info: Arc::unwrap_or_clone(info),
            };
            run_task::handle(agent, now, task, out);
        }
        MasterMessage::RunGroup {
            framework_id,
            role,
            group,
            tasks,
        } => {
            let record = |info| TaskRecord {
                framework_id: framework_id.clone(),
                role: role.clone(),
                group: Some(group.clone()),
                info,
            };
            run_group::handle(agent, now, tasks.into_iter().map(record).collect(), out);
        }
        MasterMessage::ApplyOperation {
            framework_id,
            id,
            change,
        } => apply_operation::handle(agent, now, framework_id, id, &change, out),
        MasterMessage::AcknowledgeOperation {
            framework_id,
            operation_id,
            uuid,
        } => acknowledge_operation::handle(agent, framework_id, operation_id, uuid, out),
        MasterMessage::KillTask {
            framework_id,
            task_id,
            kill_policy,
        } => {
            let key = TaskKey {
                framework_id,
                task_id,
            };
            kill_task::handle(agent, now, &key, kill_policy, out);
        }
        MasterMessage::SuspendTask {
            framework_id,
            task_id,
        } => {
            let key = TaskKey {
                framework_id,
                task_id,
            };
            suspend_task::handle(agent, now, &key, out);
        }
        MasterMessage::ResumeTask {
            framework_id,
            task_id,
            suspension,
        } => {
            let key = TaskKey {
                framework_id,
                task_id,
            };
            resume_task::handle(agent, now, &key, suspension, out);
        }
        MasterMessage::AcknowledgeStatus {
            framework_id,
            task_id,
            uuid,
        } => {
            let key = TaskKey {
                framework_id,
                task_id,
            };
            acknowledge::handle(agent, now, &key, uuid, out);
        }
        MasterMessage::ShutdownFramework { framework_id } => {
            shutdown_framework::handle(agent, now, &framework_id, out);
        }
        MasterMessage::Refused { message } => {
            agent.close_link("the master refused the registration", out);
            agent.exited = true;
            out.effect(Effect::Exit { error: Some(message) });
        }
        MasterMessage::Gone { message } => gone::handle(agent, now, message, out),
        MasterMessage::Heartbeat { interval } => {
            if let Some(interval) = interval {
                agent.link.beat_by(now, interval);
            }
        }
    }
}
