//! Status updates and the enums in them. A number this version does not know is refused, never guessed.

use proffer_types::{
    IoUsage, StatusReason, StatusSource, TaskCondition, TaskExit, TaskState, TaskStatus, Timestamp, Usage,
};

use crate::error::{At as _, ConvertError};
use crate::text::{at_most, message as text, optional_uuid, parse, parse_all, parse_optional};
use crate::v1;

/// The most addresses of one task: a CNI chain gives a few, of both families.
pub const MAX_ADDRESSES: usize = 16;

impl TryFrom<v1::TaskStatus> for TaskStatus {
    type Error = ConvertError;

    fn try_from(message: v1::TaskStatus) -> Result<Self, ConvertError> {
        Ok(Self {
            task_id: parse("task_id", &message.task_id)?,
            agent_id: parse_optional("agent_id", &message.agent_id)?,
            state: task_state("state", message.state)?,
            source: status_source("source", message.source)?,
            reason: status_reason("reason", message.reason)?,
            message: text(message.message),
            timestamp: Timestamp(message.timestamp_ms),
            uuid: optional_uuid("uuid", &message.uuid)?,
            exit: message.exit.map(TaskExit::try_from).transpose().at("exit")?,
            usage: message.usage.map(Usage::from),
            condition: message.condition.unwrap_or_default().try_into().at("condition")?,
        })
    }
}

impl From<&TaskStatus> for v1::TaskStatus {
    fn from(status: &TaskStatus) -> Self {
        Self {
            task_id: status.task_id.to_string(),
            agent_id: status
                .agent_id
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            state: v1::TaskState::from(status.state).into(),
            source: v1::StatusSource::from(status.source).into(),
            reason: status
                .reason
                .map_or(0, |reason| v1::StatusReason::from(reason).into()),
            message: status.message.clone(),
            timestamp_ms: status.timestamp.0,
            uuid: status.uuid.map(|uuid| uuid.0.to_vec()).unwrap_or_default(),
            exit: status.exit.map(Into::into),
            usage: status.usage.map(Into::into),
            condition: (status.condition != TaskCondition::default()).then(|| (&status.condition).into()),
        }
    }
}

impl TryFrom<v1::TaskCondition> for TaskCondition {
    type Error = ConvertError;

    fn try_from(message: v1::TaskCondition) -> Result<Self, ConvertError> {
        at_most("addresses", message.addresses.len(), MAX_ADDRESSES, "addresses")?;
        Ok(Self {
            healthy: message.healthy,
            ready: message.ready,
            restarts: message.restarts,
            addresses: parse_all("addresses", &message.addresses)?,
            suspension: message.suspension,
        })
    }
}

impl From<&TaskCondition> for v1::TaskCondition {
    fn from(condition: &TaskCondition) -> Self {
        Self {
            healthy: condition.healthy,
            ready: condition.ready,
            restarts: condition.restarts,
            addresses: condition.addresses.iter().map(ToString::to_string).collect(),
            suspension: condition.suspension,
        }
    }
}

impl TryFrom<v1::TaskExit> for TaskExit {
    type Error = ConvertError;

    fn try_from(message: v1::TaskExit) -> Result<Self, ConvertError> {
        match message.how {
            Some(v1::task_exit::How::Code(code)) => Ok(Self::Code(code)),
            Some(v1::task_exit::How::Signal(signal)) => Ok(Self::Signal(signal)),
            None => Err(ConvertError::missing("how")),
        }
    }
}

impl From<TaskExit> for v1::TaskExit {
    fn from(exit: TaskExit) -> Self {
        let how = match exit {
            TaskExit::Code(code) => v1::task_exit::How::Code(code),
            TaskExit::Signal(signal) => v1::task_exit::How::Signal(signal),
        };
        Self { how: Some(how) }
    }
}

impl From<v1::Usage> for Usage {
    fn from(message: v1::Usage) -> Self {
        Self {
            wall_time_us: message.wall_time_us,
            cpu_time_us: message.cpu_time_us,
            mem_peak_bytes: message.mem_peak_bytes,
            pids_refused: message.pids_refused,
            oom_kills: message.oom_kills,
            io: message.io.map(Into::into),
        }
    }
}

impl From<Usage> for v1::Usage {
    fn from(usage: Usage) -> Self {
        Self {
            wall_time_us: usage.wall_time_us,
            cpu_time_us: usage.cpu_time_us,
            mem_peak_bytes: usage.mem_peak_bytes,
            pids_refused: usage.pids_refused,
            oom_kills: usage.oom_kills,
            io: usage.io.map(Into::into),
        }
    }
}

impl From<v1::IoUsage> for IoUsage {
    fn from(message: v1::IoUsage) -> Self {
        let v1::IoUsage {
            read_bytes,
            write_bytes,
            reads,
            writes,
        } = message;
        Self {
            read_bytes,
            write_bytes,
            reads,
            writes,
        }
    }
}

impl From<IoUsage> for v1::IoUsage {
    fn from(io: IoUsage) -> Self {
        let IoUsage {
            read_bytes,
            write_bytes,
            reads,
            writes,
        } = io;
        Self {
            read_bytes,
            write_bytes,
            reads,
            writes,
        }
    }
}

/// Converts the number of a task state. Fails for unspecified and unknown ones.
pub fn task_state(field: &str, number: i32) -> Result<TaskState, ConvertError> {
    TaskState::ALL
        .into_iter()
        .find(|state| i32::from(v1::TaskState::from(*state)) == number)
        .ok_or_else(|| ConvertError::unknown_number(field, number))
}

fn status_source(field: &str, number: i32) -> Result<StatusSource, ConvertError> {
    match v1::StatusSource::try_from(number) {
        Ok(v1::StatusSource::SourceMaster) => Ok(StatusSource::Master),
        Ok(v1::StatusSource::SourceAgent) => Ok(StatusSource::Agent),
        Ok(v1::StatusSource::SourceExecutor) => Ok(StatusSource::Executor),
        Ok(v1::StatusSource::Unspecified) | Err(_) => Err(ConvertError::unknown_number(field, number)),
    }
}

impl From<StatusSource> for v1::StatusSource {
    fn from(source: StatusSource) -> Self {
        match source {
            StatusSource::Master => Self::SourceMaster,
            StatusSource::Agent => Self::SourceAgent,
            StatusSource::Executor => Self::SourceExecutor,
        }
    }
}

impl From<TaskState> for v1::TaskState {
    fn from(state: TaskState) -> Self {
        match state {
            TaskState::Staging => Self::TaskStaging,
            TaskState::Starting => Self::TaskStarting,
            TaskState::Running => Self::TaskRunning,
            TaskState::Killing => Self::TaskKilling,
            TaskState::Finished => Self::TaskFinished,
            TaskState::Failed => Self::TaskFailed,
            TaskState::Killed => Self::TaskKilled,
            TaskState::Error => Self::TaskError,
            TaskState::Lost => Self::TaskLost,
            TaskState::Dropped => Self::TaskDropped,
            TaskState::Unreachable => Self::TaskUnreachable,
            TaskState::Gone => Self::TaskGone,
            TaskState::GoneByOperator => Self::TaskGoneByOperator,
            TaskState::Unknown => Self::TaskUnknown,
        }
    }
}

/// The one table both directions of the reasons are made of.
macro_rules! reasons {
    ($($wire:ident <=> $reason:ident,)*) => {
        fn status_reason(field: &str, number: i32) -> Result<Option<StatusReason>, ConvertError> {
            match v1::StatusReason::try_from(number) {
                Ok(v1::StatusReason::Unspecified) => Ok(None),
                $(Ok(v1::StatusReason::$wire) => Ok(Some(StatusReason::$reason)),)*
                Err(_) => Err(ConvertError::unknown_number(field, number)),
            }
        }

        impl From<StatusReason> for v1::StatusReason {
            fn from(reason: StatusReason) -> Self {
                match reason {
                    $(StatusReason::$reason => Self::$wire,)*
                }
            }
        }
    };
}

reasons! {
    ReasonReconciliation <=> Reconciliation,
    ReasonInvalidOffers <=> InvalidOffers,
    ReasonTaskInvalid <=> TaskInvalid,
    ReasonAgentRemoved <=> AgentRemoved,
    ReasonAgentDisconnected <=> AgentDisconnected,
    ReasonAgentRestarted <=> AgentRestarted,
    ReasonAgentReregistered <=> AgentReregistered,
    ReasonFrameworkRemoved <=> FrameworkRemoved,
    ReasonContainerLaunchFailed <=> ContainerLaunchFailed,
    ReasonContainerLimitation <=> ContainerLimitation,
    ReasonContainerLimitationMemory <=> ContainerLimitationMemory,
    ReasonContainerLimitationDisk <=> ContainerLimitationDisk,
    ReasonCommandFailed <=> CommandFailed,
    ReasonMaxCompletionTimeReached <=> MaxCompletionTimeReached,
    ReasonTaskKilledDuringLaunch <=> TaskKilledDuringLaunch,
    ReasonAgentRebooted <=> AgentRebooted,
    ReasonContainerStatusUnknown <=> ContainerStatusUnknown,
    ReasonTaskGroupInvalid <=> TaskGroupInvalid,
    ReasonContainerPreparing <=> ContainerPreparing,
    ReasonTaskHealthCheckStatusUpdated <=> TaskHealthCheckStatusUpdated,
    ReasonTaskCheckStatusUpdated <=> TaskCheckStatusUpdated,
    ReasonTaskUnhealthy <=> TaskUnhealthy,
    ReasonTaskRestarted <=> TaskRestarted,
    ReasonExecutorRegistrationTimeout <=> ExecutorRegistrationTimeout,
    ReasonExecutorReregistrationTimeout <=> ExecutorReregistrationTimeout,
    ReasonExecutorTerminated <=> ExecutorTerminated,
    ReasonAgentRemovedByOperator <=> AgentRemovedByOperator,
    ReasonAgentDraining <=> AgentDraining,
    ReasonTaskSuspended <=> TaskSuspended,
    ReasonTaskResumed <=> TaskResumed,
    ReasonTaskSuspendFailed <=> TaskSuspendFailed,
    ReasonTaskResumeFailed <=> TaskResumeFailed,
}

crate::from_owned!(TaskStatus => v1::TaskStatus);
