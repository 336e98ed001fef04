//! Offer operations and their statuses.
//!
//! A bad task of a launch joins the refused ones and spoils nothing else; a bad task of a group takes the group
//! along. A change that cannot be read is an error of the whole call.

use proffer_types::scheduler_link::RefusedTask;
use proffer_types::{
    AgentId, Operation, OperationState, OperationStatus, StatusReason, TaskId, TaskInfo, Timestamp,
};
use prost::Message as _;

use crate::error::{At as _, ConvertError};
use crate::text::{at_most, message as text, optional_text, optional_uuid, parse, parse_all, parse_optional};
use crate::v1;
use crate::v1::operation::Operation as OnWire;
use crate::v1::resource_change::Change;

/// The most tasks of one accept that are refused one by one: keeps the answer to one call short. A scheduler with more
/// of them is broken, and its stream ends.
pub const MAX_REFUSED_TASKS: usize = 1000;
/// The most tasks of one group: they share an agent, and start one by one.
pub const MAX_GROUP_TASKS: usize = 256;
/// The most tasks that one operation resumes: each may be answered by a status, and an agent has few that give way to others.
pub const MAX_RESUMED_TASKS: usize = 1000;
/// The most encoded bytes of one group. It travels in one message, of which tonic refuses those over 4 MiB.
pub const MAX_GROUP_BYTES: usize = 3 << 20;

/// The operation, or none when nothing of it is left; bad tasks join `refused`.
pub(crate) fn operation(
    message: v1::Operation,
    refused: &mut Vec<RefusedTask>,
) -> Result<Option<Operation>, ConvertError> {
    let id = message.operation_id.as_str();
    let launch = match message
        .operation
        .ok_or_else(|| ConvertError::missing("operation"))?
    {
        OnWire::Launch(launch) => self::launch(launch, refused).map(Some),
        OnWire::LaunchGroup(group) => launch_group(group, refused),
        OnWire::Resume(resume) => self::resume(&resume).map(Some),
        OnWire::Reserve(reserve) => return change(id, Change::Reserve(reserve)),
        OnWire::Unreserve(unreserve) => return change(id, Change::Unreserve(unreserve)),
        OnWire::Create(create) => return change(id, Change::Create(create)),
        OnWire::Destroy(destroy) => return change(id, Change::Destroy(destroy)),
        OnWire::GrowVolume(grow) => return change(id, Change::GrowVolume(grow)),
        OnWire::ShrinkVolume(shrink) => return change(id, Change::ShrinkVolume(shrink)),
    };
    match id {
        "" => launch,
        _ => Err(ConvertError::new(
            "operation_id",
            "is given to a launch or a resumption, which its tasks answer for",
        )),
    }
}

fn change(id: &str, change: Change) -> Result<Option<Operation>, ConvertError> {
    Ok(Some(Operation::Change {
        id: parse_optional("operation_id", id)?,
        change: change.try_into()?,
    }))
}

fn resume(message: &v1::operation::Resume) -> Result<Operation, ConvertError> {
    let n = message.task_ids.len();
    at_most("resume.task_ids", n, MAX_RESUMED_TASKS, "tasks")?;
    parse_all("resume.task_ids", &message.task_ids).map(Operation::Resume)
}

fn launch(message: v1::operation::Launch, refused: &mut Vec<RefusedTask>) -> Result<Operation, ConvertError> {
    let tasks = message.tasks.into_iter().enumerate();
    let tasks = tasks
        .filter_map(|(index, message)| task(message, refused).at_item("launch.tasks", index).transpose());
    Ok(Operation::Launch(tasks.collect::<Result<_, _>>()?))
}

/// The task; or none, when it joined the refused ones.
fn task(message: v1::TaskInfo, refused: &mut Vec<RefusedTask>) -> Result<Option<TaskInfo>, ConvertError> {
    let (id, agent_id) = (TaskId::new(&message.task_id), AgentId::new(&message.agent_id));
    match (TaskInfo::try_from(message), id) {
        (Ok(info), _) => Ok(Some(info)),
        (Err(error), Ok(id)) if refused.len() < MAX_REFUSED_TASKS => {
            refused.push(RefusedTask {
                id,
                agent_id: agent_id.ok(),
                reason: StatusReason::TaskInvalid,
                message: error.to_string(),
            });
            Ok(None)
        }
        (Err(error), _) => Err(error),
    }
}

/// The whole group; or none, when all of it joined the refused ones.
fn launch_group(
    message: v1::operation::LaunchGroup,
    refused: &mut Vec<RefusedTask>,
) -> Result<Option<Operation>, ConvertError> {
    let mut problem = group_too_large(&message);
    let mut tasks = Vec::new();
    let mut named = Vec::new();
    for (index, message) in message.tasks.into_iter().enumerate() {
        let (id, agent_id) = (TaskId::new(&message.task_id), AgentId::new(&message.agent_id));
        match (TaskInfo::try_from(message), id) {
            (Ok(info), id) => {
                named.extend(id.map(|id| (id, agent_id.ok())));
                tasks.push(info);
            }
            (Err(error), Ok(id)) => {
                let task_problem = format!("task `{id}` of the group is invalid: {error}");
                problem.get_or_insert(task_problem);
                named.push((id, agent_id.ok()));
            }
            (Err(error), Err(_)) => return Err(error).at_item("launch_group.tasks", index),
        }
    }
    let Some(problem) = problem else {
        return Ok(Some(Operation::LaunchGroup(tasks)));
    };
    if refused.len() + named.len() > MAX_REFUSED_TASKS {
        return Err(ConvertError::new("launch_group.tasks", problem));
    }
    refused.extend(named.into_iter().map(|(id, agent_id)| RefusedTask {
        id,
        agent_id,
        reason: StatusReason::TaskGroupInvalid,
        message: problem.clone(),
    }));
    Ok(None)
}

fn group_too_large(group: &v1::operation::LaunchGroup) -> Option<String> {
    let (n_tasks, n_bytes) = (group.tasks.len(), group.encoded_len());
    if n_tasks > MAX_GROUP_TASKS {
        return Some(format!(
            "the group has {n_tasks} tasks, at most {MAX_GROUP_TASKS} are allowed"
        ));
    }
    (n_bytes > MAX_GROUP_BYTES)
        .then(|| format!("the group has {n_bytes} bytes, at most {MAX_GROUP_BYTES} are allowed"))
}

impl From<&Operation> for v1::Operation {
    fn from(operation: &Operation) -> Self {
        let tasks = |tasks: &[TaskInfo]| tasks.iter().map(Into::into).collect();
        let (id, operation) = match operation {
            Operation::Launch(launch) => {
                let launch = v1::operation::Launch { tasks: tasks(launch) };
                (None, OnWire::Launch(launch))
            }
            Operation::LaunchGroup(group) => {
                let group = v1::operation::LaunchGroup { tasks: tasks(group) };
                (None, OnWire::LaunchGroup(group))
            }
            Operation::Resume(tasks) => {
                let task_ids = tasks.iter().map(ToString::to_string).collect();
                (None, OnWire::Resume(v1::operation::Resume { task_ids }))
            }
            Operation::Change { id, change } => (id.as_ref(), change_on_wire(change.into())),
        };
        Self {
            operation_id: optional_text(id),
            operation: Some(operation),
        }
    }
}

fn change_on_wire(change: Change) -> OnWire {
    match change {
        Change::Reserve(reserve) => OnWire::Reserve(reserve),
        Change::Unreserve(unreserve) => OnWire::Unreserve(unreserve),
        Change::Create(create) => OnWire::Create(create),
        Change::Destroy(destroy) => OnWire::Destroy(destroy),
        Change::GrowVolume(grow) => OnWire::GrowVolume(grow),
        Change::ShrinkVolume(shrink) => OnWire::ShrinkVolume(shrink),
    }
}

impl TryFrom<v1::OperationStatus> for OperationStatus {
    type Error = ConvertError;

    fn try_from(message: v1::OperationStatus) -> Result<Self, ConvertError> {
        let number = message.state;
        Ok(Self {
            operation_id: parse("operation_id", &message.operation_id)?,
            agent_id: parse_optional("agent_id", &message.agent_id)?,
            state: OperationState::ALL
                .into_iter()
                .find(|state| i32::from(v1::OperationState::from(*state)) == number)
                .ok_or_else(|| ConvertError::unknown_number("state", number))?,
            message: text(message.message),
            timestamp: Timestamp(message.timestamp_ms),
            uuid: optional_uuid("uuid", &message.uuid)?,
        })
    }
}

impl From<&OperationStatus> for v1::OperationStatus {
    fn from(status: &OperationStatus) -> Self {
        Self {
            operation_id: status.operation_id.to_string(),
            agent_id: optional_text(status.agent_id.as_ref()),
            state: v1::OperationState::from(status.state).into(),
            message: status.message.clone(),
            timestamp_ms: status.timestamp.0,
            uuid: status.uuid.map(|uuid| uuid.0.to_vec()).unwrap_or_default(),
        }
    }
}

impl From<OperationState> for v1::OperationState {
    fn from(state: OperationState) -> Self {
        match state {
            OperationState::Pending => Self::OperationPending,
            OperationState::Finished => Self::OperationFinished,
            OperationState::Failed => Self::OperationFailed,
            OperationState::Error => Self::OperationError,
            OperationState::Dropped => Self::OperationDropped,
            OperationState::Unreachable => Self::OperationUnreachable,
            OperationState::Unknown => Self::OperationUnknown,
        }
    }
}

crate::from_owned!(Operation => v1::Operation, OperationStatus => v1::OperationStatus);
