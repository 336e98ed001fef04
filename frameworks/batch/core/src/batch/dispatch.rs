//! Templates, and dispatching them, as `nomad job dispatch` does: each run is a job by itself.
//!
//! The run's spec has the values in it, so what became of it is told, and found again after a start, without the template.
//! It is recorded with the name by its token: the same token starts nothing again, for as long as the run is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use proffer_session::Context;
use proffer_types::Timestamp;
use thiserror::Error;

use super::{Batch, NoSuchJob, put};
use crate::job::{Job, run_name};
use crate::schedule::compact;
use crate::spec::template::check;
use crate::template::TemplateJob;
use crate::validate::{is_token, quoted, validate};
use crate::{Dispatch, JobSpec, SubmitError, ValueError, records};

/// Templates, those that were cancelled included while there is room.
const MAX_TEMPLATES: usize = 1000;

/// The templates of a scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Templates {
    pub(super) jobs: BTreeMap<u64, TemplateJob>,
    /// The latest of each name.
    names: BTreeMap<String, u64>,
}

impl Templates {
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.names.get(name).copied()
    }

    fn insert(&mut self, job: TemplateJob) {
        self.names.insert(job.spec.name.clone(), job.number);
        self.jobs.insert(job.number, job);
    }
}

/// What came of a dispatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatched {
    /// The name of the run.
    pub run: String,
    pub n_instances: u64,
    /// It was there before; nothing was started.
    pub existed: bool,
}

/// Why nothing was dispatched. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DispatchError {
    #[error(transparent)]
    NoSuchJob(#[from] NoSuchJob),
    #[error("job `{0}` takes no parameters; it runs by itself")]
    NoTemplate(String),
    #[error("job `{0}` was cancelled")]
    Cancelled(String),
    #[error(transparent)]
    Value(#[from] ValueError),
    /// Somebody has said a token like the one that would be given now.
    #[error("a run is named `{0}` already; dispatch again")]
    Taken(String),
    #[error(transparent)]
    Refused(#[from] SubmitError),
}

impl Batch {
    /// Takes a template in; returns how many instances each of its runs has.
    pub(super) fn submit_template(
        &mut self,
        spec: JobSpec,
        cx: &mut Context<'_>,
    ) -> Result<u64, SubmitError> {
        let order = validate(&spec, &self.largest)?;
        let earlier = self.free_name(&spec.name)?;
        let spec = Arc::new(spec);
        let run = Job::new(self.submissions + 1, spec.clone(), order, cx.now());
        let n_instances = self.check_entry(&run)?;
        let templates = &self.templates.jobs;
        let mut ended = templates.values().filter(|job| job.has_ended());
        let oldest = ended.next().map(|job| job.number);
        let makes_room = earlier.filter(|number| templates.contains_key(number)).or(oldest);
        let is_full = templates.len() >= MAX_TEMPLATES;
        if is_full && makes_room.is_none() {
            return Err(SubmitError::Full);
        }
        self.enter(&spec.role)?;
        let makes_room = makes_room.filter(|number| is_full && Some(*number) != earlier);
        for number in earlier.into_iter().chain(makes_room) {
            self.forget(number, cx);
        }
        self.submissions = run.number;
        put(cx, records::submissions(run.number));
        let job = TemplateJob::new(run.number, spec, cx.now());
        put(cx, records::template(&job));
        self.templates.insert(job);
        self.state_demand(cx);
        Ok(n_instances)
    }

    /// Runs a template with what is given; an empty token means one that nobody has. A token whose run is kept starts nothing.
    pub fn dispatch(
        &mut self,
        name: &str,
        given: Dispatch,
        priority: Option<i32>,
        user: Option<String>,
        cx: &mut Context<'_>,
    ) -> Result<Dispatched, DispatchError> {
        let Some(template) = self
            .templates
            .number(name)
            .and_then(|number| self.templates.jobs.get(&number))
        else {
            let is_there = self.recurrings.names.contains_key(name) || self.named(name).is_ok();
            return Err(match is_there {
                true => DispatchError::NoTemplate(name.to_owned()),
                false => DispatchError::NoSuchJob(NoSuchJob(quoted(name))),
            });
        };
        let number = self.submissions + 1;
        let (token, is_said) = match given.token.as_str() {
            "" => (format!("{}-{number}", compact(self.wall(cx))), false),
            token if is_token(token) => (token.to_owned(), true),
            token => return Err(ValueError::Token(quoted(token)).into()),
        };
        let run = run_name(name, &token);
        if let Ok(job) = self.named(&run) {
            let n_instances = job.n_instances();
            return match is_said {
                true => Ok(Dispatched {
                    run,
                    n_instances,
                    existed: true,
                }),
                false => Err(DispatchError::Taken(run)),
            };
        }
        if template.cancelled.is_some() {
            return Err(DispatchError::Cancelled(name.to_owned()));
        }
        let takes = template.spec.template.clone().unwrap_or_default();
        let values = check::values(name, &takes, &given.values, given.payload.as_deref())?;
        let dispatch = Dispatch {
            token,
            values,
            payload: given.payload,
        };
        check::fits(&template.spec, &dispatch)?;
        let mut spec = template.spec.dispatched(dispatch);
        spec.priority = priority.unwrap_or(spec.priority);
        spec.user = user.unwrap_or(spec.user);
        check::run(&spec)?;
        let order = validate(&spec, &self.largest)?;
        let of = template.number;
        let mut job = Job::new(number, Arc::new(spec), order, cx.now());
        job.template = Some(of);
        let n_instances = self.check_entry(&job)?;
        self.enter(&job.spec.role)?;
        if let Some(template) = self.templates.jobs.get_mut(&of) {
            template.open.insert(number);
        }
        self.take_in(job, cx);
        self.state_demand(cx);
        Ok(Dispatched {
            run,
            n_instances,
            existed: false,
        })
    }

    /// Ends a template: nothing of it is dispatched any more, and of its runs none goes on unless they are to be kept.
    pub(super) fn cancel_template(&mut self, number: u64, keep_runs: bool, cx: &mut Context<'_>) {
        let Some(template) = self.templates.jobs.get_mut(&number) else {
            return;
        };
        if template.cancelled.is_none() {
            template.cancelled = Some(cx.now());
            put(cx, records::template(template));
        }
        if !keep_runs {
            for run in template.open.clone() {
                self.cancel_and_settle(run, cx);
            }
        }
        self.state_demand(cx);
    }

    /// Forgets a template that has ended, and its runs.
    pub(super) fn forget_template(&mut self, number: u64, cx: &mut Context<'_>) {
        let Some(template) = self.templates.jobs.remove(&number) else {
            return;
        };
        for (_, run) in &template.ended {
            self.drop_job(*run, cx);
        }
        let name = &template.spec.name;
        if self.templates.names.get(name) == Some(&number) {
            self.templates.names.remove(name);
        }
        cx.delete(records::template_key(number));
    }

    /// A run has ended; what is older than the history goes.
    pub(super) fn dispatched_ended(&mut self, number: u64, cx: &mut Context<'_>) {
        let Some((template, ended)) = self.template_of(number) else {
            return;
        };
        template.open.remove(&number);
        template.ended.extend(ended.map(|ended| (ended, number)));
        let n_excess = template.ended.len().saturating_sub(template.history());
        let excess: Vec<_> = template
            .ended
            .iter()
            .take(n_excess)
            .map(|(_, run)| *run)
            .collect();
        for run in excess {
            self.drop_job(run, cx);
        }
    }

    /// A run that had ended goes on.
    pub(super) fn dispatched_reopened(&mut self, number: u64, ended: Timestamp) {
        if let Some((template, _)) = self.template_of(number) {
            template.ended.remove(&(ended, number));
            template.open.insert(number);
        }
    }

    /// A job is forgotten.
    pub(super) fn dispatched_dropped(&mut self, job: &Job) {
        let template = job
            .template
            .and_then(|number| self.templates.jobs.get_mut(&number));
        if let Some(template) = template {
            template.open.remove(&job.number);
            if let Some(ended) = job.ended {
                template.ended.remove(&(ended, job.number));
            }
        }
    }

    /// The template of a run, and when the run has ended.
    fn template_of(&mut self, number: u64) -> Option<(&mut TemplateJob, Option<Timestamp>)> {
        let run = self.jobs.get(&number)?;
        let template = self.templates.jobs.get_mut(&run.template?)?;
        Some((template, run.ended))
    }

    pub(super) fn restore_template(
        &mut self,
        number: u64,
        spec: JobSpec,
        submitted: Timestamp,
        cancelled: Option<Timestamp>,
    ) {
        self.roles.insert(spec.role.clone());
        let mut job = TemplateJob::new(number, Arc::new(spec), submitted);
        job.cancelled = cancelled;
        self.templates.insert(job);
    }

    /// What follows from the records of templates and their runs.
    pub(super) fn recover_dispatched(&mut self) {
        for job in self.jobs.values() {
            let template = job
                .template
                .and_then(|number| self.templates.jobs.get_mut(&number));
            if let Some(template) = template {
                template.ended.extend(job.ended.map(|ended| (ended, job.number)));
                template.open.extend(job.ended.is_none().then_some(job.number));
            }
        }
    }
}
