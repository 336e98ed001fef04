//! The fate that the tasks of a group share: when one ends without having finished, or is being killed, the others
//! are killed at the same time, so that their grace periods do not add up.

use proffer_types::{KillPolicy, TaskState, Timestamp};

use super::kill_task;
use crate::{Agent, KillCause, Output, TaskKey};

/// Kills what lives of a task's group, if the task has failed, was killed or never ran.
pub(crate) fn member_ended(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let Some(task) = agent.tasks.get(key) else { return };
    if !task.is_live() && task.state() != TaskState::Finished {
        member_doomed(agent, now, key, out);
    }
}

/// Kills what lives of a task's group beside the task.
pub(crate) fn member_doomed(agent: &mut Agent, now: Timestamp, key: &TaskKey, out: &mut Output) {
    let Some(task) = agent.tasks.get(key) else { return };
    let Some(group) = &task.group else { return };
    let others = agent.tasks.iter().filter(|(other, task)| {
        *other != key
            && other.framework_id == key.framework_id
            && task.group.as_ref() == Some(group)
            && task.is_live()
    });
    let others: Vec<TaskKey> = others.map(|(other, _)| other.clone()).collect();
    for other in others {
        let cause = KillCause::GroupEnded {
            task_id: key.task_id.clone(),
        };
        kill_task::kill(agent, now, &other, cause, KillPolicy::default(), out);
    }
}

/// The same for what was found on disk, where the end of one may have been the last thing written.
pub(crate) fn recovered(agent: &mut Agent, now: Timestamp, out: &mut Output) {
    let ended = agent
        .tasks
        .iter()
        .filter(|(_, task)| task.group.is_some() && !task.is_live());
    let ended: Vec<TaskKey> = ended.map(|(key, _)| key.clone()).collect();
    for key in ended {
        member_ended(agent, now, &key, out);
    }
}
