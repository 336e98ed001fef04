//! No window runs twice: of an `at_most_once` job, each task of a window's run has at most one command that ever ran, in
//! whatever attempt. Under `at_least_once` what ran again is counted, before it runs.
//!
//! Source: chronos#511: a job that fired twice after a failover. Jepsen's workload for Chronos.

use std::collections::BTreeMap;

use proffer_batch_core::MissedPolicy;
use proffer_types::{FrameworkId, TaskId, Timestamp};

use super::Invariant;
use crate::facts::Fact;

#[derive(Debug)]
struct Job {
    policy: MissedPolicy,
    /// Extra runs that are told of.
    n_counted: u64,
    /// Those there were.
    n_extra: u64,
}

#[derive(Debug, Default)]
pub(crate) struct WindowOnce {
    jobs: BTreeMap<(FrameworkId, String), Job>,
    /// How often a place of a run's arrays ran.
    ran: BTreeMap<(FrameworkId, String, String), u64>,
}

impl Invariant for WindowOnce {
    fn name(&self) -> &'static str {
        "no window runs twice"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Windows {
                framework_id: Some(framework_id),
                job,
                ..
            } => {
                let Some(schedule) = &job.spec.schedule else {
                    return Ok(());
                };
                let key = ((*framework_id).clone(), job.spec.name.clone());
                let noted = self.jobs.entry(key).or_insert(Job {
                    policy: schedule.missed,
                    n_counted: 0,
                    n_extra: 0,
                });
                noted.n_counted = job.counts.extra;
                Ok(())
            }
            Fact::CommandRuns { key } => self.ran(&key.framework_id, &key.task_id),
            _ => Ok(()),
        }
    }
}

impl WindowOnce {
    fn ran(&mut self, framework_id: &FrameworkId, task: &TaskId) -> Result<(), String> {
        let Some(place) = Place::of(task) else {
            return Ok(());
        };
        let of = (framework_id.clone(), place.job.to_owned());
        let Some(job) = self.jobs.get_mut(&of) else {
            return Err(format!("{task} runs, and there is no record of its job"));
        };
        let (run, task_index) = (place.run.to_owned(), place.place.to_owned());
        let times = self.ran.entry((of.0, run, task_index)).or_default();
        *times += 1;
        if *times == 1 {
            return Ok(());
        }
        job.n_extra += 1;
        if job.policy == MissedPolicy::AtMostOnce {
            return Err(format!("{} of {} runs again, as {task}", place.place, place.run));
        }
        if job.n_extra > job.n_counted {
            let n = job.n_counted;
            return Err(format!("{task} runs again, and {n} extra runs are told of"));
        }
        Ok(())
    }
}

/// What a task of a recurring job is, by its id: `<job>@<window>-<number>.<task>.<index>[-<attempt>]`.
pub(super) struct Place<'a> {
    pub(super) job: &'a str,
    /// `<job>@<window>`.
    pub(super) run: &'a str,
    /// `<task>.<index>`.
    pub(super) place: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn of(task: &'a TaskId) -> Option<Self> {
        let (job, _) = task.as_str().split_once('@')?;
        let (run, place) = task.as_str().split_once('.')?;
        let (run, _number) = run.rsplit_once('-')?;
        let (task, index) = place.split_once('.')?;
        let index = index.split('-').next()?;
        let place = &place[..task.len() + 1 + index.len()];
        Some(Self { job, run, place })
    }
}
