//! Cancelling a job: what waits is dropped at once, what runs is killed.

use proffer_session::Context;

use super::{Batch, NoSuchJob, put};
use crate::records;

/// Why a job was not cancelled.
pub type CancelError = NoSuchJob;

impl Batch {
    /// Cancels a job. Cancelling one that has ended, or again, changes nothing.
    pub fn cancel(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), CancelError> {
        let number = self.named(name)?.number;
        let Some(job) = self.jobs.get_mut(&number) else {
            return Ok(());
        };
        if job.cancelled || job.ended.is_some() {
            return Ok(());
        }
        job.cancelled = true;
        put(cx, records::end(job));
        for (id, place) in &self.running {
            if place.job == number {
                cx.kill(id, job.task_spec(place.task).kill_policy);
            }
        }
        self.conclude(number, cx);
        Ok(())
    }
}
