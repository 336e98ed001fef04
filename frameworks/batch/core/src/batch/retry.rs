//! Starting again what has failed, when its time has come.
//!
//! That an instance waits is recorded, and not until when: a start from the records begins the wait anew.

use std::ops::RangeBounds;

use proffer_session::Context;
use proffer_types::Timestamp;

use super::{Batch, put};
use crate::job::{Job, Phase, Place};
use crate::records;

/// Retries that begin in one step; the rest begins in the next, which comes at once.
const MAX_RETRIES_PER_STEP: usize = 10_000;

/// When an instance that waits after a failure is started again.
fn until(job: &Job, place: Place, now: Timestamp) -> Timestamp {
    now.after(job.task_spec(place.task).retry.wait(job.failures(place)))
}

impl Batch {
    /// Begins the wait of an instance that has failed.
    pub(super) fn delay(&mut self, place: Place, now: Timestamp) {
        if let Some(job) = self.jobs.get(&place.job) {
            self.delays.insert(place, until(job, place, now));
        }
    }

    /// Lets those whose wait is over wait for offers.
    pub(super) fn retry_due(&mut self, cx: &mut Context<'_>) {
        let due: Vec<_> = self.delays.due(cx.now()).take(MAX_RETRIES_PER_STEP).collect();
        for place in due {
            self.delays.remove(place);
            let job = self.jobs.get(&place.job);
            if job.is_none_or(|job| job.tasks[place.task].phase(place.index) != Phase::Delayed) {
                continue;
            }
            self.move_to(place, Phase::Waiting);
            if let Some(job) = self.jobs.get_mut(&place.job) {
                job.waits_since(place, cx.now());
                put(cx, records::instance(job, place));
            }
        }
    }

    /// Begins the waits anew that only the records know of.
    pub(super) fn delay_recovered(&mut self, cx: &Context<'_>) {
        self.delay_all(.., cx);
    }

    /// Begins the waits anew that some jobs have no time for.
    pub(super) fn delay_all(&mut self, jobs: impl RangeBounds<u64>, cx: &Context<'_>) {
        let jobs = self.jobs.range(jobs).map(|(_, job)| job);
        let jobs = jobs.filter(|job| job.count(Phase::Delayed) > 0);
        let places = jobs.flat_map(|job| {
            let tasks = job.tasks.iter().enumerate();
            let places = tasks.flat_map(move |(task, state)| {
                let indexes = state.in_phase(Phase::Delayed).iter();
                indexes.map(move |index| job.place(task, index))
            });
            places.map(|place| (place, until(job, place, cx.now())))
        });
        for (place, until) in places.collect::<Vec<_>>() {
            self.delays.insert(place, until);
        }
    }
}
