//! Job files.

mod place;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use proffer_batch_core::JobSpec;
use proffer_types::Timestamp;
use proffer_wire::v1;
use serde::Deserialize;

use super::after::AfterJobFile;
use super::file::{SpecError, parse, read_text, wrong};
use super::schedule::ScheduleFile;
use super::task::JobTaskFile;
use super::template::{ParameterFile, PayloadFile, template};
use super::{SomeSpan, Whole};
use crate::views::now_ms;

/// A job file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobFile {
    name: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    priority: Whole<i32>,
    tasks: Vec<JobTaskFile>,
    /// All tasks start at one moment or not at all.
    #[serde(default)]
    gang: bool,
    /// Makes it a recurring job.
    schedule: Option<ScheduleFile>,
    /// Nothing of it is started before it is released.
    #[serde(default)]
    hold: bool,
    /// What has not ended so long after the submission has failed.
    deadline: Option<SomeSpan>,
    /// For people and small tools.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// What must have become of other jobs first.
    #[serde(default)]
    after_jobs: Vec<AfterJobFile>,
    /// Makes it a template, that runs when it is dispatched with values of these.
    parameters: Option<BTreeMap<String, ParameterFile>>,
    /// Makes it a template too, that is dispatched with a file.
    payload: Option<PayloadFile>,
    /// Of a template: how many runs that have ended are kept.
    history: Option<Whole<NonZeroU32>>,
}

impl JobFile {
    fn is_template(&self) -> bool {
        self.parameters.is_some() || self.payload.is_some_and(|payload| payload != PayloadFile::None)
    }
}

/// Reads a job file, and checks all of it that needs no cluster.
pub(crate) fn read_job(path: &Path) -> Result<v1::JobSpec, SpecError> {
    let (file, text) = read_text(path)?;
    check_job(&file, &text, Timestamp(now_ms()))
}

/// As [`read_job`], from a text.
fn check_job(file: &str, text: &str, now: Timestamp) -> Result<v1::JobSpec, SpecError> {
    let job = parse::<JobFile>(file, text)?;
    if job.history.is_some() && !job.is_template() {
        let problem =
            "only a job with `parameters` or a `payload` has a history; that of a schedule is said there";
        return Err(wrong(file, text, "history", problem));
    }
    let job = v1::JobSpec::from(job);
    let spec = JobSpec::try_from(job.clone());
    let spec = spec.map_err(|error| {
        let path = in_file(error.path());
        wrong(
            file,
            text,
            &path,
            &error.to_string().replacen(error.path(), &path, 1),
        )
    })?;
    proffer_batch_core::check(&spec, now)
        .map_err(|error| wrong(file, text, &place::of(&error, &spec), &error.to_string()))?;
    Ok(job)
}

/// The path of a field of a message as a job file has it.
fn in_file(path: &str) -> String {
    let name = |part: &str| match part {
        "container" | "rules" | "retry" | "template" => None,
        "only_exits" => Some("retry_on_exit".to_owned()),
        "not_exits" => Some("fail_on_exit".to_owned()),
        part => Some(part.to_owned()),
    };
    path.split('.').filter_map(name).collect::<Vec<_>>().join(".")
}

impl From<JobFile> for v1::JobSpec {
    fn from(job: JobFile) -> Self {
        let is_template = job.is_template();
        Self {
            template: is_template.then(|| template(job.parameters, job.payload, job.history)),
            dispatch: None,
            name: job.name,
            role: job.role,
            priority: job.priority.0,
            tasks: job.tasks.into_iter().map(v1::JobTask::from).collect(),
            gang: job.gang,
            schedule: job.schedule.map(Into::into),
            hold: job.hold,
            deadline_ms: span(job.deadline),
            labels: job.labels,
            user: String::new(),
            after_jobs: job.after_jobs.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<JobTaskFile> for v1::JobTask {
    fn from(file: JobTaskFile) -> Self {
        let task = file.task();
        let retry = v1::JobRetry {
            backoff_ms: span(file.backoff),
            max_backoff_ms: span(file.max_backoff),
            only_exits: file.retry_on_exit.iter().map(|code| code.0).collect(),
            not_exits: file.fail_on_exit.iter().map(|code| code.0).collect(),
        };
        Self {
            name: file.name,
            count: file.count.map_or(1, |count| count.0.get()),
            after: Vec::new(),
            conditions: file.after.into_iter().map(Into::into).collect(),
            resources: Some(task.resources()),
            container: Some(task.container()),
            retries: file.retries.0,
            timeout_ms: span(file.timeout),
            kill_policy: task.kill_policy(),
            limits: task.limits.message(),
            rules: task.rules(),
            gang: file.gang,
            max_running: file.max_running.map_or(0, |most| most.0.get()),
            retry: (retry != v1::JobRetry::default()).then_some(retry),
        }
    }
}

/// 0 means none.
fn span(span: Option<SomeSpan>) -> u64 {
    span.map_or(0, |span| span.0.millis())
}

#[cfg(test)]
mod tests;
