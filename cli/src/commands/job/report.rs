//! `proffer job report`.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, show};
use crate::views::{ReportView, now_ms};

/// Show what jobs used: cpu time, memory, io, waiting and running time, and how well what they had was used
///
/// Attempts count once they have ended. By job there is what is kept of jobs; by user, role and day, the last 400 days.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Of this job, a line for each task; of a recurring job, one for each run that is kept
    #[arg(conflicts_with_all = ["by", "since", "until"])]
    name: Option<String>,
    /// What each line stands for
    #[arg(long, env = "PROFFER_BY", value_enum, default_value = "job")]
    by: ByArg,
    /// From then on: `7d` ago, `2026-11-01`, or a moment as of RFC 3339. Users, roles and days are counted by whole days of
    /// UTC; of jobs, those are listed that were open meanwhile
    #[arg(long, env = "PROFFER_SINCE", value_name = "WHEN")]
    since: Option<When>,
    /// Until then, likewise; a day is included
    #[arg(long, env = "PROFFER_UNTIL", value_name = "WHEN")]
    until: Option<When>,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What a line stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ByArg {
    Job,
    User,
    Role,
    Day,
}

impl From<ByArg> for v1::JobReportBy {
    fn from(by: ByArg) -> Self {
        match by {
            ByArg::Job => Self::Job,
            ByArg::User => Self::User,
            ByArg::Role => Self::Role,
            ByArg::Day => Self::Day,
        }
    }
}

/// A moment, or a whole day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Ago(Duration),
    Day(Date),
    At(jiff::Timestamp),
}

impl std::str::FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ago) = humantime::parse_duration(text) {
            return Ok(Self::Ago(ago));
        }
        // A date is read from a moment's text too.
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let day = text.parse().map(Self::Day);
        day.map_err(|_| format!("`{text}` is no time; write it like 7d, 2026-11-01 or 2026-11-01T08:00:00Z"))
    }
}

impl When {
    /// In milliseconds since the epoch: the beginning of a day, or its end.
    fn ms(self, is_end: bool) -> u64 {
        let at = match self {
            Self::Ago(ago) => {
                let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
                return now_ms().saturating_sub(ago).max(1);
            }
            Self::At(at) => Some(at),
            Self::Day(day) => {
                let begin = match is_end {
                    true => day.tomorrow().ok(),
                    false => Some(day),
                };
                let begin = begin.and_then(|day| day.to_zoned(TimeZone::UTC).ok());
                begin.map(|begin| begin.timestamp())
            }
        };
        let ms = at.map_or(i64::MAX, jiff::Timestamp::as_millisecond);
        let ms = u64::try_from(ms).unwrap_or_default().max(1);
        ms - u64::from(is_end && matches!(self, Self::Day(_)))
    }
}

pub(super) async fn report(args: ReportArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let request = v1::ReportJobsRequest {
            name: args.name.clone().unwrap_or_default(),
            by: v1::JobReportBy::from(args.by).into(),
            since_ms: args.since.map_or(0, |since| since.ms(false)),
            until_ms: args.until.map_or(0, |until| until.ms(true)),
        };
        let answer = cluster.jobs().report_jobs(request).await;
        let rows = answer.map_err(|status| refused(&status))?.into_inner().rows;
        let title = match (&args.name, args.by) {
            (Some(_), _) => "TASK",
            (None, ByArg::Job) => "JOB",
            (None, ByArg::User) => "USER",
            (None, ByArg::Role) => "ROLE",
            (None, ByArg::Day) => "DAY",
        };
        Ok(ReportView::new(title, rows))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_included_from_its_beginning_to_its_end() {
        let ms = |text: &str, is_end| text.parse::<When>().map(|when| when.ms(is_end));
        assert_eq!(ms("1970-01-02", false), Ok(86_400_000));
        assert_eq!(ms("1970-01-02", true), Ok(2 * 86_400_000 - 1));
        assert_eq!(ms("1970-01-02T00:00:01Z", true), Ok(86_401_000));
        let week = ms("7d", false).unwrap();
        assert!(now_ms() - week >= 7 * 86_400_000 && week > 0);
        assert_eq!(
            ms("last week", false).unwrap_err(),
            "`last week` is no time; write it like 7d, 2026-11-01 or 2026-11-01T08:00:00Z"
        );
    }
}
