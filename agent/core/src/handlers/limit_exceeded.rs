//! A container is over a limit that the agent watches itself, such as its disk: the task fails.

use proffer_types::task::DEFAULT_KILL_GRACE;
use proffer_types::{KillPolicy, StatusReason, Timestamp};

use super::{executor, kill_task};
use crate::config::LIMIT_GRACE;
use crate::executor::EndCause;
use crate::{Agent, ContainerId, KillCause, Output};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    container_id: ContainerId,
    reason: StatusReason,
    message: String,
    out: &mut Output,
) {
    if let Some(key) = executor::of_container(agent, container_id) {
        let cause = EndCause::LimitExceeded { reason, message };
        return executor::end::begin(agent, now, &key, cause, LIMIT_GRACE, out);
    }
    let Some(key) = agent.containers.get(&container_id).cloned() else {
        return;
    };
    let Some(task) = agent.tasks.get(&key) else { return };
    let own = task.info.kill_policy.grace_period.unwrap_or(DEFAULT_KILL_GRACE);
    let policy = KillPolicy {
        grace_period: Some(own.min(LIMIT_GRACE)),
    };
    let cause = KillCause::LimitExceeded { reason, message };
    kill_task::kill(agent, now, &key, cause, policy, out);
}
