//! When a recurring job is due: its windows, computed from the schedule alone.
//!
//! Invariant: the windows of a plan are one fixed ascending sequence of whole seconds, wherever one begins to look, and
//! whatever the clock of the host does.

mod message;
#[cfg(test)]
mod tests;

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proffer_types::Timestamp;
use thiserror::Error;

/// The shortest interval: what is due more often is a service.
pub const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The longest interval: some hundred years.
pub const MAX_INTERVAL: Duration = Duration::from_secs(36_525 * 24 * 3600);
/// The longest time that a run may be late.
pub const MAX_EPSILON: Duration = Duration::from_secs(7 * 24 * 3600);
/// How late a run may be where the schedule does not say: a failover of every part is over by then.
pub const DEFAULT_EPSILON: Duration = Duration::from_secs(60);
/// What is kept of the past where the schedule does not say, and at most: each is looked at by a person.
pub const DEFAULT_HISTORY: u32 = 20;
pub const MAX_HISTORY: u32 = 100;
/// The longest cron expression, in bytes: every minute of an hour by name takes less.
const MAX_EXPRESSION_BYTES: usize = 512;
/// No window is later: the end of the year 9999, where calendars end.
const LAST: u64 = 253_402_300_799_000;
/// Windows of a cron expression that are counted one by one.
const MAX_COUNTED: u64 = 1000;
const SECOND: u64 = 1000;

/// When a job is due, and what becomes of a time when it cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub when: When,
    /// How late a run may start; [`Schedule::epsilon`] is what counts.
    pub epsilon: Option<Duration>,
    pub overlap: Overlap,
    pub missed: MissedPolicy,
    /// How many runs that have ended, and how many spans of missed windows, are kept; 0 means [`DEFAULT_HISTORY`].
    pub history: u32,
}

/// The windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// `start + n * interval`; without a start, from when the job was submitted.
    Every {
        interval: Duration,
        start: Option<Timestamp>,
    },
    /// Five fields and a time zone of the IANA database; empty means UTC.
    Cron { expression: String, timezone: String },
}

/// What a window does whose predecessors still go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// Runs beside them.
    #[default]
    Allow,
    /// Is missed.
    Skip,
    /// Cancels them, and runs.
    Replace,
}

/// What is done for a window that cannot start in time, or of whose run nobody knows what became.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissedPolicy {
    /// It is missed. A task is launched again only when it certainly never ran.
    #[default]
    AtMostOnce,
    /// It runs later; a task that was lost is launched again.
    AtLeastOnce,
}

/// Why a schedule was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    #[error("the interval {0:?} is shorter than {MIN_INTERVAL:?}")]
    ShortInterval(Duration),
    #[error("the interval {0:?} is longer than a hundred years")]
    LongInterval(Duration),
    #[error("{what} is not a whole number of seconds: {millis} ms")]
    Fraction { what: &'static str, millis: u128 },
    #[error("the start is after the year 9999")]
    LateStart,
    #[error("an epsilon of 0 leaves no time to start")]
    NoEpsilon,
    #[error("the epsilon {0:?} is longer than {MAX_EPSILON:?}")]
    LongEpsilon(Duration),
    #[error("the epsilon {epsilon:?} is longer than the interval {interval:?}")]
    EpsilonOverInterval { epsilon: Duration, interval: Duration },
    #[error("{0} kept of the past, at most {MAX_HISTORY} are allowed")]
    History(u32),
    #[error("the cron expression has {0} bytes, at most {MAX_EXPRESSION_BYTES} are allowed")]
    LongExpression(usize),
    #[error("the cron expression `{expression}` must have five fields, such as `*/5 * * * *`: {why}")]
    Expression { expression: String, why: String },
    #[error("there is no time zone `{0}`; they have names such as `Europe/Berlin`")]
    Timezone(String),
    #[error("the cron expression `{0}` is never due")]
    Never(String),
    /// At most once.
    #[error(
        "task `{0}` has retries or a restart policy, but a task of an at_most_once job never runs twice in a window; drop them, or say \
         `missed: at_least_once`"
    )]
    Retries(String),
}

impl Schedule {
    /// How late a run may start.
    #[must_use]
    pub fn epsilon(&self) -> Duration {
        let longest = match self.when {
            When::Every { interval, .. } => interval,
            When::Cron { .. } => DEFAULT_EPSILON,
        };
        self.epsilon.unwrap_or(DEFAULT_EPSILON.min(longest))
    }

    /// How much of the past is kept.
    pub(crate) fn history(&self) -> usize {
        match self.history {
            0 => DEFAULT_HISTORY as usize,
            n => n as usize,
        }
    }

    /// Checks everything but the cron expression, which [`Plan::new`] does.
    pub(crate) fn validate(&self) -> Result<(), ScheduleError> {
        if self.history > MAX_HISTORY {
            return Err(ScheduleError::History(self.history));
        }
        if let When::Every { interval, start } = self.when {
            check_interval(interval, start)?;
        }
        let epsilon = self.epsilon();
        if epsilon.is_zero() {
            return Err(ScheduleError::NoEpsilon);
        }
        if epsilon > MAX_EPSILON {
            return Err(ScheduleError::LongEpsilon(epsilon));
        }
        match self.when {
            When::Every { interval, .. } if epsilon > interval => {
                Err(ScheduleError::EpsilonOverInterval { epsilon, interval })
            }
            When::Every { .. } | When::Cron { .. } => Ok(()),
        }
    }
}

fn check_interval(interval: Duration, start: Option<Timestamp>) -> Result<(), ScheduleError> {
    if interval < MIN_INTERVAL {
        return Err(ScheduleError::ShortInterval(interval));
    }
    if interval > MAX_INTERVAL {
        return Err(ScheduleError::LongInterval(interval));
    }
    let start = Duration::from_millis(start.unwrap_or_default().0);
    for (what, time) in [("the interval", interval), ("the start", start)] {
        if time.subsec_nanos() > 0 {
            let millis = time.as_millis();
            return Err(ScheduleError::Fraction { what, millis });
        }
    }
    if start > Duration::from_millis(LAST) {
        return Err(ScheduleError::LateStart);
    }
    Ok(())
}

/// The windows of a job, ready to be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// In milliseconds, both whole seconds, the interval not 0.
    Every { start: u64, interval: u64 },
    Cron {
        cron: Box<Cron>,
        zone: TimeZone,
        /// No window is before it.
        since: Timestamp,
    },
}

impl Plan {
    /// The plan of a schedule that is valid, of a job submitted then.
    pub(crate) fn new(when: &When, submitted: Timestamp) -> Result<Self, ScheduleError> {
        match when {
            When::Every { interval, start } => {
                let interval = u64::try_from(interval.as_millis())
                    .unwrap_or(u64::MAX)
                    .max(SECOND);
                let submitted = submitted.0.div_ceil(SECOND).saturating_mul(SECOND);
                let start = start.map_or(submitted, |start| start.0);
                // What would have been due before the job was there never was a window.
                let passed = submitted.saturating_sub(start).div_ceil(interval);
                let start = start.saturating_add(passed.saturating_mul(interval));
                Ok(Self::Every { start, interval })
            }
            When::Cron { expression, timezone } => Self::cron(expression, timezone, submitted),
        }
    }

    fn cron(expression: &str, timezone: &str, since: Timestamp) -> Result<Self, ScheduleError> {
        let quoted = || expression.escape_debug().to_string();
        let refuse = |why: String| ScheduleError::Expression {
            expression: quoted(),
            why,
        };
        if expression.len() > MAX_EXPRESSION_BYTES {
            return Err(ScheduleError::LongExpression(expression.len()));
        }
        if !expression.is_ascii() {
            return Err(refuse("it is not ASCII".to_owned()));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(expression)
            .map_err(|error| refuse(error.to_string()))?;
        let plan = Self::Cron {
            cron: Box::new(cron),
            zone: zone(timezone)?,
            since,
        };
        match plan.at_or_after(since) {
            Some(_) => Ok(plan),
            None => Err(ScheduleError::Never(quoted())),
        }
    }

    /// The first window at `from` or later; none when there is none before calendars end.
    pub(crate) fn at_or_after(&self, from: Timestamp) -> Option<Timestamp> {
        let at = match self {
            Self::Every { start, interval } => {
                let n = from.0.saturating_sub(*start).div_ceil(*interval);
                start.checked_add(n.checked_mul(*interval)?)?
            }
            Self::Cron { cron, zone, since } => {
                // The search is for what is later than a whole second.
                let second = i64::try_from(from.max(*since).0.div_ceil(SECOND)).ok()?;
                let before = jiff::Timestamp::from_second(second.checked_sub(1)?).ok()?;
                let next = cron.find_next_occurrence(&before.to_zoned(zone.clone()), false);
                let next = next.ok()?.timestamp();
                u64::try_from(next.as_millisecond()).ok()?
            }
        };
        (at <= LAST).then_some(Timestamp(at))
    }

    /// The first window later than this one.
    pub(crate) fn after(&self, at: Timestamp) -> Option<Timestamp> {
        self.at_or_after(Timestamp(at.0.checked_add(1)?))
    }

    /// How many windows there are from a window up to, but without, a later time; of a cron expression [`MAX_COUNTED`]
    /// at most.
    pub(crate) fn count(&self, first: Timestamp, until: Timestamp) -> u64 {
        if until <= first {
            return 0;
        }
        match self {
            Self::Every { interval, .. } => (until.0 - first.0).div_ceil(*interval),
            Self::Cron { .. } => {
                let later = std::iter::successors(Some(first), |at| self.after(*at));
                later
                    .take_while(|at| *at < until)
                    .zip(1..=MAX_COUNTED)
                    .fold(0, |_, (_, n)| n)
            }
        }
    }

    /// The last window before a time, of those from `first` on.
    pub(crate) fn last_before(&self, first: Timestamp, until: Timestamp) -> Timestamp {
        match self {
            Self::Every { interval, .. } => {
                let n = self.count(first, until).saturating_sub(1);
                Timestamp(first.0.saturating_add(n.saturating_mul(*interval)))
            }
            Self::Cron { .. } => self
                .cron_last_before(until)
                .filter(|at| *at >= first)
                .unwrap_or(first),
        }
    }

    fn cron_last_before(&self, until: Timestamp) -> Option<Timestamp> {
        let Self::Cron { cron, zone, .. } = self else {
            return None;
        };
        let until = i64::try_from(until.0.div_ceil(SECOND)).ok()?;
        let until = jiff::Timestamp::from_second(until).ok()?;
        let last = cron.find_previous_occurrence(&until.to_zoned(zone.clone()), false);
        let last = u64::try_from(last.ok()?.timestamp().as_millisecond()).ok()?;
        Some(Timestamp(last))
    }
}

/// A time zone of the database that is compiled in, so that all machines agree on it.
fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    match name {
        "" => Ok(TimeZone::UTC),
        name => TimeZoneDatabase::bundled().get(name).map_err(|_| {
            ScheduleError::Timezone(
                name.chars()
                    .take(80)
                    .collect::<String>()
                    .escape_debug()
                    .to_string(),
            )
        }),
    }
}

/// `2026-11-21T23:00:00Z`.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    instant(at).to_string()
}

/// `20261121T230000Z`: no character of it means anything in a path.
pub(crate) fn compact(at: Timestamp) -> String {
    instant(at).strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX)
}
