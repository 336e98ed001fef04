//! Executors found on disk at start: those that have tasks are taken back. They subscribe again by themselves.

use std::sync::Arc;

use proffer_types::{StatusReason, TaskId, TaskState, Timestamp};

use super::{end_task, tasks_without};
use crate::agent::Report;
use crate::executor::{Executor, key_of};
use crate::task::Phase;
use crate::{Agent, Effect, Event, ExecutorOrder, Output, RecoveredExecutor, TaskKey};

pub(crate) fn all(agent: &mut Agent, now: Timestamp, found: Vec<RecoveredExecutor>, out: &mut Output) {
    for one in found {
        take_back(agent, one, out);
    }
    let lost = agent.tasks.iter().filter(|(key, task)| {
        let executor = key_of(&key.framework_id, &task.info);
        task.is_live() && executor.is_some_and(|key| !agent.executors.contains_key(&key))
    });
    let lost: Vec<TaskKey> = lost.map(|(key, _)| key.clone()).collect();
    for key in lost {
        let report = Report {
            reason: Some(StatusReason::ExecutorTerminated),
            message: "the agent found no trace of its executor".to_owned(),
            ..Report::default()
        };
        end_task(agent, now, &key, TaskState::Failed, report, out);
    }
}

fn take_back(agent: &mut Agent, found: RecoveredExecutor, out: &mut Output) {
    let RecoveredExecutor {
        container_id,
        executor,
    } = found;
    let key = TaskKey {
        framework_id: executor.framework_id.clone(),
        task_id: TaskId::of_executor(&executor.info.id),
    };
    let tasks = tasks_without(agent, &key);
    let first = tasks.first().and_then(|first| agent.tasks.get(first));
    let agent_id = first.map(|first| first.info.agent_id.clone());
    let Some(agent_id) = agent_id.filter(|_| !agent.executors.contains_key(&key)) else {
        out.effect(Effect::Executor {
            container_id,
            order: ExecutorOrder::Destroy { key },
        });
        out.effect(Effect::Forget { container_id });
        return;
    };
    let resources = tasks
        .iter()
        .filter_map(|task| agent.tasks.get(task))
        .map(|task| &task.info.resources)
        .sum::<proffer_types::Resources>();
    out.event(Event::ExecutorStarted {
        key: key.clone(),
        container_id,
    });
    out.effect(Effect::Executor {
        container_id,
        order: ExecutorOrder::Adopt {
            key: key.clone(),
            info: Arc::clone(&executor.info),
            agent_id,
            resources: resources.clone(),
        },
    });
    if executor.was_subscribed {
        // Any of them may have been handed over; it will say which.
        for task in &tasks {
            if let Some(task) = agent.tasks.get_mut(task) {
                task.phase = Phase::Running;
            }
        }
    }
    let executor = Executor {
        container_id,
        info: executor.info,
        tasks,
        is_running: false,
        was_subscribed: executor.was_subscribed,
        connection: None,
        subscribe_by: None,
        idle_until: None,
        resources,
        is_sized: false,
        ending: None,
    };
    agent.executors.insert(key, executor);
}
