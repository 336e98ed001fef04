//! The link between the master and an agent.
//!
//! A registration is larger than a frame may be, so it travels as `Register`, any number of `RegisterTasks`
//! and `RegisterDone`, and the receiver's [`Registration`] puts it together again.

mod assemble;

use std::time::Duration;

use proffer_types::agent_link::{AgentMessage, MasterMessage, RegisteredTask};
use proffer_types::{AgentId, AgentInfo, KillPolicy, Session};

pub use assemble::{MAX_REGISTERED_TASKS, MAX_REGISTRATION_BYTES, Registration};

use crate::error::{At as _, ConvertError};
use crate::frame::chunks;
use crate::status::task_state;
use crate::text::{message as text, millis, parse, uuid};
use crate::v1;
use crate::v1::agent_message::Message as FromAgent;
use crate::v1::master_message::Message as FromMaster;

/// Puts an agent's messages into frames of under 1 MiB; `None` is the session of a registration.
#[must_use]
pub fn agent_frames(session: Option<Session>, messages: &[AgentMessage]) -> Vec<v1::AgentFrame> {
    let messages = messages.iter().flat_map(agent_messages);
    let frame = |messages| v1::AgentFrame {
        session: session.map_or(0, |session| session.0),
        messages,
    };
    chunks(messages).into_iter().map(frame).collect()
}

fn agent_messages(message: &AgentMessage) -> Vec<v1::AgentMessage> {
    let one = match message {
        AgentMessage::Register {
            info,
            agent_id,
            tasks,
        } => {
            return register_messages(info, agent_id.as_ref(), tasks);
        }
        AgentMessage::Status {
            framework_id,
            status,
            latest_state,
        } => FromAgent::Status(v1::agent_message::Status {
            framework_id: framework_id.to_string(),
            status: Some(status.into()),
            latest_state: v1::TaskState::from(*latest_state).into(),
        }),
        AgentMessage::Heartbeat => FromAgent::Heartbeat(v1::agent_message::Heartbeat {}),
    };
    vec![v1::AgentMessage { message: Some(one) }]
}

/// The messages of one registration, each under 1 MiB unless it holds a single larger task.
fn register_messages(
    info: &AgentInfo,
    agent_id: Option<&AgentId>,
    tasks: &[RegisteredTask],
) -> Vec<v1::AgentMessage> {
    let first = FromAgent::Register(v1::agent_message::Register {
        agent_info: Some(info.into()),
        agent_id: agent_id.map(ToString::to_string).unwrap_or_default(),
    });
    let lists = chunks(tasks.iter().map(v1::RegisteredTask::from))
        .into_iter()
        .map(|tasks| FromAgent::RegisterTasks(v1::agent_message::RegisterTasks { tasks }));
    let last = FromAgent::RegisterDone(v1::agent_message::RegisterDone {});
    std::iter::once(first)
        .chain(lists)
        .chain([last])
        .map(|message| v1::AgentMessage {
            message: Some(message),
        })
        .collect()
}

impl From<&RegisteredTask> for v1::RegisteredTask {
    fn from(task: &RegisteredTask) -> Self {
        Self {
            framework_id: task.framework_id.to_string(),
            task_info: Some((&task.info).into()),
            latest_status: Some((&task.latest_status).into()),
            role: task.role.to_string(),
        }
    }
}

impl TryFrom<v1::RegisteredTask> for RegisteredTask {
    type Error = ConvertError;

    fn try_from(message: v1::RegisteredTask) -> Result<Self, ConvertError> {
        Ok(Self {
            framework_id: parse("framework_id", &message.framework_id)?,
            role: parse("role", &message.role)?,
            info: task_info(message.task_info)?,
            latest_status: message
                .latest_status
                .ok_or_else(|| ConvertError::missing("latest_status"))?
                .try_into()
                .at("latest_status")?,
        })
    }
}

fn task_info(message: Option<v1::TaskInfo>) -> Result<proffer_types::TaskInfo, ConvertError> {
    message
        .ok_or_else(|| ConvertError::missing("task_info"))?
        .try_into()
        .at("task_info")
}

fn status(message: v1::agent_message::Status) -> Result<AgentMessage, ConvertError> {
    Ok(AgentMessage::Status {
        framework_id: parse("framework_id", &message.framework_id)?,
        status: message
            .status
            .ok_or_else(|| ConvertError::missing("status"))?
            .try_into()
            .at("status")?,
        latest_state: task_state("latest_state", message.latest_state)?,
    })
}

/// Puts the master's messages into frames of under 1 MiB.
#[must_use]
pub fn master_frames(session: Session, messages: &[MasterMessage]) -> Vec<v1::MasterFrame> {
    let frame = |messages| v1::MasterFrame {
        session: session.0,
        messages,
    };
    chunks(messages.iter().map(v1::MasterMessage::from))
        .into_iter()
        .map(frame)
        .collect()
}

/// Takes a frame of the master apart. One bad message spoils the frame.
pub fn from_master_frame(frame: v1::MasterFrame) -> Result<(Session, Vec<MasterMessage>), ConvertError> {
    let item = |(index, message)| MasterMessage::try_from(message).at_item("messages", index);
    let messages = frame.messages.into_iter().enumerate().map(item);
    Ok((Session(frame.session), messages.collect::<Result<_, _>>()?))
}

impl TryFrom<v1::MasterMessage> for MasterMessage {
    type Error = ConvertError;

    fn try_from(message: v1::MasterMessage) -> Result<Self, ConvertError> {
        match message.message.ok_or_else(|| ConvertError::missing("message"))? {
            FromMaster::Registered(registered) => Ok(Self::Registered {
                agent_id: parse("registered.agent_id", &registered.agent_id)?,
                master_id: parse("registered.master_id", &registered.master_id)?,
                heartbeat_interval: Duration::from_millis(registered.heartbeat_interval_ms),
            }),
            FromMaster::RunTask(run) => Ok(Self::RunTask {
                framework_id: parse("run_task.framework_id", &run.framework_id)?,
                role: parse("run_task.role", &run.role)?,
                info: task_info(run.task_info).at("run_task")?,
            }),
            FromMaster::KillTask(kill) => Ok(Self::KillTask {
                framework_id: parse("kill_task.framework_id", &kill.framework_id)?,
                task_id: parse("kill_task.task_id", &kill.task_id)?,
                kill_policy: kill.kill_policy.map(KillPolicy::from).unwrap_or_default(),
            }),
            FromMaster::AcknowledgeStatus(ack) => Ok(Self::AcknowledgeStatus {
                framework_id: parse("acknowledge_status.framework_id", &ack.framework_id)?,
                task_id: parse("acknowledge_status.task_id", &ack.task_id)?,
                uuid: uuid("acknowledge_status.uuid", &ack.uuid)?,
            }),
            FromMaster::ShutdownFramework(shutdown) => Ok(Self::ShutdownFramework {
                framework_id: parse("shutdown_framework.framework_id", &shutdown.framework_id)?,
            }),
            FromMaster::Refused(refused) => Ok(Self::Refused {
                message: text(refused.message),
            }),
            FromMaster::Heartbeat(_) => Ok(Self::Heartbeat),
        }
    }
}

impl From<&MasterMessage> for v1::MasterMessage {
    fn from(message: &MasterMessage) -> Self {
        use v1::master_message as m;
        let message = match message {
            MasterMessage::Registered {
                agent_id,
                master_id,
                heartbeat_interval,
            } => FromMaster::Registered(m::Registered {
                agent_id: agent_id.to_string(),
                heartbeat_interval_ms: millis(*heartbeat_interval),
                master_id: master_id.to_string(),
            }),
            MasterMessage::RunTask {
                framework_id,
                role,
                info,
            } => FromMaster::RunTask(m::RunTask {
                framework_id: framework_id.to_string(),
                task_info: Some(info.into()),
                role: role.to_string(),
            }),
            MasterMessage::KillTask {
                framework_id,
                task_id,
                kill_policy,
            } => FromMaster::KillTask(m::KillTask {
                framework_id: framework_id.to_string(),
                task_id: task_id.to_string(),
                kill_policy: Some((*kill_policy).into()),
            }),
            MasterMessage::AcknowledgeStatus {
                framework_id,
                task_id,
                uuid,
            } => FromMaster::AcknowledgeStatus(m::AcknowledgeStatus {
                framework_id: framework_id.to_string(),
                task_id: task_id.to_string(),
                uuid: uuid.0.to_vec(),
            }),
            MasterMessage::ShutdownFramework { framework_id } => {
                FromMaster::ShutdownFramework(m::ShutdownFramework {
                    framework_id: framework_id.to_string(),
                })
            }
            MasterMessage::Refused { message } => FromMaster::Refused(m::Refused {
                message: message.clone(),
            }),
            MasterMessage::Heartbeat => FromMaster::Heartbeat(m::Heartbeat {}),
        };
        Self {
            message: Some(message),
        }
    }
}
