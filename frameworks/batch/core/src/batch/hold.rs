//! Holding a job back, and releasing it: what runs goes on, what waits is not started.

use proffer_session::Context;

use super::{Batch, SteerError, put};
use crate::records;

impl Batch {
    /// Starts nothing more of a job. Holding one that is held changes nothing.
    pub fn hold(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), SteerError> {
        self.set_held(name, true, cx)
    }

    /// Starts what waits of a job. Releasing one that is not held changes nothing.
    pub fn release(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), SteerError> {
        self.set_held(name, false, cx)
    }

    fn set_held(&mut self, name: &str, held: bool, cx: &mut Context<'_>) -> Result<(), SteerError> {
        if self.recurrings.names.contains_key(name) {
            return Err(SteerError::Recurring(name.to_owned()));
        }
        if self.templates.number(name).is_some() {
            return Err(SteerError::Template(name.to_owned()));
        }
        let number = self
            .named(name)
            .map_err(|error| SteerError::NoSuchJob(error.0))?
            .number;
        if let Some(job) = self.jobs.get_mut(&number) {
            if job.ended.is_some() {
                return Err(SteerError::Ended(name.to_owned()));
            }
            if job.held && !held {
                job.released = Some(cx.now());
            }
            job.held = held;
            put(cx, records::end(job));
        }
        self.queue_again(number);
        self.state_demand(cx);
        Ok(())
    }

    /// What waits of a job, or whether it is held, has changed.
    pub(super) fn queue_again(&mut self, number: u64) {
        if let Some(job) = self.jobs.get(&number) {
            (0..job.tasks.len()).for_each(|task| self.queue.update(job, task));
            self.changed.insert(job.spec.role.clone());
        }
    }
}
