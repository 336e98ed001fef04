//! Recurring jobs: when they are due, and what became of their windows.

use proffer_wire::v1;
use serde::Serialize;

use super::super::text::{State, moment, state_name, took};
use crate::output::{Column, Row, left, right};

/// The schedule of a job, and how far it is.
#[derive(Debug, Serialize)]
pub(crate) struct RecurrenceView {
    /// As a job file has it.
    #[serde(flatten)]
    pub(super) schedule: ScheduleView,
    pub(super) next_ms: u64,
    paused_ms: u64,
    pub(super) n_ran: u64,
    pub(super) n_missed: u64,
    pub(super) n_late: u64,
    pub(super) n_extra: u64,
    pub(super) windows: Vec<WindowView>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ScheduleView {
    every_ms: Option<u64>,
    start_ms: Option<u64>,
    cron: Option<String>,
    timezone: Option<String>,
    /// 0 means the default.
    epsilon_ms: u64,
    overlap: State,
    missed: State,
    history: u32,
}

/// The run of a window, or a span of windows that were missed.
#[derive(Debug, Serialize)]
pub(crate) struct WindowView {
    at: String,
    at_ms: u64,
    last_ms: u64,
    n: u64,
    run: String,
    state: State,
    started_ms: u64,
    ended_ms: u64,
    triggered: bool,
    n_lost: u32,
    cause: State,
    from_ms: u64,
    to_ms: u64,
    why: String,
}

impl From<v1::JobSchedule> for ScheduleView {
    fn from(schedule: v1::JobSchedule) -> Self {
        let overlap = match schedule.overlap() {
            v1::JobOverlap::Unspecified | v1::JobOverlap::Allow => v1::JobOverlap::Allow,
            said @ (v1::JobOverlap::Skip | v1::JobOverlap::Replace) => said,
        };
        let missed = match schedule.missed() {
            v1::JobMissed::Unspecified | v1::JobMissed::AtMostOnce => v1::JobMissed::AtMostOnce,
            said @ v1::JobMissed::AtLeastOnce => said,
        };
        let (every, cron) = match schedule.when {
            Some(v1::job_schedule::When::Interval(every)) => (Some(every), None),
            Some(v1::job_schedule::When::Cron(cron)) => (None, Some(cron)),
            None => (None, None),
        };
        Self {
            every_ms: every.as_ref().map(|every| every.interval_ms),
            start_ms: every.map(|every| every.start_ms).filter(|start| *start > 0),
            cron: cron.as_ref().map(|cron| cron.expression.clone()),
            timezone: cron.map(|cron| match cron.timezone.as_str() {
                "" => "UTC".to_owned(),
                _ => cron.timezone,
            }),
            epsilon_ms: schedule.epsilon_ms,
            overlap: state_name(overlap.as_str_name(), "JOB_OVERLAP_"),
            missed: state_name(missed.as_str_name(), "JOB_MISSED_"),
            history: schedule.history,
        }
    }
}

impl ScheduleView {
    /// `every 30s`, or `*/5 * * * * Europe/Berlin`.
    pub(super) fn text(&self) -> String {
        match (&self.cron, &self.timezone, self.every_ms) {
            (Some(cron), Some(zone), _) => format!("{cron} {zone}"),
            (_, _, Some(every)) => {
                let every = std::time::Duration::from_millis(every);
                format!("every {}", humantime::format_duration(every))
            }
            (_, _, None) => "-".to_owned(),
        }
    }
}

impl RecurrenceView {
    pub(super) fn new(schedule: v1::JobSchedule, recurrence: v1::JobRecurrence) -> Self {
        Self {
            schedule: schedule.into(),
            next_ms: recurrence.next_ms,
            paused_ms: recurrence.paused_ms,
            n_ran: recurrence.n_ran,
            n_missed: recurrence.n_missed,
            n_late: recurrence.n_late,
            n_extra: recurrence.n_extra,
            windows: recurrence.windows.into_iter().map(WindowView::from).collect(),
        }
    }
}

impl From<v1::JobWindow> for WindowView {
    fn from(window: v1::JobWindow) -> Self {
        let is_run = !window.run.is_empty();
        Self {
            at: moment(window.at_ms),
            state: match is_run {
                true => state_name(window.state().as_str_name(), "JOB_"),
                false => state_name("MISSED", ""),
            },
            cause: match is_run {
                true => state_name("", ""),
                false => state_name(window.cause().as_str_name(), "MISSED_"),
            },
            at_ms: window.at_ms,
            last_ms: window.last_ms,
            n: window.n,
            run: window.run,
            started_ms: window.started_ms,
            ended_ms: window.ended_ms,
            triggered: window.triggered,
            n_lost: window.n_lost,
            from_ms: window.from_ms,
            to_ms: window.to_ms,
            why: window.why,
        }
    }
}

impl WindowView {
    fn reason(&self) -> String {
        match (self.n_lost, self.n) {
            (0, 0 | 1) => self.why.clone(),
            (0, n) => format!("{n} windows up to {}: {}", moment(self.last_ms), self.why),
            (1, _) => "a task was lost, and may have run".to_owned(),
            (n, _) => format!("{n} tasks were lost, and may have run"),
        }
    }
}

impl Row for WindowView {
    const COLUMNS: &'static [Column] = &[
        left("WINDOW"),
        left("STATE"),
        right("LATE"),
        right("TOOK"),
        left("CAUSE"),
        left("RUN"),
        left("REASON"),
    ];

    fn cells(&self) -> Vec<String> {
        let none = || "-".to_owned();
        let has_started = self.started_ms > 0;
        vec![
            self.at.clone(),
            self.state.to_string(),
            if has_started {
                took(self.at_ms, self.started_ms)
            } else {
                none()
            },
            if has_started {
                took(self.started_ms, self.ended_ms)
            } else {
                none()
            },
            self.cause.to_string(),
            self.run.clone(),
            self.reason(),
        ]
    }
}
