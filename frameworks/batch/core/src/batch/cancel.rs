//! Cancelling a job: what waits is dropped at once, what runs is killed.

use proffer_session::Context;

use super::{Batch, NoSuchJob, put};
use crate::records;

/// Why a job was not cancelled.
pub type CancelError = NoSuchJob;

impl Batch {
    /// Cancels a job. Cancelling one that has ended, or again, changes nothing.
    pub fn cancel(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), CancelError> {
        self.cancel_named(name, false, cx)
    }

    /// Cancels the windows of a recurring job that are to come, or ends a template, and lets its runs go on; any other job is
    /// cancelled.
    pub fn cancel_schedule(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), CancelError> {
        self.cancel_named(name, true, cx)
    }

    fn cancel_named(&mut self, name: &str, keep_runs: bool, cx: &mut Context<'_>) -> Result<(), CancelError> {
        if let Some(number) = self.recurrings.names.get(name).copied() {
            self.cancel_recurring(number, keep_runs, cx);
            return Ok(());
        }
        if let Some(number) = self.templates.number(name) {
            self.cancel_template(number, keep_runs, cx);
            return Ok(());
        }
        let number = self.named(name)?.number;
        self.cancel_run(number, cx);
        Ok(())
    }

    pub(super) fn cancel_job(&mut self, number: u64, cx: &mut Context<'_>) {
        self.cancel_and_settle(number, cx);
        self.state_demand(cx);
    }

    /// As [`Batch::cancel_job`]; what is wanted has yet to be stated.
    pub(super) fn cancel_and_settle(&mut self, number: u64, cx: &mut Context<'_>) {
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        if job.cancelled || job.ended.is_some() {
            return;
        }
        job.cancelled = true;
        put(cx, records::end(job));
        for (id, task) in job.running() {
            cx.kill(&id, task.kill_policy);
        }
        // What is suspended of it is thawed for that.
        if self.queue.get_up_all(number) {
            self.changed.insert(job.spec.role.clone());
        }
        self.conclude(number, cx);
    }
}
