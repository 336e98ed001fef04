//! An executor's container is gone, and its tasks with it. Those that it never had, when it was ended for want of tasks,
//! get another one.

use proffer_types::{Limit, Timestamp, Usage};

use super::{end_task, start};
use crate::agent::Report;
use crate::executor::EndCause;
use crate::task::Phase;
use crate::verdict::{ExecutorEvidence, judge_task};
use crate::{Agent, ContainerEnd, Effect, Event, ExecutorOrder, Output, TaskKey};

pub(crate) fn handle(
    agent: &mut Agent,
    now: Timestamp,
    key: &TaskKey,
    end: &ContainerEnd,
    usage: Option<&Usage>,
    out: &mut Output,
) {
    let Some(executor) = agent.executors.remove(key) else {
        return;
    };
    let container_id = executor.container_id;
    let cause = executor.ending.as_ref().map(|ending| &ending.cause);
    let evidence = ExecutorEvidence {
        id: &executor.info.id,
        cause,
        end,
        is_rebooted: agent.before_reboot.remove(&container_id),
        usage,
        mem_limit: Limit::At(executor.resources.mem_bytes()),
        was_subscribed: executor.was_subscribed,
        was_found_running: executor.is_running,
    };
    out.event(Event::ExecutorEnded {
        key: key.clone(),
        message: evidence.in_words(),
    });
    for task_key in &executor.tasks {
        let Some(task) = agent.tasks.get(task_key) else {
            continue;
        };
        if task.phase == Phase::Launching && cause == Some(&EndCause::Idle) && agent.stopping.is_none() {
            continue;
        }
        let verdict = judge_task(&evidence, task);
        let report = Report {
            reason: verdict.reason,
            message: verdict.message,
            ..Report::default()
        };
        end_task(agent, now, task_key, verdict.state, report, out);
    }
    out.effect(Effect::Executor {
        container_id,
        order: ExecutorOrder::Destroy { key: key.clone() },
    });
    out.effect(Effect::Forget { container_id });
    start::start(agent, key, out);
}
