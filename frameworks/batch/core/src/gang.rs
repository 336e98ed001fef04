//! Gangs: instances that start at one moment or not at all. A gang is an array, or all tasks of a job.
//!
//! Rules: when an attempt of one instance ends other than well, the attempts of the others are killed. When all of
//! them have ended, whatever did not finish starts again together. An attempt of the gang counts as one failure,
//! however many of its instances fail in it, and the retries of the one that failed first decide whether there is
//! another attempt. When there is none, what did not finish is cancelled.

use std::ops::Range;

use crate::job::{Job, Phase, Place};
use crate::task::Task;

impl Job {
    /// The tasks that make up the gang of a task; none where it is in no gang.
    pub(crate) fn gang(&self, task: usize) -> Option<Range<usize>> {
        match self.spec.gang {
            true => Some(0..self.tasks.len()),
            false => self.task_spec(task).gang.then_some(task..task + 1),
        }
    }

    fn count_in(&self, gang: Range<usize>, phase: Phase) -> u32 {
        self.tasks[gang].iter().map(|task| task.count(phase)).sum()
    }

    /// Whether some of the gang of a task has to start again or never will, so that none of it is to go on.
    pub(crate) fn gang_is_broken(&self, task: usize) -> bool {
        let broken = [Phase::Waiting, Phase::Delayed, Phase::Failed, Phase::Cancelled];
        self.gang(task).is_some_and(|gang| {
            broken
                .into_iter()
                .any(|phase| self.count_in(gang.clone(), phase) > 0)
        })
    }

    /// Whether the gang of a task will not start any more.
    pub(crate) fn gang_has_failed(&self, task: usize) -> bool {
        let gang = self.gang(task);
        gang.is_some_and(|gang| self.count_in(gang, Phase::Failed) > 0)
    }

    /// How many of the gang of a task are to be started, and how many have yet to end, or to wait, before they can be.
    pub(crate) fn gang_start(&self, task: usize) -> Option<(u32, u32)> {
        let gang = self.gang(task)?;
        let count = |phase| self.count_in(gang.clone(), phase);
        Some((
            count(Phase::Waiting),
            count(Phase::Running) + count(Phase::Delayed),
        ))
    }

    /// Whether instances of a task may start: those of a gang only when none of it runs any more.
    pub(crate) fn may_start(&self, task: usize) -> bool {
        self.gang_start(task).is_none_or(|(_, n_open)| n_open == 0)
    }

    /// How many instances of a task may be started now.
    pub(crate) fn n_startable(&self, task: usize) -> u32 {
        self.tasks[task].n_startable(self.task_spec(task).max_running)
    }

    /// Attempts that count against the retries of an instance: its own, or those of its gang.
    pub(crate) fn failures(&self, place: Place) -> u32 {
        let Some(gang) = self.gang(place.task) else {
            let launched = self.tasks[place.task].launched(place.index);
            return launched.map_or(0, |instance| instance.failures);
        };
        let launched = self.tasks[gang].iter().flat_map(Task::all_launched);
        launched.fold(0, |sum, (_, instance)| sum.saturating_add(instance.failures))
    }
}
