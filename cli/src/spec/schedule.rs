//! When a recurring job runs: `schedule: { every: 30s }` or `schedule: { cron: "*/5 * * * *", timezone: Europe/Berlin }`.

use std::num::NonZeroU32;
use std::str::FromStr;

use proffer_wire::v1;
use serde::Deserialize;

use super::quantity::{SomeSpan, Whole};

/// The schedule of a job file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Fields")]
pub(crate) struct ScheduleFile(v1::JobSchedule);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    every: Option<SomeSpan>,
    start: Option<Instant>,
    cron: Option<String>,
    timezone: Option<String>,
    epsilon: Option<SomeSpan>,
    overlap: Option<Overlap>,
    missed: Option<Missed>,
    history: Option<Whole<NonZeroU32>>,
}

/// A moment, as of RFC 3339, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instant(pub(crate) u64);

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Overlap {
    Allow,
    Skip,
    Replace,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Missed {
    AtMostOnce,
    AtLeastOnce,
}

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed: Option<jiff::Timestamp> = text.parse().ok();
        // 0 stands for none, and nothing that runs today starts there.
        let millis = parsed.and_then(|at| u64::try_from(at.as_millisecond()).ok());
        millis
            .filter(|millis| *millis > 0)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a moment after 1970; write it like 2026-11-21T23:00:00Z"))
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl TryFrom<Fields> for ScheduleFile {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, &'static str> {
        let when = match (fields.every, fields.cron) {
            (Some(every), None) if fields.timezone.is_none() => {
                v1::job_schedule::When::Interval(v1::JobInterval {
                    interval_ms: every.0.millis(),
                    start_ms: fields.start.map_or(0, |start| start.0),
                })
            }
            (Some(_), None) => return Err("`timezone` belongs to `cron`; an interval has none"),
            (None, Some(expression)) if fields.start.is_none() => v1::job_schedule::When::Cron(v1::JobCron {
                expression,
                timezone: fields.timezone.unwrap_or_default(),
            }),
            (None, Some(_)) => return Err("`start` belongs to `every`; a cron expression has none"),
            (Some(_), Some(_)) | (None, None) => {
                return Err("a schedule needs one of `every` and `cron`, such as `every: 30s`");
            }
        };
        let overlap = fields.overlap.map(|overlap| match overlap {
            Overlap::Allow => v1::JobOverlap::Allow,
            Overlap::Skip => v1::JobOverlap::Skip,
            Overlap::Replace => v1::JobOverlap::Replace,
        });
        let missed = fields.missed.map(|missed| match missed {
            Missed::AtMostOnce => v1::JobMissed::AtMostOnce,
            Missed::AtLeastOnce => v1::JobMissed::AtLeastOnce,
        });
        Ok(Self(v1::JobSchedule {
            when: Some(when),
            epsilon_ms: fields.epsilon.map_or(0, |epsilon| epsilon.0.millis()),
            overlap: overlap.unwrap_or_default().into(),
            missed: missed.unwrap_or_default().into(),
            history: fields.history.map_or(0, |history| history.0.get()),
        }))
    }
}

impl From<ScheduleFile> for v1::JobSchedule {
    fn from(file: ScheduleFile) -> Self {
        file.0
    }
}
