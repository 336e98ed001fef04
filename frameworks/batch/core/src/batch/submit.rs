//! Submitting a job: validated and recorded before it is answered.

use std::sync::Arc;

use proffer_session::Context;

use super::{Batch, put};
use crate::job::Job;
use crate::validate::validate;
use crate::{JobSpec, SubmitError, records};

/// Jobs that have not ended; each costs a look at every offer while something of it waits.
const MAX_OPEN_JOBS: usize = 10_000;
/// Instances of jobs that have not ended, in all: some 100 bytes each.
const MAX_OPEN_INSTANCES: usize = 500_000;

impl Batch {
    /// Takes a job in; returns how many instances it has. A job of the same name that has ended is replaced.
    /// An error changes nothing.
    pub fn submit(&mut self, spec: JobSpec, cx: &mut Context<'_>) -> Result<usize, SubmitError> {
        let order = validate(&spec, &self.largest)?;
        let earlier = self.names.get(&spec.name).copied();
        if earlier.is_some_and(|number| !self.has_ended(number)) {
            return Err(SubmitError::NameInUse(spec.name));
        }
        let job = Job::new(self.submissions + 1, Arc::new(spec), order, cx.now());
        let n_instances = job.n_instances();
        self.check_room(n_instances)?;
        if let Some(number) = earlier {
            self.drop_job(number, cx);
        }
        let number = job.number;
        self.submissions = number;
        put(cx, records::submissions(number));
        put(cx, records::job(&job));
        self.names.insert(job.spec.name.clone(), number);
        self.roles.insert(job.spec.role.clone());
        self.jobs.insert(number, job);
        self.conclude(number, cx);
        Ok(n_instances)
    }

    fn check_room(&self, n_instances: usize) -> Result<(), SubmitError> {
        let open = self.jobs.values().filter(|job| job.ended.is_none());
        let (n_jobs, n_open) = open.fold((1, n_instances), |(n_jobs, n_open), job| {
            (n_jobs + 1, n_open + job.n_instances())
        });
        if n_jobs > MAX_OPEN_JOBS || n_open > MAX_OPEN_INSTANCES {
            return Err(SubmitError::Full);
        }
        Ok(())
    }
}
