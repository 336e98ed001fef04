//! The link between the master and a framework's scheduler: what the scheduler calls.
//!
//! Events, the other direction, are in `scheduler_link/event.rs`.

mod event;

use std::collections::BTreeSet;

use proffer_types::scheduler_link::Call;
use proffer_types::{AgentId, FrameworkInfo, KillPolicy, OfferId, OperationId, Role, TaskId};

pub use event::{event_frames, from_event_frame};

pub use crate::operation::MAX_REFUSED_TASKS;

use crate::error::{At as _, ConvertError};
use crate::frame::chunks;
use crate::offer::filters;
use crate::operation::operation;
use crate::text::{optional_text, parse, parse_all, parse_optional, parse_roles, uuid};
use crate::v1::scheduler_call as c;
use crate::v1::scheduler_call::Call as FromScheduler;
use crate::{maintenance, v1};

/// Puts calls into frames of under 1 MiB. A single call above that travels alone; the master refuses
/// it above 4 MiB.
#[must_use]
pub fn call_frames(calls: &[Call]) -> Vec<v1::SchedulerCalls> {
    chunks(calls.iter().map(v1::SchedulerCall::from))
        .into_iter()
        .map(|calls| v1::SchedulerCalls { calls })
        .collect()
}

/// Takes a frame of calls apart. One bad call spoils the frame; a bad task does not spoil its call.
pub fn from_call_frame(frame: v1::SchedulerCalls) -> Result<Vec<Call>, ConvertError> {
    let item = |(index, call)| Call::try_from(call).at_item("calls", index);
    frame.calls.into_iter().enumerate().map(item).collect()
}

impl TryFrom<v1::SchedulerCall> for Call {
    type Error = ConvertError;

    fn try_from(message: v1::SchedulerCall) -> Result<Self, ConvertError> {
        match message.call.ok_or_else(|| ConvertError::missing("call"))? {
            FromScheduler::Subscribe(subscribe) => self::subscribe(subscribe).at("subscribe"),
            FromScheduler::Update(update) => self::update(update).at("update"),
            FromScheduler::Demand(demand) => self::demand(demand).at("demand"),
            FromScheduler::Accept(accept) => self::accept(accept).at("accept"),
            FromScheduler::Decline(decline) => Ok(Self::Decline {
                offers: parse_all("decline.offer_ids", &decline.offer_ids)?,
                filters: filters(decline.filters),
            }),
            FromScheduler::AcceptInverseOffers(accept) => Ok(Self::AcceptInverse {
                offers: parse_all("accept_inverse_offers.offer_ids", &accept.offer_ids)?,
            }),
            FromScheduler::DeclineInverseOffers(decline) => Ok(Self::DeclineInverse {
                offers: parse_all("decline_inverse_offers.offer_ids", &decline.offer_ids)?,
                refuse: maintenance::refuse(decline.refuse_seconds),
            }),
            FromScheduler::Revive(revive) => Ok(Self::Revive {
                roles: parse_roles("revive.roles", &revive.roles)?,
            }),
            FromScheduler::Suppress(suppress) => Ok(Self::Suppress {
                roles: parse_roles("suppress.roles", &suppress.roles)?,
            }),
            FromScheduler::Kill(kill) => Ok(Self::Kill {
                task_id: parse("kill.task_id", &kill.task_id)?,
                agent_id: parse_optional("kill.agent_id", &kill.agent_id)?,
                kill_policy: kill.kill_policy.map(KillPolicy::from).unwrap_or_default(),
            }),
            FromScheduler::Suspend(suspend) => Ok(Self::Suspend {
                task_id: parse("suspend.task_id", &suspend.task_id)?,
                agent_id: parse_optional("suspend.agent_id", &suspend.agent_id)?,
            }),
            FromScheduler::Acknowledge(ack) => Ok(Self::Acknowledge {
                agent_id: parse("acknowledge.agent_id", &ack.agent_id)?,
                task_id: parse("acknowledge.task_id", &ack.task_id)?,
                uuid: uuid("acknowledge.uuid", &ack.uuid)?,
            }),
            FromScheduler::Reconcile(reconcile) => self::reconcile(reconcile).at("reconcile"),
            FromScheduler::AcknowledgeOperation(ack) => Ok(Self::AcknowledgeOperation {
                agent_id: parse("acknowledge_operation.agent_id", &ack.agent_id)?,
                operation_id: parse("acknowledge_operation.operation_id", &ack.operation_id)?,
                uuid: uuid("acknowledge_operation.uuid", &ack.uuid)?,
            }),
            FromScheduler::ReconcileOperations(reconcile) => {
                self::reconcile_operations(reconcile).at("reconcile_operations")
            }
            FromScheduler::Teardown(_) => Ok(Self::Teardown),
            FromScheduler::Ping(_) => Ok(Self::Ping),
        }
    }
}

fn subscribe(message: c::Subscribe) -> Result<Call, ConvertError> {
    Ok(Call::Subscribe {
        info: framework_info(message.framework_info)?,
        suppressed_roles: parse_roles("suppressed_roles", &message.suppressed_roles)?,
        adopt: message.adopt,
    })
}

fn update(message: c::Update) -> Result<Call, ConvertError> {
    Ok(Call::Update {
        info: framework_info(message.framework_info)?,
        suppressed_roles: parse_roles("suppressed_roles", &message.suppressed_roles)?,
    })
}

fn framework_info(message: Option<v1::FrameworkInfo>) -> Result<FrameworkInfo, ConvertError> {
    message
        .ok_or_else(|| ConvertError::missing("framework_info"))?
        .try_into()
        .at("framework_info")
}

fn demand(message: c::Demand) -> Result<Call, ConvertError> {
    Ok(Call::Demand {
        role: parse("role", &message.role)?,
        demand: message
            .statement
            .map(crate::demand::demand)
            .transpose()
            .at("statement")?,
    })
}

fn accept(message: c::Accept) -> Result<Call, ConvertError> {
    let mut refused = Vec::new();
    let operations = message.operations.into_iter().enumerate();
    let operations = operations.filter_map(|(index, message)| {
        operation(message, &mut refused)
            .at_item("operations", index)
            .transpose()
    });
    Ok(Call::Accept {
        operations: operations.collect::<Result<_, _>>()?,
        offers: parse_all("offer_ids", &message.offer_ids)?,
        refused,
        filters: filters(message.filters),
    })
}

fn reconcile(message: c::Reconcile) -> Result<Call, ConvertError> {
    let task = |task: &c::reconcile::Task| -> Result<(TaskId, Option<AgentId>), ConvertError> {
        Ok((
            parse("task_id", &task.task_id)?,
            parse_optional("agent_id", &task.agent_id)?,
        ))
    };
    let tasks = message.tasks.iter().enumerate();
    let tasks = tasks.map(|(index, item)| task(item).at_item("tasks", index));
    Ok(Call::Reconcile {
        tasks: tasks.collect::<Result<_, _>>()?,
    })
}

fn reconcile_operations(message: c::ReconcileOperations) -> Result<Call, ConvertError> {
    let operation = |item: &c::reconcile_operations::Operation| -> Result<_, ConvertError> {
        Ok((
            parse("operation_id", &item.operation_id)?,
            parse_optional("agent_id", &item.agent_id)?,
        ))
    };
    let operations = message.operations.iter().enumerate();
    let operations = operations.map(|(index, item)| operation(item).at_item("operations", index));
    Ok(Call::ReconcileOperations {
        operations: operations.collect::<Result<_, _>>()?,
    })
}

impl From<&Call> for v1::SchedulerCall {
    fn from(call: &Call) -> Self {
        let call = match call {
            Call::Subscribe {
                info,
                suppressed_roles,
                adopt,
            } => FromScheduler::Subscribe(c::Subscribe {
                framework_info: Some(info.into()),
                suppressed_roles: roles_text(suppressed_roles),
                adopt: *adopt,
            }),
            Call::Update {
                info,
                suppressed_roles,
            } => FromScheduler::Update(c::Update {
                framework_info: Some(info.into()),
                suppressed_roles: roles_text(suppressed_roles),
            }),
            Call::Demand { role, demand } => FromScheduler::Demand(c::Demand {
                role: role.to_string(),
                statement: demand.as_ref().map(Into::into),
            }),
            Call::Accept {
                offers,
                operations,
                refused: _,
                filters,
            } => FromScheduler::Accept(c::Accept {
                offer_ids: ids_text(offers),
                operations: operations.iter().map(Into::into).collect(),
                filters: Some(filters.into()),
            }),
            Call::Decline { offers, filters } => FromScheduler::Decline(c::Decline {
                offer_ids: ids_text(offers),
                filters: Some(filters.into()),
            }),
            Call::AcceptInverse { offers } => FromScheduler::AcceptInverseOffers(c::AcceptInverseOffers {
                offer_ids: ids_text(offers),
            }),
            Call::DeclineInverse { offers, refuse } => {
                FromScheduler::DeclineInverseOffers(c::DeclineInverseOffers {
                    offer_ids: ids_text(offers),
                    refuse_seconds: Some(refuse.as_secs_f64()),
                })
            }
            Call::Revive { roles } => FromScheduler::Revive(c::Revive {
                roles: roles_text(roles),
            }),
            Call::Suppress { roles } => FromScheduler::Suppress(c::Suppress {
                roles: roles_text(roles),
            }),
            Call::Kill {
                task_id,
                agent_id,
                kill_policy,
            } => FromScheduler::Kill(c::Kill {
                task_id: task_id.to_string(),
                agent_id: optional_text(agent_id.as_ref()),
                kill_policy: Some((*kill_policy).into()),
            }),
            Call::Suspend { task_id, agent_id } => FromScheduler::Suspend(c::Suspend {
                task_id: task_id.to_string(),
                agent_id: optional_text(agent_id.as_ref()),
            }),
            Call::Acknowledge {
                agent_id,
                task_id,
                uuid,
            } => FromScheduler::Acknowledge(c::Acknowledge {
                agent_id: agent_id.to_string(),
                task_id: task_id.to_string(),
                uuid: uuid.0.to_vec(),
            }),
            Call::Reconcile { tasks } => FromScheduler::Reconcile(c::Reconcile {
                tasks: tasks.iter().map(reconcile_task).collect(),
            }),
            Call::AcknowledgeOperation {
                agent_id,
                operation_id,
                uuid,
            } => FromScheduler::AcknowledgeOperation(c::AcknowledgeOperation {
                agent_id: agent_id.to_string(),
                operation_id: operation_id.to_string(),
                uuid: uuid.0.to_vec(),
            }),
            Call::ReconcileOperations { operations } => {
                FromScheduler::ReconcileOperations(c::ReconcileOperations {
                    operations: operations.iter().map(reconcile_operation).collect(),
                })
            }
            Call::Teardown => FromScheduler::Teardown(c::Teardown {}),
            Call::Ping => FromScheduler::Ping(c::Ping {}),
        };
        Self { call: Some(call) }
    }
}

fn reconcile_task((task_id, agent_id): &(TaskId, Option<AgentId>)) -> c::reconcile::Task {
    c::reconcile::Task {
        task_id: task_id.to_string(),
        agent_id: optional_text(agent_id.as_ref()),
    }
}

fn reconcile_operation(
    (operation_id, agent_id): &(OperationId, Option<AgentId>),
) -> c::reconcile_operations::Operation {
    c::reconcile_operations::Operation {
        operation_id: operation_id.to_string(),
        agent_id: optional_text(agent_id.as_ref()),
    }
}

fn ids_text(ids: &[OfferId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn roles_text(roles: &BTreeSet<Role>) -> Vec<String> {
    roles.iter().map(ToString::to_string).collect()
}
