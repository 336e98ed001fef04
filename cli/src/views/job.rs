//! Jobs.

mod glance;
mod queue;
mod recurring;
mod rehearsal;
mod template;

use std::collections::BTreeMap;

use proffer_wire::v1;
use proffer_wire::v1::list_jobs_response::JobSummary;
use serde::Serialize;

use super::UsageView;
use super::task::StatusView;

use super::text::{State, ago, bundle_json, instance_name, state_name, took, until};
use crate::output::{Answer, Column, Row, left, render, right};
use crate::spec::RulesView;

pub(crate) use self::glance::{Glance, Ink, MAX_SHOWN_WHOLE, Seen, Trouble};
pub(crate) use self::queue::{QueueRow, QueueView};
pub(crate) use self::recurring::WindowView;
pub(crate) use self::rehearsal::rehearsal_text;
pub(crate) use self::template::RunView;

use self::recurring::RecurrenceView;
use self::template::{DispatchView, TemplateView};

/// One job of a list.
#[derive(Debug, Serialize)]
pub(crate) struct JobSummaryView {
    name: String,
    role: String,
    state: State,
    n_tasks: u32,
    n_running: u32,
    n_suspended: u32,
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
            n_suspended: job.n_suspended,
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
        right("SUSPENDED").if_any(),
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
            match self.n_suspended {
                0 => String::new(),
                n => n.to_string(),
            },
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
    /// What its attempts used that have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageView>,
    /// The jobs it still waits for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waits_for: Vec<AfterJobView>,
    /// Why it was cancelled, where nobody asked for that.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// Whether all tasks start at one moment or not at all.
    gang: bool,
    labels: BTreeMap<String, String>,
    specs: Vec<SpecView>,
    tasks: Vec<InstanceView>,
    /// Of a recurring job, whose tasks are those of its runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    recurrence: Option<RecurrenceView>,
    /// Of a job that is dispatched, whose tasks are those of its runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<TemplateView>,
    /// Of a run of such a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatch: Option<DispatchView>,
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
    counts: CountsView,
}

/// How many indexes of a task are where.
#[derive(Debug, Default, Serialize)]
struct CountsView {
    blocked: u32,
    waiting: u32,
    delayed: u32,
    running: u32,
    suspended: u32,
    finished: u32,
    failed: u32,
    cancelled: u32,
}

impl From<&v1::JobTaskCounts> for CountsView {
    fn from(counts: &v1::JobTaskCounts) -> Self {
        Self {
            blocked: counts.blocked,
            waiting: counts.waiting,
            delayed: counts.delayed,
            running: counts.running,
            suspended: counts.suspended,
            finished: counts.finished,
            failed: counts.failed,
            cancelled: counts.cancelled,
        }
    }
}

/// What became of another task.
#[derive(Debug, Serialize)]
struct ConditionView {
    task: String,
    /// `success`, `failure` or `any`.
    on: &'static str,
    each: bool,
}

/// What is to become of another job.
#[derive(Debug, Serialize)]
struct AfterJobView {
    job: String,
    /// `success`, `failure` or `any`.
    on: &'static str,
}

impl From<&v1::JobAfter> for AfterJobView {
    fn from(after: &v1::JobAfter) -> Self {
        Self {
            on: on_name(after.on()),
            job: after.job.clone(),
        }
    }
}

fn on_name(on: v1::JobConditionOn) -> &'static str {
    match on {
        v1::JobConditionOn::Unspecified | v1::JobConditionOn::JobOnSuccess => "success",
        v1::JobConditionOn::JobOnFailure => "failure",
        v1::JobConditionOn::JobOnAny => "any",
    }
}

impl From<&v1::JobCondition> for ConditionView {
    fn from(condition: &v1::JobCondition) -> Self {
        Self {
            on: on_name(condition.on()),
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
            counts: CountsView::default(),
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
        let count = counts_of(Some(&spec));
        let mut specs: Vec<_> = spec.tasks.iter().map(SpecView::from).collect();
        for (spec, counts) in specs.iter_mut().zip(&job.counts) {
            spec.counts = counts.into();
        }
        let schedule = spec.schedule.clone().unwrap_or_default();
        let runs = job.runs;
        Self {
            template: spec.template.map(|template| TemplateView::new(template, runs)),
            dispatch: spec.dispatch.map(DispatchView::from),
            recurrence: job
                .recurrence
                .map(|recurrence| RecurrenceView::new(schedule, recurrence)),
            tasks: job
                .tasks
                .into_iter()
                .map(|instance| InstanceView::new(instance, &count))
                .collect(),
            gang: spec.gang,
            labels: spec.labels,
            specs,
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
            usage: job.usage.map(UsageView::from),
            waits_for: job.waits_for.iter().map(AfterJobView::from).collect(),
            reason: job.reason,
            submitted_ms: job.submitted_ms,
            ended_ms: job.ended_ms,
        }
    }
}

/// The sizes of a job's arrays by the names of its tasks.
fn counts_of(spec: Option<&v1::JobSpec>) -> BTreeMap<String, u32> {
    let tasks = spec.into_iter().flat_map(|spec| &spec.tasks);
    tasks.map(|task| (task.name.clone(), task.count)).collect()
}

impl InstanceView {
    fn new(instance: v1::JobTaskInstance, counts: &BTreeMap<String, u32>) -> Self {
        let count = counts.get(&instance.name).copied().unwrap_or(1);
        Self {
            state: state_name(instance.state().as_str_name(), "JOB_TASK_"),
            shown_name: instance_name(&instance.name, instance.index, count),
            name: instance.name,
            index: instance.index,
            task_id: instance.task_id,
            attempts: instance.attempts,
            latest_status: instance.status.map(StatusView::from),
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
        if let Some(template) = &self.template {
            return self.template_text(template, width);
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
        head + &self.before() + &self.usage_line() + &self.table(width)
    }
}

impl JobView {
    /// What it was dispatched with, and what keeps it from starting, or did: lines, or nothing.
    fn before(&self) -> String {
        let waits = self.waits_for.iter();
        let waits: Vec<_> = waits
            .map(|after| format!("{} ({})", after.job, after.on))
            .collect();
        let dispatch = self.dispatch.as_ref();
        let mut text = dispatch.map_or_else(String::new, DispatchView::line);
        if !waits.is_empty() {
            text += &format!("comes after {}\n", waits.join(", "));
        }
        if !self.reason.is_empty() {
            text += &format!("cancelled: {}\n", self.reason);
        }
        text
    }

    /// Its instances alone.
    pub(crate) fn table(&self, width: usize) -> String {
        let rows: Vec<_> = self.tasks.iter().map(Row::cells).collect();
        render(InstanceView::COLUMNS, &rows, width)
    }

    /// What its attempts used; nothing before the first has ended.
    fn usage_line(&self) -> String {
        let usage = self.usage.as_ref();
        usage.map_or_else(String::new, |usage| format!("used: {}\n", usage.line()))
    }

    /// The sizes of its arrays by the names of its tasks.
    fn count(&self) -> BTreeMap<String, u32> {
        let specs = self.specs.iter();
        specs.map(|spec| (spec.name.clone(), spec.count)).collect()
    }

    fn template_text(&self, template: &TemplateView, width: usize) -> String {
        let head = format!(
            "job {}  {}  role {}  submitted {}\n",
            self.name,
            self.state,
            self.role,
            ago(self.submitted_ms)
        );
        head + &template.text(width)
    }

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
