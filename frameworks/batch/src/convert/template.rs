//! Templates as messages.

use proffer_batch_core::{RunView, TemplateView};
use proffer_wire::v1;

use super::job_state;

/// A template with its runs; well under the size of a message, as open jobs and histories are bounded.
pub(crate) fn template(job: &TemplateView, framework_id: &str) -> v1::Job {
    v1::Job {
        spec: Some(job.spec.as_ref().into()),
        state: state(job).into(),
        submitted_ms: job.submitted.0,
        ended_ms: job.ended.map_or(0, |ended| ended.0),
        framework_id: framework_id.to_owned(),
        runs: job.runs.iter().map(run).collect(),
        // Its tasks are those of its runs, and so is what they used: `ReportJobs` has it.
        ..v1::Job::default()
    }
}

pub(crate) fn template_summary(job: &TemplateView) -> v1::list_jobs_response::JobSummary {
    v1::list_jobs_response::JobSummary {
        name: job.spec.name.clone(),
        role: job.spec.role.to_string(),
        state: state(job).into(),
        submitted_ms: job.submitted.0,
        ended_ms: job.ended.map_or(0, |ended| ended.0),
        n_tasks: job.spec.tasks.iter().map(|task| task.count).sum(),
        ..v1::list_jobs_response::JobSummary::default()
    }
}

fn state(job: &TemplateView) -> v1::JobState {
    match job.cancelled {
        Some(_) => v1::JobState::JobCancelled,
        None => v1::JobState::JobParameterised,
    }
}

fn run(run: &RunView) -> v1::JobRun {
    v1::JobRun {
        name: run.name.clone(),
        state: job_state(run.state).into(),
        submitted_ms: run.submitted.0,
        ended_ms: run.ended.map_or(0, |ended| ended.0),
    }
}
