//! How long what a task leaves behind is kept.

use std::time::Duration;

use proffer_types::container::Retention;

use crate::text::millis;
use crate::v1;

impl From<v1::Retention> for Retention {
    fn from(message: v1::Retention) -> Self {
        Self {
            finished: message.finished_ms.map(Duration::from_millis),
            failed: message.failed_ms.map(Duration::from_millis),
        }
    }
}

impl From<&Retention> for v1::Retention {
    fn from(retention: &Retention) -> Self {
        Self {
            finished_ms: retention.finished.map(millis),
            failed_ms: retention.failed.map(millis),
        }
    }
}
