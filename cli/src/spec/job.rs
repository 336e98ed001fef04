//! Job files.

use proffer_wire::v1;
use serde::Deserialize;

use super::schedule::ScheduleFile;
use super::task::JobTaskFile;
use super::{SomeSpan, Whole};

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
}

impl From<JobFile> for v1::JobSpec {
    fn from(job: JobFile) -> Self {
        Self {
            name: job.name,
            role: job.role,
            priority: job.priority.0,
            tasks: job.tasks.into_iter().map(v1::JobTask::from).collect(),
            gang: job.gang,
            schedule: job.schedule.map(Into::into),
            hold: job.hold,
            deadline_ms: span(job.deadline),
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
