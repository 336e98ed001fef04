//! Whether the agent itself starts a task again.

use std::time::Duration;

use proffer_types::container::restart::MAX_BACKOFF;
use proffer_types::container::{RestartOn, RestartPolicy};

use crate::error::ConvertError;
use crate::text::millis;
use crate::v1;

impl TryFrom<v1::RestartPolicy> for RestartPolicy {
    type Error = ConvertError;

    fn try_from(message: v1::RestartPolicy) -> Result<Self, ConvertError> {
        let on = match v1::RestartOn::try_from(message.on) {
            Ok(v1::RestartOn::Unspecified | v1::RestartOn::Never) => RestartOn::Never,
            Ok(v1::RestartOn::Failure) => RestartOn::Failure,
            Ok(v1::RestartOn::Always) => RestartOn::Always,
            Err(_) => return Err(ConvertError::unknown_number("on", message.on)),
        };
        let says_how = message.max.is_some() || message.backoff_ms.is_some();
        if on == RestartOn::Never && says_how {
            return Err(ConvertError::new("on", "is never, but it is said how"));
        }
        let backoff = message.backoff_ms.map(Duration::from_millis);
        if let Some(backoff) = backoff.filter(|backoff| backoff.is_zero() || *backoff > MAX_BACKOFF) {
            let problem = format!(
                "is {} ms, not 1 ms to {} s",
                backoff.as_millis(),
                MAX_BACKOFF.as_secs()
            );
            return Err(ConvertError::new("backoff_ms", problem));
        }
        Ok(Self {
            on,
            max: message.max,
            backoff,
        })
    }
}

impl From<&RestartPolicy> for v1::RestartPolicy {
    fn from(policy: &RestartPolicy) -> Self {
        let on = match policy.on {
            RestartOn::Never => v1::RestartOn::Unspecified,
            RestartOn::Failure => v1::RestartOn::Failure,
            RestartOn::Always => v1::RestartOn::Always,
        };
        Self {
            on: on.into(),
            max: policy.max,
            backoff_ms: policy.backoff.map(millis),
        }
    }
}
