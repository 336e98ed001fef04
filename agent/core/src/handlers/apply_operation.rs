//! An operation: changes the agent's total when what it changes is free, and says so when it has a name.

use proffer_types::resources::change::ChangeError;
use proffer_types::{
    FrameworkId, OperationId, OperationState, OperationStatus, ResourceChange, Resources, StatusUuid, TaskId,
    Timestamp, VolumeId,
};
use rand::RngExt;
use thiserror::Error;

use crate::config::MAX_OPERATIONS;
use crate::{Agent, Event, Output};

/// Why an operation is refused.
#[derive(Debug, Error)]
enum OperationError {
    #[error("volume `{volume}` is in use by task `{task_id}`")]
    InUse { volume: VolumeId, task_id: TaskId },
    #[error(transparent)]
    Change(#[from] ChangeError),
}

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    framework_id: FrameworkId,
    id: Option<OperationId>,
    change: &ResourceChange,
    out: &mut Output,
) {
    if let Some(operation_id) = &id {
        if agent.operations.contains(&framework_id, operation_id) {
            return out.event(Event::OperationIgnored {
                framework_id,
                operation_id: operation_id.clone(),
                what: "operation",
            });
        }
        if agent.operations.len() >= MAX_OPERATIONS {
            return agent.close_link("too many operations are not acknowledged", out);
        }
    }
    let refused = match changed(agent, change) {
        Ok(total) => {
            agent.config.info.resources = total.clone();
            out.event(Event::ResourcesChanged { total });
            None
        }
        Err(error) => Some(error.to_string()),
    };
    ended(agent, now, framework_id, id, refused, out);
}

/// The total after the change.
fn changed(agent: &Agent, change: &ResourceChange) -> Result<Resources, OperationError> {
    if let ResourceChange::Destroy { volume } = change
        && let Some(task_id) = user(agent, volume)
    {
        return Err(OperationError::InUse {
            volume: volume.clone(),
            task_id,
        });
    }
    // The master's total may be ahead of ours or behind: what a task holds is not changed under it.
    change.conversion(&agent.free())?;
    Ok(change.apply(&agent.config.info.resources)?)
}

/// A live task that uses a volume.
fn user(agent: &Agent, volume: &VolumeId) -> Option<TaskId> {
    let mut live = agent.tasks.values().filter(|task| task.is_live());
    let user = live.find(|task| task.info.resources.volume(volume).is_some())?;
    Some(user.info.id.clone())
}

fn ended(
    agent: &mut Agent,
    now: Timestamp,
    framework_id: FrameworkId,
    id: Option<OperationId>,
    refused: Option<String>,
    out: &mut Output,
) {
    let state = match refused {
        None => OperationState::Finished,
        Some(_) => OperationState::Failed,
    };
    let is_refused = refused.is_some();
    let message = refused.unwrap_or_default();
    out.event(Event::OperationEnded {
        framework_id: framework_id.clone(),
        operation_id: id.clone(),
        state,
        message: message.clone(),
    });
    let has_id = id.is_some();
    if let Some(operation_id) = id {
        let status = OperationStatus {
            operation_id,
            agent_id: agent.agent_id.clone(),
            state,
            message,
            timestamp: now,
            uuid: Some(StatusUuid(agent.rng.random())),
        };
        agent.operations.insert(framework_id, status);
    }
    if has_id || !is_refused {
        agent.save_resources(out);
    }
    // The master applied the change to its own picture of this agent already.
    agent.operations.total_due |= is_refused;
    agent.send_operations(now, out);
}
