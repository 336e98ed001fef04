//! What the master tells an agent.

use std::sync::Arc;
use std::time::Duration;

use proffer_types::agent_link::MasterMessage;
use proffer_types::{KillPolicy, Session, TaskInfo};

use super::task_info;
use crate::error::{At as _, ConvertError};
use crate::frame::chunks;
use crate::text::{message as text, millis, optional_text, parse, parse_optional, some_millis, uuid};
use crate::v1;
use crate::v1::master_message as m;
use crate::v1::master_message::Message as FromMaster;

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
                info: Arc::new(task_info(run.task_info).at("run_task")?),
            }),
            FromMaster::RunGroup(group) => run_group(group).at("run_group"),
            FromMaster::ApplyOperation(apply) => apply_operation(apply).at("apply_operation"),
            FromMaster::AcknowledgeOperation(ack) => Ok(Self::AcknowledgeOperation {
                framework_id: parse("acknowledge_operation.framework_id", &ack.framework_id)?,
                operation_id: parse("acknowledge_operation.operation_id", &ack.operation_id)?,
                uuid: uuid("acknowledge_operation.uuid", &ack.uuid)?,
            }),
            FromMaster::KillTask(kill) => Ok(Self::KillTask {
                framework_id: parse("kill_task.framework_id", &kill.framework_id)?,
                task_id: parse("kill_task.task_id", &kill.task_id)?,
                kill_policy: kill.kill_policy.map(KillPolicy::from).unwrap_or_default(),
            }),
            FromMaster::SuspendTask(suspend) => Ok(Self::SuspendTask {
                framework_id: parse("suspend_task.framework_id", &suspend.framework_id)?,
                task_id: parse("suspend_task.task_id", &suspend.task_id)?,
            }),
            FromMaster::ResumeTask(resume) => Ok(Self::ResumeTask {
                framework_id: parse("resume_task.framework_id", &resume.framework_id)?,
                task_id: parse("resume_task.task_id", &resume.task_id)?,
                suspension: resume.suspension,
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
            FromMaster::Gone(gone) => Ok(Self::Gone {
                message: text(gone.message),
            }),
            FromMaster::Heartbeat(heartbeat) => Ok(Self::Heartbeat {
                interval: some_millis(heartbeat.interval_ms),
            }),
        }
    }
}

fn run_group(message: m::RunGroup) -> Result<MasterMessage, ConvertError> {
    let task = |(index, info)| TaskInfo::try_from(info).at_item("tasks", index);
    Ok(MasterMessage::RunGroup {
        framework_id: parse("framework_id", &message.framework_id)?,
        role: parse("role", &message.role)?,
        group: parse("group_id", &message.group_id)?,
        tasks: message
            .tasks
            .into_iter()
            .enumerate()
            .map(task)
            .collect::<Result<_, _>>()?,
    })
}

fn apply_operation(message: m::ApplyOperation) -> Result<MasterMessage, ConvertError> {
    Ok(MasterMessage::ApplyOperation {
        framework_id: parse("framework_id", &message.framework_id)?,
        id: parse_optional("operation_id", &message.operation_id)?,
        change: message
            .change
            .ok_or_else(|| ConvertError::missing("change"))?
            .try_into()
            .at("change")?,
    })
}

impl From<&MasterMessage> for v1::MasterMessage {
    fn from(message: &MasterMessage) -> Self {
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
                task_info: Some((&**info).into()),
                role: role.to_string(),
            }),
            MasterMessage::RunGroup {
                framework_id,
                role,
                group,
                tasks,
            } => FromMaster::RunGroup(m::RunGroup {
                framework_id: framework_id.to_string(),
                role: role.to_string(),
                group_id: group.to_string(),
                tasks: tasks.iter().map(Into::into).collect(),
            }),
            MasterMessage::ApplyOperation {
                framework_id,
                id,
                change,
            } => FromMaster::ApplyOperation(m::ApplyOperation {
                framework_id: framework_id.to_string(),
                operation_id: optional_text(id.as_ref()),
                change: Some(change.into()),
            }),
            MasterMessage::AcknowledgeOperation {
                framework_id,
                operation_id,
                uuid,
            } => FromMaster::AcknowledgeOperation(m::AcknowledgeOperation {
                framework_id: framework_id.to_string(),
                operation_id: operation_id.to_string(),
                uuid: uuid.0.to_vec(),
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
            MasterMessage::SuspendTask {
                framework_id,
                task_id,
            } => FromMaster::SuspendTask(m::SuspendTask {
                framework_id: framework_id.to_string(),
                task_id: task_id.to_string(),
            }),
            MasterMessage::ResumeTask {
                framework_id,
                task_id,
                suspension,
            } => FromMaster::ResumeTask(m::ResumeTask {
                framework_id: framework_id.to_string(),
                task_id: task_id.to_string(),
                suspension: *suspension,
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
            MasterMessage::Gone { message } => FromMaster::Gone(m::Gone {
                message: message.clone(),
            }),
            MasterMessage::Heartbeat { interval } => FromMaster::Heartbeat(m::Heartbeat {
                interval_ms: interval.map_or(0, millis),
            }),
        };
        Self {
            message: Some(message),
        }
    }
}
