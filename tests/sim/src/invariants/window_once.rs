//! No window runs twice: of an `at_most_once` job, each task of a window's run has at most one command that ever ran, in
//! whatever attempt. Under `at_least_once` what ran again is counted, before it runs.
//!
//! Source: chronos#511: a job that fired twice after a failover. Jepsen's workload for Chronos.

use std::collections::BTreeMap;

use proffer_batch_core::MissedPolicy;
use proffer_types::{FrameworkId, Timestamp};

use super::Invariant;
use super::window_starts::{Place, WindowStarts};
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
    starts: WindowStarts,
}

impl Invariant for WindowOnce {
    fn name(&self) -> &'static str {
        "no window runs twice"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::Windows {
            framework_id: Some(framework_id),
            job,
            ..
        } = fact
            && let Some(schedule) = &job.spec.schedule
        {
            let key = ((*framework_id).clone(), job.spec.name.clone());
            let noted = self.jobs.entry(key).or_insert(Job {
                policy: schedule.missed,
                n_counted: 0,
                n_extra: 0,
            });
            noted.n_counted = job.counts.extra;
        }
        match self.starts.observe(fact) {
            Some(place) => self.ran(&place),
            None => Ok(()),
        }
    }
}

impl WindowOnce {
    fn ran(&mut self, place: &Place) -> Result<(), String> {
        let Place { run, place: task, .. } = place;
        let of = (place.framework_id.clone(), place.job().to_owned());
        let Some(job) = self.jobs.get_mut(&of) else {
            return Err(format!("{task} of {run} runs, and there is no record of its job"));
        };
        if self.starts.count(place) == 1 {
            return Ok(());
        }
        job.n_extra += 1;
        match job.policy {
            MissedPolicy::AtMostOnce => Err(format!("{task} of {run} runs again")),
            MissedPolicy::AtLeastOnce if job.n_extra > job.n_counted => {
                let n = job.n_counted;
                Err(format!(
                    "{task} of {run} runs again, and {n} extra runs are told of"
                ))
            }
            MissedPolicy::AtLeastOnce => Ok(()),
        }
    }
}
