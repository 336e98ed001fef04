//! What an operator asks for. Answered once; the shell commits what it changed before the answer leaves. What an agent
//! has to make durable is answered when the agent has said so.

use proffer_types::{OperationId, OperationState};

use super::set_role::{self, Settings};
use super::{agent_gone, drain, framework_gone, kill, maintenance, operation, reserve, upkeep};
use crate::cx::Cx;
use crate::state::Framework;
use crate::{Effect, Event, OperatorError, OperatorRequest, RequestId};

/// Returns the operation that decides the answer, where that is left to an agent.
pub(crate) fn handle(cx: &mut Cx<'_>, request: RequestId, operation: OperatorRequest) -> Option<OperationId> {
    let result = match operation {
        OperatorRequest::SetRole {
            role,
            weight_millis,
            priority,
            guarantee,
            limit,
            force,
        } => {
            let settings = Settings {
                weight_millis,
                priority,
                guarantee,
                limit,
            };
            set_role::handle(cx, role, settings, force)
        }
        OperatorRequest::DeactivateAgent { agent_id } => upkeep::deactivate(cx, &agent_id),
        OperatorRequest::ReactivateAgent { agent_id } => upkeep::reactivate(cx, &agent_id),
        OperatorRequest::MarkAgentGone { agent_id } => agent_gone::handle(cx, &agent_id),
        OperatorRequest::DrainAgents {
            agent_ids,
            max_grace,
            notice,
            mark_gone,
            at_once,
        } => {
            let wanted = drain::Wanted {
                notice,
                max_grace,
                mark_gone,
                at_once,
            };
            drain::start(cx, &agent_ids, &wanted)
        }
        OperatorRequest::UndrainAgents { agent_ids } => drain::stop(cx, &agent_ids),
        OperatorRequest::ScheduleMaintenance {
            name,
            agent_ids,
            start,
            duration,
            max_grace,
        } => maintenance::schedule(cx, &name, &agent_ids, start, duration, max_grace),
        OperatorRequest::CancelMaintenance { name } => maintenance::cancel(cx, &name),
        OperatorRequest::Reserve { agent_id, resources } => match reserve::reserve(cx, &agent_id, &resources)
        {
            Ok(operation) => return Some(operation),
            Err(error) => Err(error),
        },
        OperatorRequest::Unreserve { agent_id, resources } => {
            match reserve::unreserve(cx, &agent_id, resources) {
                Ok(operation) => return Some(operation),
                Err(error) => Err(error),
            }
        }
        OperatorRequest::KillTask {
            framework_id,
            task_id,
            kill_policy,
        } => match cx.state.task(&framework_id, &task_id) {
            Some(_) => {
                kill::request(cx, &framework_id, &task_id, kill_policy);
                Ok(())
            }
            None => Err(OperatorError::UnknownTask {
                framework_id,
                task_id,
            }),
        },
        OperatorRequest::TeardownFramework { framework_id } => {
            let framework = cx.state.framework(&framework_id);
            if framework.is_none_or(Framework::is_completed) {
                Err(OperatorError::UnknownFramework(framework_id))
            } else {
                framework_gone::evict(cx, &framework_id, "an operator tore the framework down");
                Ok(())
            }
        }
    };
    cx.out.effects.push(Effect::Reply { request, result });
    None
}

/// What became of a change that an operator waits for, where an event tells.
pub(crate) fn outcome(event: &Event) -> Option<(&OperationId, Result<(), OperatorError>)> {
    if let Event::OperationForgotten {
        framework_id,
        operation_id,
    } = event
    {
        let is_own = *framework_id == operation::own();
        return is_own.then_some((operation_id, Err(OperatorError::CutOff)));
    }
    let Event::OperationUpdated {
        framework_id,
        agent_id,
        status,
    } = event
    else {
        return None;
    };
    let result = match status.state {
        OperationState::Pending => return None,
        OperationState::Finished => Ok(()),
        OperationState::Unreachable => Err(OperatorError::CutOff),
        OperationState::Failed
        | OperationState::Error
        | OperationState::Dropped
        | OperationState::Unknown => Err(OperatorError::Change {
            agent_id: agent_id.clone(),
            why: status.message.clone(),
        }),
    };
    (*framework_id == operation::own()).then_some((&status.operation_id, result))
}
