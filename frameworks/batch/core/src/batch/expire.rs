//! Jobs that have not ended when they had to: what runs of them is killed, what waits is dropped, and they have failed.

use proffer_session::Context;

use super::Batch;

impl Batch {
    /// Sees to it that the deadline of a job is noticed.
    pub(super) fn watch_deadline(&mut self, number: u64) {
        let job = self.jobs.get(&number).filter(|job| job.ended.is_none());
        if let Some(deadline) = job.and_then(|job| job.deadline()) {
            self.deadlines.insert((deadline, number));
        }
    }

    pub(super) fn forget_deadline(&mut self, number: u64) {
        if let Some(deadline) = self.jobs.get(&number).and_then(|job| job.deadline()) {
            self.deadlines.remove(&(deadline, number));
        }
    }

    pub(super) fn expire_due(&mut self, cx: &mut Context<'_>) {
        while let Some((deadline, number)) = self.deadlines.first().copied()
            && deadline <= cx.now()
        {
            self.deadlines.pop_first();
            let job = self.jobs.get_mut(&number).filter(|job| !job.cancelled);
            if let Some(job) = job {
                job.expired = true;
                self.cancel_job(number, cx);
            }
        }
    }
}
