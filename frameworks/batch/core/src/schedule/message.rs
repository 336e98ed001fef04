//! Schedules as messages.

use std::time::Duration;

use proffer_types::Timestamp;
use proffer_wire::{ConvertError, v1};

use super::{MissedPolicy, Overlap, Schedule, When};

impl TryFrom<v1::JobSchedule> for Schedule {
    type Error = ConvertError;

    fn try_from(message: v1::JobSchedule) -> Result<Self, ConvertError> {
        let overlap = match message.overlap() {
            v1::JobOverlap::Unspecified if message.overlap != 0 => {
                return Err(ConvertError::new(
                    "overlap",
                    format!("{} is unknown", message.overlap),
                ));
            }
            v1::JobOverlap::Unspecified | v1::JobOverlap::Allow => Overlap::Allow,
            v1::JobOverlap::Skip => Overlap::Skip,
            v1::JobOverlap::Replace => Overlap::Replace,
        };
        let missed = match message.missed() {
            v1::JobMissed::Unspecified if message.missed != 0 => {
                return Err(ConvertError::new(
                    "missed",
                    format!("{} is unknown", message.missed),
                ));
            }
            v1::JobMissed::Unspecified | v1::JobMissed::AtMostOnce => MissedPolicy::AtMostOnce,
            v1::JobMissed::AtLeastOnce => MissedPolicy::AtLeastOnce,
        };
        let when = message
            .when
            .ok_or_else(|| ConvertError::new("when", "is missing"))?;
        Ok(Self {
            when: when.into(),
            epsilon: (message.epsilon_ms > 0).then(|| Duration::from_millis(message.epsilon_ms)),
            overlap,
            missed,
            history: message.history,
        })
    }
}

impl From<v1::job_schedule::When> for When {
    fn from(when: v1::job_schedule::When) -> Self {
        match when {
            v1::job_schedule::When::Interval(every) => Self::Every {
                interval: Duration::from_millis(every.interval_ms),
                start: (every.start_ms > 0).then_some(Timestamp(every.start_ms)),
            },
            v1::job_schedule::When::Cron(cron) => Self::Cron {
                expression: cron.expression,
                timezone: cron.timezone,
            },
        }
    }
}

impl From<&Schedule> for v1::JobSchedule {
    fn from(schedule: &Schedule) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let when = match &schedule.when {
            When::Every { interval, start } => v1::job_schedule::When::Interval(v1::JobInterval {
                interval_ms: millis(*interval),
                start_ms: start.map_or(0, |start| start.0),
            }),
            When::Cron { expression, timezone } => v1::job_schedule::When::Cron(v1::JobCron {
                expression: expression.clone(),
                timezone: timezone.clone(),
            }),
        };
        let overlap = match schedule.overlap {
            Overlap::Allow => v1::JobOverlap::Allow,
            Overlap::Skip => v1::JobOverlap::Skip,
            Overlap::Replace => v1::JobOverlap::Replace,
        };
        let missed = match schedule.missed {
            MissedPolicy::AtMostOnce => v1::JobMissed::AtMostOnce,
            MissedPolicy::AtLeastOnce => v1::JobMissed::AtLeastOnce,
        };
        Self {
            when: Some(when),
            epsilon_ms: schedule.epsilon.map_or(0, millis),
            overlap: overlap.into(),
            missed: missed.into(),
            history: schedule.history,
        }
    }
}
