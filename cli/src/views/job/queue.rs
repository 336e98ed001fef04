//! Queues.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use proffer_wire::v1;
use serde::Serialize;

use crate::output::{Answer, Column, Row, left, render, right};
use crate::views::text::{grouped, span_us};

/// One queue in a list.
#[derive(Debug, Serialize)]
pub(crate) struct QueueRow {
    role: String,
    policy: &'static str,
    backfill: &'static str,
    n_jobs: u32,
    n_waiting: u64,
    n_running: u64,
    n_suspended: u64,
    n_users: usize,
}

/// One queue with its users and who is next.
#[derive(Debug, Serialize)]
pub(crate) struct QueueView {
    #[serde(flatten)]
    queue: QueueRow,
    /// Of fair share.
    #[serde(skip_serializing_if = "Option::is_none")]
    half_life_ms: Option<u64>,
    /// Of time slices.
    #[serde(skip_serializing_if = "Option::is_none")]
    slice_ms: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    shares: BTreeMap<String, u32>,
    users: Vec<UserRow>,
    first: Vec<NextRow>,
}

/// A user of a queue.
#[derive(Debug, Serialize)]
struct UserRow {
    user: String,
    n_waiting: u64,
    n_running: u64,
    n_suspended: u64,
    /// Core-seconds, as they count now.
    used: f64,
    share: u32,
    #[serde(skip)]
    is_fair: bool,
}

/// A task that waits.
#[derive(Debug, Serialize)]
struct NextRow {
    job: String,
    task: String,
    user: String,
    priority: i32,
    n_waiting: u64,
    /// Of others that go before.
    n_before: u64,
}

fn policy_name(policy: v1::QueuePolicy) -> &'static str {
    match policy {
        v1::QueuePolicy::Unspecified | v1::QueuePolicy::QueuePriority => "priority",
        v1::QueuePolicy::QueueFcfs => "fcfs",
        v1::QueuePolicy::QueueSjf => "sjf",
        v1::QueuePolicy::QueueRoundRobin => "round-robin",
        v1::QueuePolicy::QueueTimeSlice => "time-slice",
        v1::QueuePolicy::QueueFairShare => "fair-share",
    }
}

fn backfill_name(backfill: v1::Backfill) -> &'static str {
    match backfill {
        v1::Backfill::Unspecified | v1::Backfill::Easy => "easy",
        v1::Backfill::Any => "any",
        v1::Backfill::None => "none",
    }
}

impl From<v1::JobQueue> for QueueRow {
    fn from(queue: v1::JobQueue) -> Self {
        let settings = queue.settings.unwrap_or_default();
        Self {
            policy: policy_name(settings.policy()),
            backfill: backfill_name(settings.backfill()),
            role: queue.role,
            n_jobs: queue.n_jobs,
            n_waiting: queue.n_waiting,
            n_running: queue.n_running,
            n_suspended: queue.n_suspended,
            n_users: queue.users.len(),
        }
    }
}

impl From<v1::JobQueue> for QueueView {
    fn from(mut queue: v1::JobQueue) -> Self {
        let settings = queue.settings.clone().unwrap_or_default();
        let is_fair = settings.policy() == v1::QueuePolicy::QueueFairShare;
        let is_sliced = settings.policy() == v1::QueuePolicy::QueueTimeSlice;
        let user = |user: v1::job_queue::User| UserRow {
            user: user.user,
            n_waiting: user.n_waiting,
            n_running: user.n_running,
            n_suspended: user.n_suspended,
            used: user.used,
            share: user.share,
            is_fair,
        };
        let mut n_before = 0;
        let next = |next: v1::job_queue::Waiting| {
            let row = NextRow {
                job: next.job,
                task: next.task,
                user: next.user,
                priority: next.priority,
                n_waiting: next.n_waiting,
                n_before,
            };
            n_before += row.n_waiting;
            row
        };
        Self {
            slice_ms: is_sliced.then_some(settings.slice_ms),
            half_life_ms: is_fair.then_some(settings.half_life_ms),
            shares: settings.shares.into_iter().collect(),
            users: std::mem::take(&mut queue.users).into_iter().map(user).collect(),
            first: std::mem::take(&mut queue.first).into_iter().map(next).collect(),
            queue: queue.into(),
        }
    }
}

impl Row for QueueRow {
    const COLUMNS: &'static [Column] = &[
        left("ROLE"),
        left("POLICY"),
        left("BACKFILL"),
        right("JOBS"),
        right("WAITING"),
        right("RUNNING"),
        right("SUSPENDED").if_any(),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.role.clone(),
            self.policy.to_owned(),
            self.backfill.to_owned(),
            self.n_jobs.to_string(),
            grouped(self.n_waiting),
            grouped(self.n_running),
            some(self.n_suspended),
        ]
    }
}

impl Row for UserRow {
    const COLUMNS: &'static [Column] = &[
        left("USER"),
        right("WAITING"),
        right("RUNNING"),
        right("SUSPENDED").if_any(),
        right("USED").if_any(),
        right("SHARE").if_any(),
    ];

    fn cells(&self) -> Vec<String> {
        let fair = |text: String| if self.is_fair { text } else { String::new() };
        let used = Duration::try_from_secs_f64(self.used).unwrap_or_default();
        let used = u64::try_from(used.as_micros()).unwrap_or(u64::MAX);
        vec![
            or_dash(&self.user),
            grouped(self.n_waiting),
            grouped(self.n_running),
            some(self.n_suspended),
            fair(format!("{} cores", span_us(used))),
            fair(self.share.to_string()),
        ]
    }
}

impl Row for NextRow {
    const COLUMNS: &'static [Column] = &[
        left("NEXT"),
        left("JOB"),
        left("TASK"),
        left("USER"),
        right("PRIORITY"),
        right("WAITING"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            grouped(self.n_before + 1),
            self.job.clone(),
            self.task.clone(),
            or_dash(&self.user),
            self.priority.to_string(),
            grouped(self.n_waiting),
        ]
    }
}

fn some(n: u64) -> String {
    if n > 0 { grouped(n) } else { String::new() }
}

fn or_dash(user: &str) -> String {
    if user.is_empty() { "-" } else { user }.to_owned()
}

impl Answer for QueueView {
    fn text(&self, width: usize) -> String {
        let QueueRow {
            role,
            policy,
            backfill,
            ..
        } = &self.queue;
        let mut text = format!("queue of role {role}  {policy}, backfill {backfill}");
        if let Some(half_life) = self.half_life_ms {
            // Writing to a string cannot fail.
            let _ = write!(text, ", half-life {}", span_us(half_life.saturating_mul(1000)));
        }
        if let Some(slice) = self.slice_ms {
            let _ = write!(text, ", slice {}", span_us(slice.saturating_mul(1000)));
        }
        text.push('\n');
        let table = |columns, rows: Vec<Vec<String>>| match rows.is_empty() {
            true => String::new(),
            false => format!("\n{}", render(columns, &rows, width)),
        };
        text += &table(UserRow::COLUMNS, self.users.iter().map(Row::cells).collect());
        text += &table(NextRow::COLUMNS, self.first.iter().map(Row::cells).collect());
        text
    }
}
