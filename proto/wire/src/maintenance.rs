//! Maintenance windows.

use std::time::Duration;

use proffer_types::{Timestamp, Unavailability};

use crate::error::ConvertError;
use crate::v1;

impl TryFrom<v1::Unavailability> for Unavailability {
    type Error = ConvertError;

    fn try_from(message: v1::Unavailability) -> Result<Self, ConvertError> {
        if message.duration_ms == 0 {
            return Err(ConvertError::new("duration_ms", "must be more than zero"));
        }
        Ok(Self {
            start: Timestamp(message.start_ms),
            duration: Duration::from_millis(message.duration_ms),
        })
    }
}

impl From<Unavailability> for v1::Unavailability {
    fn from(of: Unavailability) -> Self {
        Self {
            start_ms: of.start.0,
            duration_ms: u64::try_from(of.duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// One that may be absent.
pub(crate) fn unavailability(
    message: Option<v1::Unavailability>,
) -> Result<Option<Unavailability>, ConvertError> {
    let converted = message.map(Unavailability::try_from).transpose();
    converted.map_err(|error| error.under("unavailability"))
}
