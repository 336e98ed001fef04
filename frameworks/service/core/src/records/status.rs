//! The record of a task's latest status.
//!
//! States and reasons are stored as the words they are shown as, which never change.

use proffer_types::{StatusReason, StatusSource, TaskExit, TaskId, TaskState, TaskStatus, Timestamp, Usage};

use super::replica::agent_id;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StatusRecord {
    #[prost(string, tag = "1")]
    task_id: String,
    /// Empty when unknown.
    #[prost(string, tag = "2")]
    agent_id: String,
    #[prost(string, tag = "3")]
    state: String,
    #[prost(bool, tag = "4")]
    from_agent: bool,
    /// Empty when there is none.
    #[prost(string, tag = "5")]
    reason: String,
    #[prost(string, tag = "6")]
    message: String,
    #[prost(uint64, tag = "7")]
    timestamp_ms: u64,
    #[prost(int32, optional, tag = "8")]
    exit_code: Option<i32>,
    #[prost(int32, optional, tag = "9")]
    exit_signal: Option<i32>,
    #[prost(message, optional, tag = "10")]
    usage: Option<UsageRecord>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct UsageRecord {
    #[prost(uint64, tag = "1")]
    wall_time_us: u64,
    #[prost(uint64, tag = "2")]
    cpu_time_us: u64,
    #[prost(uint64, tag = "3")]
    mem_peak_bytes: u64,
    #[prost(uint64, tag = "4")]
    pids_refused: u64,
    #[prost(uint64, tag = "5")]
    oom_kills: u64,
}

pub(super) fn write(status: &TaskStatus) -> StatusRecord {
    let (exit_code, exit_signal) = match status.exit {
        Some(TaskExit::Code(code)) => (Some(code), None),
        Some(TaskExit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    StatusRecord {
        task_id: status.task_id.to_string(),
        agent_id: status
            .agent_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        state: status.state.as_str().to_owned(),
        from_agent: status.source == StatusSource::Agent,
        reason: status.reason.map_or("", StatusReason::as_str).to_owned(),
        message: status.message.clone(),
        timestamp_ms: status.timestamp.0,
        exit_code,
        exit_signal,
        usage: status.usage.map(|usage| UsageRecord {
            wall_time_us: usage.wall_time_us,
            cpu_time_us: usage.cpu_time_us,
            mem_peak_bytes: usage.mem_peak_bytes,
            pids_refused: usage.pids_refused,
            oom_kills: usage.oom_kills,
        }),
    }
}

pub(super) fn read(record: &StatusRecord) -> Result<TaskStatus, String> {
    let source = if record.from_agent {
        StatusSource::Agent
    } else {
        StatusSource::Master
    };
    Ok(TaskStatus {
        task_id: TaskId::new(&record.task_id).map_err(|error| error.to_string())?,
        agent_id: agent_id(&record.agent_id)?,
        state: state(&record.state)?,
        source,
        reason: reason(&record.reason)?,
        message: record.message.clone(),
        timestamp: Timestamp(record.timestamp_ms),
        uuid: None,
        exit: record
            .exit_code
            .map(TaskExit::Code)
            .or(record.exit_signal.map(TaskExit::Signal)),
        usage: record.usage.map(|usage| Usage {
            wall_time_us: usage.wall_time_us,
            cpu_time_us: usage.cpu_time_us,
            mem_peak_bytes: usage.mem_peak_bytes,
            pids_refused: usage.pids_refused,
            oom_kills: usage.oom_kills,
        }),
    })
}

fn state(text: &str) -> Result<TaskState, String> {
    TaskState::ALL
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| format!("`{text}` is no task state"))
}

fn reason(text: &str) -> Result<Option<StatusReason>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    StatusReason::ALL
        .into_iter()
        .find(|reason| reason.as_str() == text)
        .map(Some)
        .ok_or_else(|| format!("`{text}` is no reason"))
}
