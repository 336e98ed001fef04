//! What an operator asks for. Answered once; the shell commits what it changed before the answer leaves.

use proffer_types::{OfferId, Role};

use super::{framework_gone, kill, offers};
use crate::cx::Cx;
use crate::limits::{MAX_WEIGHT_MILLIS, MAX_WEIGHTED_ROLES};
use crate::state::Framework;
use crate::{Effect, Event, OperatorError, OperatorRequest, RequestId};

pub(crate) fn handle(cx: &mut Cx<'_>, request: RequestId, operation: OperatorRequest) {
    let result = match operation {
        OperatorRequest::SetRole { role, weight_millis } => set_role(cx, role, weight_millis),
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

/// A new weight makes outstanding offers unfair: all of them are taken back, as in Mesos.
fn set_role(cx: &mut Cx<'_>, role: Role, weight_millis: u64) -> Result<(), OperatorError> {
    if !(1..=MAX_WEIGHT_MILLIS).contains(&weight_millis) {
        return Err(OperatorError::WeightOutOfRange { role });
    }
    let old = cx.state.ledger().weight_millis(&role);
    if old == weight_millis {
        return Ok(());
    }
    if old == proffer_allocator::DEFAULT_WEIGHT_MILLIS && cx.state.ledger().n_weights() >= MAX_WEIGHTED_ROLES
    {
        let limit = MAX_WEIGHTED_ROLES;
        return Err(OperatorError::TooManyRoles { limit });
    }
    let in_use = cx.state.ledger().subtree(&role).is_some();
    cx.emit(Event::RoleWeightSet { role, weight_millis });
    if in_use {
        let offers: Vec<OfferId> = cx.state.offers().map(|(id, _)| id.clone()).collect();
        for offer in offers {
            offers::rescind(cx, &offer);
        }
    }
    Ok(())
}
