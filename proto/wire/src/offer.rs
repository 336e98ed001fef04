//! Offers, filters and role weights.

use std::time::Duration;

use proffer_types::demand::MAX_SHAPES_PER_ROLE;
use proffer_types::{Filters, GangId, Offer, OfferGang, Resources, ShapeId};

use crate::error::ConvertError;
use crate::text::{address, at_most, name, parse};
use crate::{agent, maintenance, resources, v1};

impl TryFrom<v1::Offer> for Offer {
    type Error = ConvertError;

    fn try_from(message: v1::Offer) -> Result<Self, ConvertError> {
        at_most("shapes", message.shapes.len(), MAX_SHAPES_PER_ROLE, "shapes")?;
        let shapes = message.shapes.iter();
        Ok(Self {
            id: parse("offer_id", &message.offer_id)?,
            framework_id: parse("framework_id", &message.framework_id)?,
            agent_id: parse("agent_id", &message.agent_id)?,
            hostname: name("hostname", message.hostname)?,
            // Masters of before did not say.
            address: match message.address.is_empty() {
                true => message.address,
                false => address("address", message.address)?,
            },
            role: parse("role", &message.role)?,
            resources: resources::or_nothing("resources", message.resources)?,
            attributes: agent::attributes(message.attributes)?,
            domain: agent::domain(message.domain)?,
            shapes: shapes
                .map(|shape| (ShapeId(shape.shape_id), shape.count))
                .collect(),
            gang: message.gang.map(|gang| OfferGang {
                id: GangId(gang.gang_id),
                n_offers: gang.n_offers,
            }),
            unavailability: maintenance::unavailability(message.unavailability)?,
        })
    }
}

impl From<&Offer> for v1::Offer {
    fn from(offer: &Offer) -> Self {
        Self {
            offer_id: offer.id.to_string(),
            framework_id: offer.framework_id.to_string(),
            agent_id: offer.agent_id.to_string(),
            hostname: offer.hostname.clone(),
            address: offer.address.clone(),
            role: offer.role.to_string(),
            resources: Some((&offer.resources).into()),
            attributes: offer.attributes.iter().map(Into::into).collect(),
            domain: offer.domain.as_ref().map(Into::into),
            shapes: offer.shapes.iter().map(|shape| shape_count(*shape)).collect(),
            gang: offer.gang.map(|gang| v1::OfferGang {
                gang_id: gang.id.0,
                n_offers: gang.n_offers,
            }),
            unavailability: offer.unavailability.map(Into::into),
        }
    }
}

fn shape_count((shape, count): (ShapeId, u32)) -> v1::ShapeCount {
    v1::ShapeCount {
        shape_id: shape.0,
        count,
    }
}

impl From<v1::Filters> for Filters {
    /// Absent, negative or NaN means the default, zero means none, and what is too long is cut, as in Mesos:
    /// a strange filter must not void the accept that carries it.
    #[expect(clippy::cast_possible_truncation, reason = "checked to lie below MAX")]
    fn from(message: v1::Filters) -> Self {
        let refuse = match message.refuse_seconds {
            Some(seconds) if seconds >= Self::MAX.as_secs_f64() => Self::MAX,
            Some(0.0) => Duration::ZERO,
            // A filter below a millisecond is still a filter.
            Some(seconds) if seconds > 0.0 => {
                Duration::from_millis(((seconds * 1000.0).round() as u64).max(1))
            }
            Some(_) | None => Self::DEFAULT.refuse,
        };
        // What cannot be read says nothing.
        let at_least = message
            .at_least
            .and_then(|at_least| Resources::try_from(at_least).ok());
        Self { refuse, at_least }
    }
}

impl From<&Filters> for v1::Filters {
    fn from(filters: &Filters) -> Self {
        Self {
            refuse_seconds: Some(filters.refuse.as_secs_f64()),
            at_least: filters.at_least.as_ref().map(Into::into),
        }
    }
}

/// The filters of a call that may leave them out.
pub(crate) fn filters(message: Option<v1::Filters>) -> Filters {
    message.map(Filters::from).unwrap_or_default()
}

/// The lightest role, in thousandths.
pub const MIN_WEIGHT_MILLIS: u64 = 1;
/// The heaviest role, in thousandths: a million.
pub const MAX_WEIGHT_MILLIS: u64 = 1_000_000_000;

/// Converts a role's weight to thousandths. Fails outside of 0.001 to 1,000,000.
#[expect(clippy::cast_possible_truncation, reason = "checked to lie below the maximum")]
pub fn weight_millis(field: &str, weight: f64) -> Result<u64, ConvertError> {
    let millis = (weight * 1000.0).round();
    if (MIN_WEIGHT_MILLIS as f64..=MAX_WEIGHT_MILLIS as f64).contains(&millis) {
        return Ok(millis as u64);
    }
    let problem = format!("{weight} is not a weight from 0.001 to 1000000");
    Err(ConvertError::new(field, problem))
}

crate::from_owned!(Offer => v1::Offer);
