//! Jobs.

mod recurring;

use std::collections::BTreeMap;

use proffer_wire::v1;
use proffer_wire::v1::list_jobs_response::JobSummary;
use serde::Serialize;

use super::task::StatusView;
use super::text::{State, ago, bundle_json, instance_name, state_name, took, until};
use crate::output::{Answer, Column, Row, left, render, right};
use crate::spec::RulesView;

pub(crate) use self::recurring::WindowView;

use self::recurring::RecurrenceView;

/// One job of a list.
#[derive(Debug, Serialize)]
pub(crate) struct JobSummaryView {
    name: String,
    role: String,
    state: State,
    n_tasks: u32,
    n_running: u32,
    n_finished: u32,
    n_failed: u32,
    submitted_ms: u64,
    ended_ms: u64,
    /// Of a recurring job; 0 means none.
    next_ms: u64,
}

impl From<JobSummary> for JobSummaryView {
    fn from(job: JobSummary) -> Self {
        Self {
            state: state_name(job.state().as_str_name(), "JOB_"),
            name: job.name,
            role: job.role,
            n_tasks: job.n_tasks,
            n_running: job.n_running,
            n_finished: job.n_finished,
            n_failed: job.n_failed,
            submitted_ms: job.submitted_ms,
            ended_ms: job.ended_ms,
            next_ms: job.next_ms,
        }
    }
}

impl Row for JobSummaryView {
    const COLUMNS: &'static [Column] = &[
        left("JOB"),
        left("ROLE"),
        left("STATE"),
        right("TASKS"),
        right("RUNNING"),
        right("FINISHED"),
        right("FAILED"),
        right("TOOK"),
        right("SUBMITTED"),
        right("NEXT"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.role.clone(),
            self.state.to_string(),
            self.n_tasks.to_string(),
            self.n_running.to_string(),
            self.n_finished.to_string(),
            self.n_failed.to_string(),
            took(self.submitted_ms, self.ended_ms),
            ago(self.submitted_ms),
            until(self.next_ms),
        ]
    }
}

/// One job with its tasks.
#[derive(Debug, Serialize)]
pub(crate) struct JobView {
    name: String,
    role: String,
    priority: i32,
    state: State,
    framework_id: String,
    submitted_ms: u64,
    ended_ms: u64,
    /// Nothing more of it is started until it is released.
    held: bool,
    /// Whether all tasks start at one moment or not at all.
    gang: bool,
    specs: Vec<SpecView>,
    tasks: Vec<InstanceView>,
    /// Of a recurring job, whose tasks are those of its runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    recurrence: Option<RecurrenceView>,
}

/// What was asked for of one task of a job.
#[derive(Debug, Serialize)]
struct SpecView {
    name: String,
    count: u32,
    /// Tasks that must all have finished first.
    after: Vec<String>,
    /// What else must have happened first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<ConditionView>,
    command: Vec<String>,
    resources: BTreeMap<String, serde_json::Value>,
    #[serde(flatten)]
    rules: RulesView,
    gang: bool,
    retries: u32,
    /// 0 means none.
    timeout_ms: u64,
}

/// What became of another task.
#[derive(Debug, Serialize)]
struct ConditionView {
    task: String,
    /// `success`, `failure` or `any`.
    on: &'static str,
    each: bool,
}

impl From<&v1::JobCondition> for ConditionView {
    fn from(condition: &v1::JobCondition) -> Self {
        Self {
            on: match condition.on() {
                v1::JobConditionOn::Unspecified | v1::JobConditionOn::JobOnSuccess => "success",
                v1::JobConditionOn::JobOnFailure => "failure",
                v1::JobConditionOn::JobOnAny => "any",
            },
            task: condition.task.clone(),
            each: condition.each,
        }
    }
}

impl From<&v1::JobTask> for SpecView {
    fn from(task: &v1::JobTask) -> Self {
        Self {
            name: task.name.clone(),
            count: task.count,
            after: task.after.clone(),
            conditions: task.conditions.iter().map(ConditionView::from).collect(),
            command: task.container.clone().unwrap_or_default().command,
            resources: bundle_json(task.resources.as_ref()),
            rules: RulesView::of(task.limits.as_ref(), task.rules.as_ref()),
            gang: task.gang,
            retries: task.retries,
            timeout_ms: task.timeout_ms,
        }
    }
}

/// One index of one task of a job.
#[derive(Debug, Serialize)]
struct InstanceView {
    name: String,
    index: u32,
    task_id: String,
    state: State,
    attempts: u32,
    latest_status: Option<StatusView>,
    #[serde(skip)]
    shown_name: String,
}

impl From<v1::Job> for JobView {
    fn from(job: v1::Job) -> Self {
        let state = state_name(job.state().as_str_name(), "JOB_");
        let spec = job.spec.unwrap_or_default();
        let count = |name: &str| {
            spec.tasks
                .iter()
                .find(|task| task.name == name)
                .map_or(1, |task| task.count)
        };
        let instance = |instance: v1::JobTaskInstance| InstanceView {
            state: state_name(instance.state().as_str_name(), "JOB_TASK_"),
            shown_name: instance_name(&instance.name, instance.index, count(&instance.name)),
            name: instance.name,
            index: instance.index,
            task_id: instance.task_id,
            attempts: instance.attempts,
            latest_status: instance.status.map(StatusView::from),
        };
        let schedule = spec.schedule.clone().unwrap_or_default();
        Self {
            recurrence: job
                .recurrence
                .map(|recurrence| RecurrenceView::new(schedule, recurrence)),
            tasks: job.tasks.into_iter().map(instance).collect(),
            gang: spec.gang,
            specs: spec.tasks.iter().map(SpecView::from).collect(),
            name: spec.name,
            role: if spec.role.is_empty() {
                "*".to_owned()
            } else {
                spec.role
            },
            priority: spec.priority,
            state,
            framework_id: job.framework_id,
            held: job.held,
            submitted_ms: job.submitted_ms,
            ended_ms: job.ended_ms,
        }
    }
}

impl Row for InstanceView {
    const COLUMNS: &'static [Column] = &[
        left("TASK"),
        left("STATE"),
        StatusView::EXIT,
        right("WALL"),
        right("CPU"),
        right("PEAK MEM"),
        right("ATTEMPTS"),
        left("REASON"),
    ];

    fn cells(&self) -> Vec<String> {
        let none = StatusView::default();
        let status = self.latest_status.as_ref().unwrap_or(&none);
        let [wall, cpu, mem] = status.usage();
        vec![
            self.shown_name.clone(),
            self.state.to_string(),
            status.exit(),
            wall,
            cpu,
            mem,
            self.attempts.to_string(),
            status.why(),
        ]
    }
}

impl Answer for JobView {
    fn text(&self, width: usize) -> String {
        if let Some(recurrence) = &self.recurrence {
            return self.recurring_text(recurrence, width);
        }
        let head = format!(
            "job {}  {}{}  role {}  submitted {}  took {}\n",
            self.name,
            self.state,
            if self.held { " (held)" } else { "" },
            self.role,
            ago(self.submitted_ms),
            took(self.submitted_ms, self.ended_ms),
        );
        let rows: Vec<_> = self.tasks.iter().map(Row::cells).collect();
        head + &render(InstanceView::COLUMNS, &rows, width)
    }
}

impl JobView {
    fn recurring_text(&self, recurrence: &RecurrenceView, width: usize) -> String {
        let head = format!(
            "job {}  {}  role {}  {}  next {}  ran {}  missed {}  late {}  extra {}\n",
            self.name,
            self.state,
            self.role,
            recurrence.schedule.text(),
            until(recurrence.next_ms),
            recurrence.n_ran,
            recurrence.n_missed,
            recurrence.n_late,
            recurrence.n_extra,
        );
        let rows: Vec<_> = recurrence.windows.iter().map(Row::cells).collect();
        head + &render(WindowView::COLUMNS, &rows, width)
    }
}
