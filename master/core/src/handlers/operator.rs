//! What an operator asks for. Answered once; the shell commits what it changed before the answer leaves.

use super::set_role::{self, Settings};
use super::{agent_gone, drain, framework_gone, kill, maintenance, reserve, upkeep};
use crate::cx::Cx;
use crate::state::Framework;
use crate::{Effect, OperatorError, OperatorRequest, RequestId};

pub(crate) fn handle(cx: &mut Cx<'_>, request: RequestId, operation: OperatorRequest) {
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
            mark_gone,
            at_once,
        } => {
            let wanted = drain::Wanted {
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
        OperatorRequest::Reserve { agent_id, resources } => reserve::reserve(cx, &agent_id, &resources),
        OperatorRequest::Unreserve { agent_id, resources } => reserve::unreserve(cx, &agent_id, resources),
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
}
