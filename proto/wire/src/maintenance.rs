//! Maintenance windows.

use std::time::Duration;

use proffer_types::{Filters, InverseOffer, Timestamp, Unavailability};

use crate::error::{At as _, ConvertError};
use crate::text::{name, parse};
use crate::{resources, v1};

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

impl TryFrom<v1::InverseOffer> for InverseOffer {
    type Error = ConvertError;

    fn try_from(message: v1::InverseOffer) -> Result<Self, ConvertError> {
        let unavailability = message.unavailability;
        let unavailability = unavailability.ok_or_else(|| ConvertError::missing("unavailability"))?;
        Ok(Self {
            id: parse("offer_id", &message.offer_id)?,
            framework_id: parse("framework_id", &message.framework_id)?,
            agent_id: parse("agent_id", &message.agent_id)?,
            hostname: name("hostname", message.hostname)?,
            unavailability: unavailability.try_into().at("unavailability")?,
            is_drained: message.drained,
            resources: resources::or_nothing("resources", message.resources)?,
        })
    }
}

impl From<&InverseOffer> for v1::InverseOffer {
    fn from(offer: &InverseOffer) -> Self {
        Self {
            offer_id: offer.id.to_string(),
            framework_id: offer.framework_id.to_string(),
            agent_id: offer.agent_id.to_string(),
            hostname: offer.hostname.clone(),
            unavailability: Some(offer.unavailability.into()),
            drained: offer.is_drained,
            resources: Some((&offer.resources).into()),
        }
    }
}

/// How long not to ask again, read as that of filters.
pub(crate) fn refuse(refuse_seconds: Option<f64>) -> Duration {
    let at_least = None;
    Filters::from(v1::Filters {
        refuse_seconds,
        at_least,
    })
    .refuse
}
