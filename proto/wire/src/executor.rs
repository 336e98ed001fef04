//! Executors as frameworks describe them, and what they and their agent say to each other.

use std::sync::Arc;
use std::time::Duration;

use proffer_types::{ContainerSpec, ExecutorCall, ExecutorEvent, ExecutorInfo, ExecutorUpdate, TaskInfo};

use crate::error::{At as _, ConvertError};
use crate::status::task_state;
use crate::text::{at_most, message as text, millis, parse, parse_all, uuid};
use crate::v1;

/// The most data of one task for its executor, in bytes. It passes the master with the launch, and the agent has it in
/// memory and on disk for as long as the task is there.
pub const MAX_TASK_DATA_BYTES: usize = 64 << 10;

/// The most tasks of one subscription: what an agent holds at most, and some that it has forgotten.
pub const MAX_SUBSCRIBED_TASKS: usize = 10_000;

impl TryFrom<v1::ExecutorInfo> for ExecutorInfo {
    type Error = ConvertError;

    fn try_from(message: v1::ExecutorInfo) -> Result<Self, ConvertError> {
        let container = message
            .container
            .ok_or_else(|| ConvertError::missing("container"))?;
        let info = Self {
            id: parse("executor_id", &message.executor_id)?,
            container: container.try_into().at("container")?,
        };
        match info.problem() {
            Some(what) => {
                let problem = format_args!("an executor cannot have {what}");
                Err(ConvertError::new("container", problem))
            }
            None => Ok(info),
        }
    }
}

impl From<&ExecutorInfo> for v1::ExecutorInfo {
    fn from(info: &ExecutorInfo) -> Self {
        Self {
            executor_id: info.id.to_string(),
            container: Some((&info.container).into()),
        }
    }
}

/// A task has a container of its own or an executor, never both.
pub(crate) fn container_or_executor(
    container: Option<v1::ContainerSpec>,
    executor: Option<v1::ExecutorInfo>,
) -> Result<(ContainerSpec, Option<Arc<ExecutorInfo>>), ConvertError> {
    match (container, executor) {
        (None, None) => Err(ConvertError::missing("container")),
        (Some(container), None) => Ok((container.try_into().at("container")?, None)),
        (None, Some(executor)) => {
            let executor = executor.try_into().at("executor")?;
            Ok((ContainerSpec::default(), Some(Arc::new(executor))))
        }
        (Some(_), Some(_)) => {
            let problem = "is there, and so is an executor, in whose container the task would run";
            Err(ConvertError::new("container", problem))
        }
    }
}

pub(crate) fn data(data: Vec<u8>, has_executor: bool) -> Result<Vec<u8>, ConvertError> {
    at_most("data", data.len(), MAX_TASK_DATA_BYTES, "bytes")?;
    if !has_executor && !data.is_empty() {
        return Err(ConvertError::new("data", "is there, and no executor to have it"));
    }
    Ok(data)
}

impl TryFrom<v1::ExecutorCall> for ExecutorCall {
    type Error = ConvertError;

    fn try_from(message: v1::ExecutorCall) -> Result<Self, ConvertError> {
        use v1::executor_call::What;
        match message.what.ok_or_else(|| ConvertError::missing("what"))? {
            What::Subscribe(subscribe) => {
                let ids = &subscribe.task_ids;
                at_most("subscribe.task_ids", ids.len(), MAX_SUBSCRIBED_TASKS, "tasks")?;
                let tasks = parse_all("subscribe.task_ids", ids)?;
                Ok(Self::Subscribe { tasks })
            }
            What::Update(update) => Ok(Self::Update(update.try_into().at("update")?)),
        }
    }
}

impl From<&ExecutorCall> for v1::ExecutorCall {
    fn from(call: &ExecutorCall) -> Self {
        use v1::executor_call::What;
        let what = match call {
            ExecutorCall::Subscribe { tasks } => What::Subscribe(v1::ExecutorSubscribe {
                task_ids: tasks.iter().map(ToString::to_string).collect(),
            }),
            ExecutorCall::Update(update) => What::Update(update.into()),
        };
        Self { what: Some(what) }
    }
}

impl TryFrom<v1::ExecutorUpdate> for ExecutorUpdate {
    type Error = ConvertError;

    fn try_from(message: v1::ExecutorUpdate) -> Result<Self, ConvertError> {
        let state = task_state("state", message.state)?;
        if !Self::is_for_executors(state) {
            let problem = format!("{} is not for an executor to say", state.as_str());
            return Err(ConvertError::new("state", problem));
        }
        Ok(Self {
            task_id: parse("task_id", &message.task_id)?,
            state,
            message: text(message.message),
            uuid: uuid("uuid", &message.uuid)?,
        })
    }
}

impl From<&ExecutorUpdate> for v1::ExecutorUpdate {
    fn from(update: &ExecutorUpdate) -> Self {
        Self {
            task_id: update.task_id.to_string(),
            state: v1::TaskState::from(update.state).into(),
            message: update.message.clone(),
            uuid: update.uuid.0.to_vec(),
        }
    }
}

impl TryFrom<v1::ExecutorEvent> for ExecutorEvent {
    type Error = ConvertError;

    fn try_from(message: v1::ExecutorEvent) -> Result<Self, ConvertError> {
        use v1::executor_event::What;
        Ok(match message.what.ok_or_else(|| ConvertError::missing("what"))? {
            What::Subscribed(subscribed) => Self::Subscribed {
                framework_id: parse("subscribed.framework_id", &subscribed.framework_id)?,
                agent_id: parse("subscribed.agent_id", &subscribed.agent_id)?,
                executor_id: parse("subscribed.executor_id", &subscribed.executor_id)?,
            },
            What::Launch(info) => Self::Launch(TaskInfo::try_from(info).at("launch")?),
            What::Kill(kill) => Self::Kill {
                task_id: parse("kill.task_id", &kill.task_id)?,
                grace: Duration::from_millis(kill.grace_period_ms),
            },
            What::Acknowledged(acknowledged) => Self::Acknowledged {
                task_id: parse("acknowledged.task_id", &acknowledged.task_id)?,
                uuid: uuid("acknowledged.uuid", &acknowledged.uuid)?,
            },
            What::Shutdown(shutdown) => Self::Shutdown {
                grace: Duration::from_millis(shutdown.grace_period_ms),
            },
        })
    }
}

impl From<&ExecutorEvent> for v1::ExecutorEvent {
    fn from(event: &ExecutorEvent) -> Self {
        use v1::executor_event::What;
        let what = match event {
            ExecutorEvent::Subscribed {
                framework_id,
                agent_id,
                executor_id,
            } => What::Subscribed(v1::ExecutorSubscribed {
                framework_id: framework_id.to_string(),
                agent_id: agent_id.to_string(),
                executor_id: executor_id.to_string(),
            }),
            ExecutorEvent::Launch(info) => What::Launch(info.into()),
            ExecutorEvent::Kill { task_id, grace } => What::Kill(v1::ExecutorKill {
                task_id: task_id.to_string(),
                grace_period_ms: millis(*grace),
            }),
            ExecutorEvent::Acknowledged { task_id, uuid } => What::Acknowledged(v1::ExecutorAcknowledged {
                task_id: task_id.to_string(),
                uuid: uuid.0.to_vec(),
            }),
            ExecutorEvent::Shutdown { grace } => What::Shutdown(v1::ExecutorShutdown {
                grace_period_ms: millis(*grace),
            }),
        };
        Self { what: Some(what) }
    }
}

crate::from_owned!(ExecutorCall => v1::ExecutorCall);
crate::from_owned!(ExecutorEvent => v1::ExecutorEvent);
