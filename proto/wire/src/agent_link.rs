//! The link between the master and an agent.
//!
//! A registration is larger than a frame may be, so it travels as `Register`, any number of `RegisterTasks` and
//! `RegisterOperations`, and `RegisterDone`, and the receiver's [`Registration`] puts it together again.
//! What the master says, the other direction, is in `agent_link/from_master.rs`.

mod assemble;
mod from_master;

use proffer_types::agent_link::{AgentMessage, RegisteredOperation, RegisteredTask};
use proffer_types::{AgentId, AgentInfo, OperationStatus, Session, TaskInfo};

pub use assemble::{MAX_REGISTERED_OPERATIONS, MAX_REGISTERED_TASKS, MAX_REGISTRATION_BYTES, Registration};
pub use from_master::{from_master_frame, master_frames};

use crate::error::{At as _, ConvertError};
use crate::frame::chunks;
use crate::status::task_state;
use crate::text::{millis, optional_text, parse, parse_optional};
use crate::v1;
use crate::v1::agent_message::Message as FromAgent;

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
            operations,
        } => {
            return register_messages(info, agent_id.as_ref(), tasks, operations);
        }
        AgentMessage::Status {
            framework_id,
            status,
            latest_state,
            latest_suspension,
        } => FromAgent::Status(v1::agent_message::Status {
            framework_id: framework_id.to_string(),
            status: Some(status.into()),
            latest_state: v1::TaskState::from(*latest_state).into(),
            latest_suspension: *latest_suspension,
        }),
        AgentMessage::OperationUpdate { framework_id, status } => {
            FromAgent::OperationUpdate(v1::agent_message::OperationUpdate {
                framework_id: framework_id.to_string(),
                status: Some(status.into()),
            })
        }
        AgentMessage::Total(resources) => FromAgent::Total(v1::agent_message::Total {
            resources: Some(resources.into()),
        }),
        AgentMessage::Heartbeat { interval } => FromAgent::Heartbeat(v1::agent_message::Heartbeat {
            interval_ms: interval.map_or(0, millis),
        }),
    };
    vec![v1::AgentMessage { message: Some(one) }]
}

/// The messages of one registration, each under 1 MiB unless it holds a single larger task.
fn register_messages(
    info: &AgentInfo,
    agent_id: Option<&AgentId>,
    tasks: &[RegisteredTask],
    operations: &[RegisteredOperation],
) -> Vec<v1::AgentMessage> {
    let first = FromAgent::Register(v1::agent_message::Register {
        agent_info: Some(info.into()),
        agent_id: optional_text(agent_id),
    });
    let task_lists = chunks(tasks.iter().map(v1::RegisteredTask::from))
        .into_iter()
        .map(|tasks| FromAgent::RegisterTasks(v1::agent_message::RegisterTasks { tasks }));
    let operation_lists = chunks(operations.iter().map(v1::RegisteredOperation::from))
        .into_iter()
        .map(|operations| {
            FromAgent::RegisterOperations(v1::agent_message::RegisterOperations { operations })
        });
    let last = FromAgent::RegisterDone(v1::agent_message::RegisterDone {});
    std::iter::once(first)
        .chain(task_lists)
        .chain(operation_lists)
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
            group_id: optional_text(task.group.as_ref()),
        }
    }
}

impl TryFrom<v1::RegisteredTask> for RegisteredTask {
    type Error = ConvertError;

    fn try_from(message: v1::RegisteredTask) -> Result<Self, ConvertError> {
        Ok(Self {
            framework_id: parse("framework_id", &message.framework_id)?,
            role: parse("role", &message.role)?,
            group: parse_optional("group_id", &message.group_id)?,
            info: task_info(message.task_info)?,
            latest_status: message
                .latest_status
                .ok_or_else(|| ConvertError::missing("latest_status"))?
                .try_into()
                .at("latest_status")?,
        })
    }
}

impl From<&RegisteredOperation> for v1::RegisteredOperation {
    fn from(operation: &RegisteredOperation) -> Self {
        Self {
            framework_id: operation.framework_id.to_string(),
            status: Some((&operation.status).into()),
        }
    }
}

impl TryFrom<v1::RegisteredOperation> for RegisteredOperation {
    type Error = ConvertError;

    fn try_from(message: v1::RegisteredOperation) -> Result<Self, ConvertError> {
        Ok(Self {
            framework_id: parse("framework_id", &message.framework_id)?,
            status: operation_status(message.status)?,
        })
    }
}

fn operation_status(message: Option<v1::OperationStatus>) -> Result<OperationStatus, ConvertError> {
    message
        .ok_or_else(|| ConvertError::missing("status"))?
        .try_into()
        .at("status")
}

fn operation_update(message: v1::agent_message::OperationUpdate) -> Result<AgentMessage, ConvertError> {
    Ok(AgentMessage::OperationUpdate {
        framework_id: parse("framework_id", &message.framework_id)?,
        status: operation_status(message.status)?,
    })
}

fn task_info(message: Option<v1::TaskInfo>) -> Result<TaskInfo, ConvertError> {
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
        latest_suspension: message.latest_suspension,
    })
}
