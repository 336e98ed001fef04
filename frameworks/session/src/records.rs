//! The session's own durable records: the framework id, and the tasks and operations that are not known to have ended.
//!
//! | key | value |
//! |---|---|
//! | `session/framework_id` | the id, as text |
//! | `session/task/<task id>` | a `TaskRecord` |
//! | `session/operation/<operation id>` | an `OperationRecord` |
//! | `session/teardown` | empty: the framework is to be torn down |
//!
//! `session/term` is the driver's, which keeps it from the session: who of several processes writes to the store.
//!
//! They are committed in the same batch as the scheduler's, so the two never disagree.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_types::{AgentId, FrameworkId, KillPolicy, OperationId, TaskId};
use prost::Message;
use thiserror::Error;

use crate::Write;

/// What the keys of the session's records start with.
pub const SESSION_PREFIX: &str = "session/";
const FRAMEWORK_ID: &str = "session/framework_id";
const TEARDOWN: &str = "session/teardown";
const TASK_PREFIX: &str = "session/task/";
const OPERATION_PREFIX: &str = "session/operation/";

/// A durable record that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("record `{key}` cannot be read: {why}")]
pub struct RecoverError {
    pub key: String,
    pub why: String,
}

impl RecoverError {
    /// Blames one record.
    pub fn new(key: impl Into<String>, why: impl ToString) -> Self {
        Self {
            key: key.into(),
            why: why.to_string(),
        }
    }
}

/// A task the framework launched and that is not known to have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) agent_id: Option<AgentId>,
    /// The kill that was asked for; told again on every subscription until the task ends.
    pub(crate) kill: Option<KillPolicy>,
    /// Whether the master told of the task since the last subscription. Not durable.
    pub(crate) answered: bool,
}

/// An operation the framework gave an id and that is not known to have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveOperation {
    pub(crate) agent_id: Option<AgentId>,
    /// As of a task.
    pub(crate) answered: bool,
}

#[derive(Clone, PartialEq, Message)]
struct OperationRecord {
    /// Empty when unknown.
    #[prost(string, tag = "1")]
    agent_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct TaskRecord {
    /// Empty when unknown.
    #[prost(string, tag = "1")]
    agent_id: String,
    #[prost(bool, tag = "2")]
    kill: bool,
    #[prost(uint64, optional, tag = "3")]
    kill_grace_ms: Option<u64>,
}

/// What a session finds of itself in the store.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) framework_id: Option<FrameworkId>,
    pub(crate) teardown: bool,
    pub(crate) tasks: BTreeMap<TaskId, Live>,
    pub(crate) operations: BTreeMap<OperationId, LiveOperation>,
    /// The scheduler's records.
    pub(crate) others: Vec<(String, Vec<u8>)>,
}

pub(crate) fn read(records: Vec<(String, Vec<u8>)>) -> Result<Recovered, RecoverError> {
    let mut recovered = Recovered::default();
    for (key, value) in records {
        if key == FRAMEWORK_ID {
            recovered.framework_id = Some(read_framework_id(&key, &value)?);
        } else if key == TEARDOWN {
            recovered.teardown = true;
        } else if let Some(id) = key.strip_prefix(TASK_PREFIX) {
            let id = TaskId::new(id).map_err(|error| RecoverError::new(&key, error))?;
            recovered.tasks.insert(id, read_task(&key, &value)?);
        } else if let Some(id) = key.strip_prefix(OPERATION_PREFIX) {
            let id = OperationId::new(id).map_err(|error| RecoverError::new(&key, error))?;
            recovered.operations.insert(id, read_operation(&key, &value)?);
        } else if key.starts_with(SESSION_PREFIX) {
            return Err(RecoverError::new(
                key,
                "no such record; is it of a newer version?",
            ));
        } else {
            recovered.others.push((key, value));
        }
    }
    Ok(recovered)
}

fn read_framework_id(key: &str, value: &[u8]) -> Result<FrameworkId, RecoverError> {
    let text = str::from_utf8(value).map_err(|error| RecoverError::new(key, error))?;
    FrameworkId::new(text).map_err(|error| RecoverError::new(key, error))
}

fn read_task(key: &str, value: &[u8]) -> Result<Live, RecoverError> {
    let record = TaskRecord::decode(value).map_err(|error| RecoverError::new(key, error))?;
    Ok(Live {
        agent_id: read_agent_id(key, &record.agent_id)?,
        kill: record.kill.then(|| KillPolicy {
            grace_period: record.kill_grace_ms.map(Duration::from_millis),
        }),
        answered: false,
    })
}

fn read_operation(key: &str, value: &[u8]) -> Result<LiveOperation, RecoverError> {
    let record = OperationRecord::decode(value).map_err(|error| RecoverError::new(key, error))?;
    Ok(LiveOperation {
        agent_id: read_agent_id(key, &record.agent_id)?,
        answered: false,
    })
}

fn read_agent_id(key: &str, text: &str) -> Result<Option<AgentId>, RecoverError> {
    match text {
        "" => Ok(None),
        id => AgentId::new(id)
            .map(Some)
            .map_err(|error| RecoverError::new(key, error)),
    }
}

pub(crate) fn put_framework_id(id: &FrameworkId) -> Write {
    Write::Put {
        key: FRAMEWORK_ID.to_owned(),
        value: id.as_str().as_bytes().to_vec(),
    }
}

pub(crate) fn delete_framework_id() -> Write {
    Write::Delete {
        key: FRAMEWORK_ID.to_owned(),
    }
}

pub(crate) fn put_teardown() -> Write {
    Write::Put {
        key: TEARDOWN.to_owned(),
        value: Vec::new(),
    }
}

pub(crate) fn delete_teardown() -> Write {
    Write::Delete {
        key: TEARDOWN.to_owned(),
    }
}

pub(crate) fn put_task(id: &TaskId, live: &Live) -> Write {
    let grace = live.kill.and_then(|policy| policy.grace_period);
    let record = TaskRecord {
        agent_id: live
            .agent_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        kill: live.kill.is_some(),
        kill_grace_ms: grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)),
    };
    Write::Put {
        key: [TASK_PREFIX, id.as_str()].concat(),
        value: record.encode_to_vec(),
    }
}

pub(crate) fn delete_task(id: &TaskId) -> Write {
    Write::Delete {
        key: [TASK_PREFIX, id.as_str()].concat(),
    }
}

pub(crate) fn put_operation(id: &OperationId, live: &LiveOperation) -> Write {
    let agent_id = live.agent_id.as_ref();
    let record = OperationRecord {
        agent_id: agent_id.map(ToString::to_string).unwrap_or_default(),
    };
    Write::Put {
        key: [OPERATION_PREFIX, id.as_str()].concat(),
        value: record.encode_to_vec(),
    }
}

pub(crate) fn delete_operation(id: &OperationId) -> Write {
    Write::Delete {
        key: [OPERATION_PREFIX, id.as_str()].concat(),
    }
}
