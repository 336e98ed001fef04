//! Telling what was used: of a job by its tasks; or of all, by job, user, role or day.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use proffer_types::Timestamp;

use super::account::user_of;
use super::{Batch, NoSuchJob};
use crate::accounts::{DAY_MS, OTHERS, day_of};
use crate::job::Job;
use crate::schedule::rfc3339;
use crate::{JobState, Sums};

/// Rows of one report, at some hundred bytes each: it fits in a message. What is beyond is in one more.
pub const MAX_REPORT_ROWS: usize = 10_000;

/// What a row of a report stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportBy {
    /// Of those that are kept, in the order of submission.
    Job,
    User,
    Role,
    /// By UTC.
    Day,
}

/// Which attempts are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportQuery {
    pub by: ReportBy,
    /// By the host's clock. Attempts are counted by the day, and a whole job by when it was open.
    pub since: Timestamp,
    /// Included.
    pub until: Timestamp,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// The job, its task, the user, the role, or the day as of RFC 3339.
    pub name: String,
    /// Of a job: its role, its user and how far it is.
    pub job: Option<(String, String, JobState)>,
    pub sums: Sums,
}

impl ReportRow {
    fn of(job: &Job) -> Self {
        let tasks = job.tasks.iter().filter_map(|task| task.sums.as_deref());
        let (role, user) = (job.spec.role.to_string(), user_of(&job.spec));
        Self {
            name: job.name.clone(),
            job: Some((role, user, job.state())),
            sums: tasks.collect(),
        }
    }
}

impl Batch {
    /// What attempts used that have ended.
    #[must_use]
    pub fn report(&self, query: &ReportQuery) -> Vec<ReportRow> {
        let rows = match query.by {
            ReportBy::Job => self.report_jobs(query),
            ReportBy::User | ReportBy::Role | ReportBy::Day => self.report_accounts(query),
        };
        bounded(rows, MAX_REPORT_ROWS)
    }

    /// What the tasks of a job used; of a recurring job or a template, its runs that are kept.
    pub fn report_job(&self, name: &str) -> Result<Vec<ReportRow>, NoSuchJob> {
        if let Some(number) = self.recurrings.names.get(name) {
            let is_run = |job: &&Job| job.run.as_ref().is_some_and(|run| run.recurring == *number);
            return Ok(self.jobs.values().filter(is_run).map(ReportRow::of).collect());
        }
        if let Some(number) = self.templates.number(name) {
            let is_run = |job: &&Job| job.template == Some(number);
            let rows = self.jobs.values().filter(is_run).map(ReportRow::of);
            return Ok(bounded(rows.collect(), MAX_REPORT_ROWS));
        }
        let job = self.named(name)?;
        let tasks = job.spec.tasks.iter().zip(&job.tasks);
        let rows = tasks.map(|(spec, task)| ReportRow {
            name: spec.name.clone(),
            job: None,
            sums: task.sums.as_deref().copied().unwrap_or_default(),
        });
        Ok(bounded(rows.collect(), MAX_REPORT_ROWS))
    }

    fn report_jobs(&self, query: &ReportQuery) -> Vec<ReportRow> {
        let was_open = |job: &&Job| {
            self.wall_at(job.submitted) <= query.until
                && job.ended.is_none_or(|ended| query.since <= self.wall_at(ended))
        };
        self.jobs.values().filter(was_open).map(ReportRow::of).collect()
    }

    fn report_accounts(&self, query: &ReportQuery) -> Vec<ReportRow> {
        let mut rows = BTreeMap::<String, Sums>::new();
        let accounts = self.accounts.between(day_of(query.since), day_of(query.until));
        for (day, role, user, sums) in accounts {
            let name = match query.by {
                ReportBy::User => user.to_owned(),
                ReportBy::Role | ReportBy::Job => role.to_string(),
                ReportBy::Day => rfc3339(Timestamp(day * DAY_MS)).chars().take(10).collect(),
            };
            rows.entry(name).or_default().merge(sums);
        }
        let row = |(name, sums)| ReportRow {
            name,
            job: None,
            sums,
        };
        rows.into_iter().map(row).collect()
    }
}

/// The rows of those that were given the most, in their order, and one for all others.
fn bounded(mut rows: Vec<ReportRow>, most: usize) -> Vec<ReportRow> {
    if rows.len() <= most {
        return rows;
    }
    let mut by_size: Vec<_> = (0..rows.len()).collect();
    by_size.sort_by_key(|row| Reverse(rows[*row].sums.cpu_allocated_us));
    let mut is_kept = vec![true; rows.len()];
    by_size[most..].iter().for_each(|row| is_kept[*row] = false);
    let others = by_size[most..].iter().map(|row| &rows[*row].sums).collect();
    let mut is_kept = is_kept.into_iter();
    rows.retain(|_| is_kept.next().unwrap_or(true));
    rows.push(ReportRow {
        name: OTHERS.to_owned(),
        job: None,
        sums: others,
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_given_the_most_is_told_apart_when_there_are_too_many() {
        let row = |n: u64| ReportRow {
            name: n.to_string(),
            job: None,
            sums: Sums {
                cpu_allocated_us: 10 - n,
                ..Sums::default()
            },
        };
        let rows = bounded(vec![row(9), row(1), row(2), row(8)], 2);
        let shown = rows
            .iter()
            .map(|row| (row.name.as_str(), row.sums.cpu_allocated_us));
        assert_eq!(shown.collect::<Vec<_>>(), [("1", 9), ("2", 8), (OTHERS, 3)]);
    }
}
