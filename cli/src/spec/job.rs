//! Job files.

use proffer_wire::v1;
use serde::Deserialize;

use super::Whole;
use super::schedule::ScheduleFile;
use super::task::JobTaskFile;

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
        }
    }
}

impl From<JobTaskFile> for v1::JobTask {
    fn from(file: JobTaskFile) -> Self {
        let task = file.task();
        Self {
            name: file.name,
            count: file.count.map_or(1, |count| count.0.get()),
            after: Vec::new(),
            conditions: file.after.into_iter().map(Into::into).collect(),
            resources: Some(task.resources()),
            container: Some(task.container()),
            retries: file.retries.0,
            timeout_ms: file.timeout.map_or(0, |timeout| timeout.0.millis()),
            kill_policy: task.kill_policy(),
            limits: task.limits.message(),
            rules: task.rules(),
            gang: file.gang,
        }
    }
}
