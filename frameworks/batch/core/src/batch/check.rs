//! A job checked as by a submission, of which nothing stays.

use std::sync::Arc;

use proffer_types::{Shape, ShapeId, Timestamp};

use super::Batch;
use super::demand::{can_be_stated, shape};
use super::submit::refuse_dispatched;
use crate::job::Job;
use crate::validate::validate;
use crate::{JobSpec, SubmitError, check};

/// What would come of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub n_instances: u64,
    /// What of it would be asked for at once, one for each task, by its place in the spec. None of a template, nor of a job
    /// that is held, recurs, or comes after another.
    pub demand: Vec<Shape>,
}

impl Batch {
    /// Checks a job as [`Batch::submit`] would now.
    pub fn check(&self, spec: JobSpec, now: Timestamp) -> Result<Checked, SubmitError> {
        check(&spec, now)?;
        refuse_dispatched(&spec)?;
        let order = validate(&spec, &self.largest)?;
        self.free_name(&spec.name)?;
        let (waits, never) = self.waits(&spec)?;
        let mut job = Job::new(self.submissions + 1, Arc::new(spec), order, now);
        if !can_be_stated(&job) {
            return Err(SubmitError::LargeStatement(job.spec.name.clone()));
        }
        self.check_room(job.n_instances())?;
        self.check_role(&job.spec.role)?;
        job.settle();
        let by_itself = job.spec.schedule.is_none() && job.spec.template.is_none();
        let starts = !job.held && by_itself && waits.is_empty() && never.is_none();
        let tasks = 0..job.tasks.len();
        let demand = tasks
            .filter(|task| starts && job.may_start(*task))
            .filter_map(|task| {
                let count = job.n_startable(task);
                (count > 0).then(|| Shape {
                    id: ShapeId(task as u64),
                    ..shape(&job, task, count)
                })
            });
        Ok(Checked {
            n_instances: job.n_instances(),
            demand: demand.collect(),
        })
    }
}
