//! The first task of an executor starts it; others join.

use std::sync::Arc;

use proffer_types::Timestamp;

use super::{hand_over, tasks_without};
use crate::executor::{Executor, key_of};
use crate::{Agent, Effect, Event, ExecutorOrder, Output, TaskKey};

/// Brings an accepted task to its executor.
pub(crate) fn join(agent: &mut Agent, now: Timestamp, task: &TaskKey, out: &mut Output) {
    let Some(info) = agent.tasks.get(task).map(|task| &task.info) else {
        return;
    };
    let Some(key) = key_of(&task.framework_id, info) else {
        return;
    };
    if let Some(executor) = agent.executors.get_mut(&key) {
        executor.tasks.insert(task.clone());
        hand_over::waiting(agent, now, &key, out);
    } else {
        start(agent, &key, out);
    }
}

/// Launches an executor that has tasks, as its first one describes it.
pub(super) fn start(agent: &mut Agent, key: &TaskKey, out: &mut Output) {
    let tasks = tasks_without(agent, key);
    let Some(task) = tasks.first().and_then(|first| agent.tasks.get(first)) else {
        return;
    };
    let (Some(info), agent_id) = (task.info.executor.clone(), task.info.agent_id.clone()) else {
        return;
    };
    let resources = task.info.resources.clone();
    let container_id = agent.new_container_id();
    let executor = Executor {
        container_id,
        info: Arc::clone(&info),
        tasks,
        is_running: false,
        was_subscribed: false,
        connection: None,
        subscribe_by: None,
        idle_until: None,
        resources: resources.clone(),
        is_sized: true,
        ending: None,
    };
    out.event(Event::ExecutorStarted {
        key: key.clone(),
        container_id,
    });
    out.effect(Effect::CheckpointExecutor {
        container_id,
        executor: executor.record(key),
    });
    out.effect(Effect::Executor {
        container_id,
        order: ExecutorOrder::Launch {
            key: key.clone(),
            info,
            agent_id,
            resources,
        },
    });
    agent.executors.insert(key.clone(), executor);
}
