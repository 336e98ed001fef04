//! Submitting a job: validated and recorded before it is answered.

use std::collections::BTreeSet;
use std::sync::Arc;

use proffer_session::Context;
use proffer_types::Role;

use super::demand::can_be_stated;
use super::{Batch, put};
use crate::job::Job;
use crate::validate::{MAX_ROLES, quoted, validate};
use crate::{JobSpec, SubmitError, TemplateError, records};

/// Jobs that have not ended; each costs a look at every offer while something of it waits.
const MAX_OPEN_JOBS: usize = 10_000;
/// Instances of jobs that have not ended, in all: some 240 bytes each once it was launched, a bit before.
const MAX_OPEN_INSTANCES: u64 = 4_000_000;

/// Only a run says what it was dispatched with.
pub(super) fn refuse_dispatched(spec: &JobSpec) -> Result<(), TemplateError> {
    match spec.dispatch {
        Some(_) => Err(TemplateError::Dispatched(quoted(&spec.name))),
        None => Ok(()),
    }
}

impl Batch {
    /// Takes a job in; returns how many instances it has. A job of the same name that has ended is replaced.
    /// An error changes nothing.
    pub fn submit(&mut self, spec: JobSpec, cx: &mut Context<'_>) -> Result<u64, SubmitError> {
        refuse_dispatched(&spec)?;
        if let Some(schedule) = spec.schedule.clone() {
            return self.submit_recurring(spec, schedule, cx);
        }
        if spec.template.is_some() {
            return self.submit_template(spec, cx);
        }
        let order = validate(&spec, &self.largest)?;
        let earlier = self.free_name(&spec.name)?;
        let (waits, reason) = self.waits(&spec)?;
        let mut job = Job::new(self.submissions + 1, Arc::new(spec), order, cx.now());
        job.waits = waits;
        let n_instances = self.check_entry(&job)?;
        self.enter(&job.spec.role)?;
        if let Some(number) = earlier {
            self.forget(number, cx);
        }
        let number = self.take_in(job, cx);
        if let Some(job) = self.jobs.get_mut(&number).filter(|_| reason.is_some()) {
            job.reason = reason;
            self.cancel_job(number, cx);
        }
        self.state_demand(cx);
        Ok(n_instances)
    }

    /// Refuses what cannot be asked for, or is too much; returns how many instances it has.
    pub(super) fn check_entry(&self, job: &Job) -> Result<u64, SubmitError> {
        if !can_be_stated(job) {
            return Err(SubmitError::LargeStatement(job.spec.name.clone()));
        }
        let n_instances = job.n_instances();
        self.check_room(n_instances)?;
        Ok(n_instances)
    }

    /// Enters a job that was checked; returns its number. What is wanted has yet to be stated.
    pub(super) fn take_in(&mut self, job: Job, cx: &mut Context<'_>) -> u64 {
        let number = job.number;
        self.submissions = number;
        put(cx, records::submissions(number));
        put(cx, records::job(&job));
        if !job.waits.is_empty() {
            put(cx, records::end(&job));
        }
        self.names.insert(job.name.clone(), number);
        self.jobs.insert(number, job);
        self.watch_deadline(number);
        self.watch_ends(number);
        self.conclude(number, cx);
        number
    }

    /// Makes the role one of the framework's; those that no open job is in make room.
    pub(super) fn enter(&mut self, role: &Role) -> Result<(), SubmitError> {
        self.check_role(role)?;
        if !self.roles.contains(role) && self.roles.len() >= MAX_ROLES {
            let used: BTreeSet<_> = self.used_roles().cloned().collect();
            self.roles
                .retain(|role| used.contains(role) || *role == Role::default());
            self.changed.retain(|role| self.roles.contains(role));
        }
        self.roles.insert(role.clone());
        Ok(())
    }

    /// The roles of what has not ended.
    fn used_roles(&self) -> impl Iterator<Item = &Role> {
        let open = self.jobs.values().filter(|job| job.ended.is_none());
        let recurring = self.recurrings.jobs.values().filter(|job| !job.has_ended());
        let templates = self.templates.jobs.values().filter(|job| !job.has_ended());
        let open = open.map(|job| &job.spec.role);
        let recurring = recurring.map(|job| &job.spec.role);
        open.chain(recurring).chain(templates.map(|job| &job.spec.role))
    }

    /// Refuses a role that is one too many.
    pub(super) fn check_role(&self, role: &Role) -> Result<(), SubmitError> {
        if self.roles.contains(role) || self.roles.len() < MAX_ROLES {
            return Ok(());
        }
        let default = Role::default();
        let used: BTreeSet<_> = self.used_roles().chain([&default]).collect();
        let kept = self.roles.iter().filter(|role| used.contains(role));
        match kept.count() < MAX_ROLES {
            true => Ok(()),
            false => Err(SubmitError::Roles(role.clone())),
        }
    }

    pub(super) fn check_room(&self, n_instances: u64) -> Result<(), SubmitError> {
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
