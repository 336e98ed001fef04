//! The records as protobuf messages, with the wire's own messages inside.
//!
//! A record grows by fields, which older and newer agents read alike, so that the file's version stays.

use std::sync::Arc;

use proffer_agent_core::{
    ExecutorRecord, KillCause, KillRecord, Process, ResourcesRecord, StateRecord, SuspensionRecord,
    TaskRecord,
};
use proffer_types::{FrameworkId, GroupId, Role, StatusReason, TaskId, Timestamp};
use proffer_wire::{ConvertError, v1};
use prost::Message;
use thiserror::Error;

use crate::clock::Base;

/// A record that does not make sense although its checksum fits.
#[derive(Debug, Error)]
pub(crate) enum DecodeError {
    #[error(transparent)]
    Message(#[from] prost::DecodeError),
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error(transparent)]
    Id(#[from] proffer_types::id::ParseIdError),
    #[error(transparent)]
    Role(#[from] proffer_types::role::ParseRoleError),
    #[error("`{0}` is missing or unknown")]
    Field(&'static str),
}

#[derive(Clone, PartialEq, Message)]
struct Task {
    #[prost(string, tag = "1")]
    framework_id: String,
    #[prost(message, optional, tag = "2")]
    info: Option<v1::TaskInfo>,
    #[prost(string, tag = "3")]
    role: String,
    /// Empty for none.
    #[prost(string, tag = "4")]
    group_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct Executor {
    #[prost(string, tag = "1")]
    framework_id: String,
    #[prost(message, optional, tag = "2")]
    info: Option<v1::ExecutorInfo>,
    #[prost(bool, tag = "3")]
    was_subscribed: bool,
}

#[derive(Clone, PartialEq, Message)]
struct State {
    #[prost(message, optional, tag = "1")]
    process: Option<ProcessMessage>,
    #[prost(uint64, optional, tag = "2")]
    started_at_ms: Option<u64>,
    #[prost(message, optional, tag = "3")]
    kill: Option<Kill>,
    #[prost(message, optional, tag = "4")]
    latest: Option<v1::TaskStatus>,
    #[prost(message, repeated, tag = "5")]
    updates: Vec<v1::TaskStatus>,
    #[prost(uint64, optional, tag = "6")]
    first_started_at_ms: Option<u64>,
    #[prost(uint32, tag = "7")]
    restarts: u32,
    #[prost(uint32, tag = "8")]
    short_runs: u32,
    #[prost(uint64, optional, tag = "9")]
    restart_at_ms: Option<u64>,
    /// What the times above count from; absent in records of older agents. Those of statuses are for people.
    #[prost(message, optional, tag = "10")]
    base: Option<BaseMessage>,
    #[prost(uint32, tag = "11")]
    suspensions: u32,
    #[prost(uint64, optional, tag = "12")]
    suspended_at_ms: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct BaseMessage {
    #[prost(fixed64, tag = "1")]
    boot: u64,
    #[prost(uint64, tag = "2")]
    booted_at_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ProcessMessage {
    #[prost(uint32, tag = "1")]
    pid: u32,
    #[prost(uint64, tag = "2")]
    start_time: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Kill {
    #[prost(uint32, tag = "1")]
    cause: u32,
    #[prost(uint64, tag = "2")]
    kill_at_ms: u64,
    /// The task of the group that ended, where that is the cause.
    #[prost(string, tag = "3")]
    ended_task_id: String,
    /// Of a failed check, or a limit.
    #[prost(string, tag = "4")]
    message: String,
    /// The limit's, in words.
    #[prost(string, tag = "5")]
    reason: String,
}

#[derive(Clone, PartialEq, Message)]
struct ResourcesMessage {
    #[prost(message, optional, tag = "1")]
    changed: Option<v1::Resources>,
    #[prost(message, repeated, tag = "2")]
    operations: Vec<v1::RegisteredOperation>,
    /// Volumes that this record destroyed, as [`crate::volumes::name`] has them. Only what is listed here is
    /// removed when an agent ended before it was.
    #[prost(string, repeated, tag = "3")]
    destroyed: Vec<String>,
}

pub(super) fn encode_task(task: &TaskRecord) -> Vec<u8> {
    Task {
        framework_id: task.framework_id.to_string(),
        info: Some((&task.info).into()),
        role: task.role.to_string(),
        group_id: task.group.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
    .encode_to_vec()
}

pub(super) fn decode_task(bytes: &[u8]) -> Result<TaskRecord, DecodeError> {
    let task = Task::decode(bytes)?;
    Ok(TaskRecord {
        framework_id: FrameworkId::new(task.framework_id)?,
        // Older agents wrote none: that may cost the account of a task its role, never the task.
        role: match task.role.as_str() {
            "" => Role::default(),
            role => Role::new(role)?,
        },
        group: match task.group_id.as_str() {
            "" => None,
            id => Some(GroupId::new(id)?),
        },
        info: task.info.ok_or(DecodeError::Field("info"))?.try_into()?,
    })
}

pub(super) fn encode_executor(executor: &ExecutorRecord) -> Vec<u8> {
    Executor {
        framework_id: executor.framework_id.to_string(),
        info: Some(executor.info.as_ref().into()),
        was_subscribed: executor.was_subscribed,
    }
    .encode_to_vec()
}

pub(super) fn decode_executor(bytes: &[u8]) -> Result<ExecutorRecord, DecodeError> {
    let executor = Executor::decode(bytes)?;
    let info = executor.info.ok_or(DecodeError::Field("info"))?;
    Ok(ExecutorRecord {
        framework_id: FrameworkId::new(executor.framework_id)?,
        info: Arc::new(info.try_into()?),
        was_subscribed: executor.was_subscribed,
    })
}

pub(super) fn encode_state(state: &StateRecord, base: Base) -> Vec<u8> {
    State {
        process: state.process.map(|process| ProcessMessage {
            pid: process.pid,
            start_time: process.start_time,
        }),
        started_at_ms: state.started_at.map(|at| at.0),
        first_started_at_ms: state.first_started_at.map(|at| at.0),
        restarts: state.restarts,
        short_runs: state.short_runs,
        restart_at_ms: state.restart_at.map(|at| at.0),
        kill: state.kill.as_ref().map(encode_kill),
        latest: Some((&state.latest).into()),
        updates: state.updates.iter().map(Into::into).collect(),
        base: Some(BaseMessage {
            boot: base.boot,
            booted_at_ms: base.booted_at_ms,
        }),
        suspensions: state.suspension.count,
        suspended_at_ms: state.suspension.since.map(|at| at.0),
    }
    .encode_to_vec()
}

/// Its times count from `base` afterwards.
pub(super) fn decode_state(bytes: &[u8], base: Base) -> Result<StateRecord, DecodeError> {
    let state = State::decode(bytes)?;
    let of = state.base.map_or(Base::default(), |of| Base {
        boot: of.boot,
        booted_at_ms: of.booted_at_ms,
    });
    let time = |at: u64| of.translate(Timestamp(at), base);
    let kill = state.kill.map(decode_kill).transpose()?;
    Ok(StateRecord {
        process: state.process.map(|process| Process {
            pid: process.pid,
            start_time: process.start_time,
        }),
        started_at: state.started_at_ms.map(time),
        first_started_at: state.first_started_at_ms.map(time),
        restarts: state.restarts,
        short_runs: state.short_runs,
        restart_at: state.restart_at_ms.map(time),
        kill: kill.map(|kill| KillRecord {
            kill_at: time(kill.kill_at.0),
            ..kill
        }),
        suspension: SuspensionRecord {
            count: state.suspensions,
            since: state.suspended_at_ms.map(time),
        },
        latest: state.latest.ok_or(DecodeError::Field("latest"))?.try_into()?,
        updates: state
            .updates
            .into_iter()
            .map(TryInto::try_into)
            .collect::<Result<_, _>>()?,
    })
}

pub(super) fn encode_resources(record: &ResourcesRecord, destroyed: Vec<String>) -> Vec<u8> {
    ResourcesMessage {
        changed: Some((&record.changed).into()),
        operations: record.operations.iter().map(Into::into).collect(),
        destroyed,
    }
    .encode_to_vec()
}

/// The record, and the volumes it destroyed.
pub(super) fn decode_resources(bytes: &[u8]) -> Result<(ResourcesRecord, Vec<String>), DecodeError> {
    let message = ResourcesMessage::decode(bytes)?;
    let record = ResourcesRecord {
        changed: message.changed.unwrap_or_default().try_into()?,
        operations: message
            .operations
            .into_iter()
            .map(TryInto::try_into)
            .collect::<Result<_, _>>()?,
    };
    Ok((record, message.destroyed))
}

fn encode_kill(kill: &KillRecord) -> Kill {
    let mut record = Kill {
        cause: cause_number(&kill.cause),
        kill_at_ms: kill.kill_at.0,
        ..Kill::default()
    };
    match &kill.cause {
        KillCause::GroupEnded { task_id } => record.ended_task_id = task_id.to_string(),
        KillCause::Unhealthy { message } => record.message.clone_from(message),
        KillCause::LimitExceeded { reason, message } => {
            record.message.clone_from(message);
            reason.as_str().clone_into(&mut record.reason);
        }
        KillCause::Requested
        | KillCause::RequestedDuringLaunch
        | KillCause::FrameworkShutdown
        | KillCause::MaxCompletionTime
        | KillCause::AgentStopping => {}
    }
    record
}

fn decode_kill(kill: Kill) -> Result<KillRecord, DecodeError> {
    let cause = match kill.cause {
        1 => KillCause::Requested,
        2 => KillCause::RequestedDuringLaunch,
        3 => KillCause::FrameworkShutdown,
        4 => KillCause::MaxCompletionTime,
        5 => KillCause::AgentStopping,
        6 => KillCause::GroupEnded {
            task_id: TaskId::new(kill.ended_task_id)?,
        },
        7 => KillCause::Unhealthy {
            message: kill.message,
        },
        8 => KillCause::LimitExceeded {
            reason: reason(&kill.reason)?,
            message: kill.message,
        },
        _ => return Err(DecodeError::Field("kill.cause")),
    };
    let kill_at = Timestamp(kill.kill_at_ms);
    Ok(KillRecord { cause, kill_at })
}

fn reason(word: &str) -> Result<StatusReason, DecodeError> {
    let mut all = StatusReason::ALL.into_iter();
    let found = all.find(|reason| reason.as_str() == word);
    found.ok_or(DecodeError::Field("kill.reason"))
}

fn cause_number(cause: &KillCause) -> u32 {
    match cause {
        KillCause::Requested => 1,
        KillCause::RequestedDuringLaunch => 2,
        KillCause::FrameworkShutdown => 3,
        KillCause::MaxCompletionTime => 4,
        KillCause::AgentStopping => 5,
        KillCause::GroupEnded { .. } => 6,
        KillCause::Unhealthy { .. } => 7,
        KillCause::LimitExceeded { .. } => 8,
    }
}
