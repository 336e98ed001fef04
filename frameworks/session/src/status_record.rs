//! A task's status as a durable record, for schedulers that keep it in records of their own.

use proffer_types::{
    AgentId, StatusReason, StatusSource, StatusUuid, TaskExit, TaskId, TaskState, TaskStatus, Timestamp,
    Usage,
};
use prost::Message;

/// A [`TaskStatus`] as a message, to be a field of a scheduler's record. Read back, it is what was written.
#[derive(Clone, PartialEq, Message)]
pub struct StatusRecord {
    #[prost(string, tag = "1")]
    task_id: String,
    #[prost(string, optional, tag = "2")]
    agent_id: Option<String>,
    /// States and reasons are written in words: their numbers belong to the wire.
    #[prost(string, tag = "3")]
    state: String,
    #[prost(bool, tag = "4")]
    from_agent: bool,
    #[prost(string, optional, tag = "5")]
    reason: Option<String>,
    #[prost(string, tag = "6")]
    message: String,
    #[prost(uint64, tag = "7")]
    timestamp_ms: u64,
    #[prost(bytes = "vec", tag = "8")]
    uuid: Vec<u8>,
    #[prost(sint32, optional, tag = "9")]
    exit_code: Option<i32>,
    #[prost(sint32, optional, tag = "10")]
    exit_signal: Option<i32>,
    #[prost(message, optional, tag = "11")]
    usage: Option<UsageRecord>,
}

#[derive(Clone, Copy, PartialEq, Message)]
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

impl From<&TaskStatus> for StatusRecord {
    fn from(status: &TaskStatus) -> Self {
        let (exit_code, exit_signal) = match status.exit {
            Some(TaskExit::Code(code)) => (Some(code), None),
            Some(TaskExit::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        Self {
            task_id: status.task_id.to_string(),
            agent_id: status.agent_id.as_ref().map(ToString::to_string),
            state: status.state.as_str().to_owned(),
            from_agent: status.source == StatusSource::Agent,
            reason: status.reason.map(|reason| reason.as_str().to_owned()),
            message: status.message.clone(),
            timestamp_ms: status.timestamp.0,
            uuid: status.uuid.map(|uuid| uuid.0.to_vec()).unwrap_or_default(),
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
}

impl TryFrom<StatusRecord> for TaskStatus {
    /// What cannot be read, and why.
    type Error = String;

    fn try_from(record: StatusRecord) -> Result<Self, String> {
        let state = TaskState::ALL
            .into_iter()
            .find(|state| state.as_str() == record.state);
        let named = |word: String| {
            let found = StatusReason::ALL
                .into_iter()
                .find(|reason| reason.as_str() == word);
            found.ok_or_else(|| format!("`{word}` is no reason"))
        };
        let agent_id = record.agent_id.map(AgentId::new).transpose();
        Ok(Self {
            task_id: TaskId::new(&record.task_id).map_err(|error| error.to_string())?,
            agent_id: agent_id.map_err(|error| error.to_string())?,
            state: state.ok_or_else(|| format!("`{}` is no state", record.state))?,
            source: match record.from_agent {
                true => StatusSource::Agent,
                false => StatusSource::Master,
            },
            reason: record.reason.map(named).transpose()?,
            message: record.message,
            timestamp: Timestamp(record.timestamp_ms),
            uuid: record.uuid.try_into().ok().map(StatusUuid),
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
            condition: proffer_types::TaskCondition::default(),
        })
    }
}
