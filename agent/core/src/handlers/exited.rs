//! A container's processes are gone: what is left of it is removed, and the task ends and its resources are free,
//! unless its restart policy wants another container.

use proffer_types::{Limit, TaskExit, Timestamp, Usage};

use super::{executor, group, restart};
use crate::agent::Report;
use crate::task::{Phase, Task};
use crate::verdict::{Evidence, judge};
use crate::{Agent, ContainerEnd, ContainerId, Effect, Output};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    container_id: ContainerId,
    end: &ContainerEnd,
    usage: Option<Usage>,
    out: &mut Output,
) {
    let Some(key) = agent.containers.get(&container_id).cloned() else {
        if let Some(key) = executor::of_container(agent, container_id) {
            executor::ended::handle(agent, now, &key, end, usage.as_ref(), out);
        }
        return;
    };
    let Some(task) = agent.tasks.get(&key).filter(|task| task.is_live()) else {
        return;
    };
    let is_rebooted = agent.before_reboot.remove(&container_id);
    let is_cut_short = task.phase == Phase::Launching && *end == ContainerEnd::Unknown;
    if is_cut_short && !is_rebooted && task.kill.is_none() && task.condition.restarts > 0 {
        return restart::launch_again(agent, now, &key, out);
    }
    let restarts = !is_cut_short && !is_rebooted && restart::follows(task, end);
    let verdict = judge(&Evidence {
        phase: task.phase,
        kill: task.kill.as_ref().map(|kill| &kill.cause),
        end,
        is_rebooted,
        usage: usage.as_ref(),
        mem_limit: mem_limit(task),
        max_completion_time: task.info.max_completion_time,
    });
    if restarts {
        return restart::back_off(agent, now, &key, verdict, out);
    }
    let report = Report {
        reason: verdict.reason,
        message: verdict.message,
        exit: exit(end),
        usage,
        executor: None,
    };
    agent.update(now, &key, verdict.state, report, out);
    out.effect(Effect::Destroy { container_id });
    agent.send_head(now, &key, out);
    group::member_ended(agent, now, &key, out);
}

fn mem_limit(task: &Task) -> Limit {
    let request = Limit::At(task.info.resources.mem_bytes());
    task.info.limits.mem.unwrap_or(request)
}

fn exit(end: &ContainerEnd) -> Option<TaskExit> {
    match end {
        ContainerEnd::Exit(exit) => Some(*exit),
        ContainerEnd::NotStarted { exit, .. } => *exit,
        ContainerEnd::Unknown => None,
    }
}
