//! Templates as the framework's API shows them.

use std::sync::Arc;

use proffer_types::Timestamp;

use crate::job::Job;
use crate::template::TemplateJob;
use crate::{JobSpec, JobState};

/// A template with those of its runs that are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateView {
    pub spec: Arc<JobSpec>,
    pub submitted: Timestamp,
    /// Nothing of it is dispatched any more, since then.
    pub cancelled: Option<Timestamp>,
    /// It was cancelled, and its runs have ended; when it was cancelled.
    pub ended: Option<Timestamp>,
    pub n_open: usize,
    /// In the order of dispatch.
    pub runs: Vec<RunView>,
}

/// A run of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunView {
    /// The job it is.
    pub name: String,
    pub state: JobState,
    pub submitted: Timestamp,
    pub ended: Option<Timestamp>,
}

impl TemplateView {
    /// Without the runs.
    pub(crate) fn summary(job: &TemplateJob) -> Self {
        Self {
            spec: job.spec.clone(),
            submitted: job.submitted,
            cancelled: job.cancelled,
            ended: job.cancelled.filter(|_| job.has_ended()),
            n_open: job.open.len(),
            runs: Vec::new(),
        }
    }

    /// `job_of` knows the runs by their numbers.
    pub(crate) fn of<'a>(job: &TemplateJob, job_of: impl Fn(u64) -> Option<&'a Job>) -> Self {
        let ended = job.ended.iter().map(|(_, number)| *number);
        let mut numbers: Vec<_> = job.open.iter().copied().chain(ended).collect();
        numbers.sort_unstable();
        let runs = numbers.into_iter().filter_map(job_of).map(|run| RunView {
            name: run.name.clone(),
            state: run.state(),
            submitted: run.submitted,
            ended: run.ended,
        });
        Self {
            runs: runs.collect(),
            ..Self::summary(job)
        }
    }
}
