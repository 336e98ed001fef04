//! Resources: the wire's doubles become exact integers here, once.
//!
//! Thousandths are exact both ways up to 2^51 of them, whole units up to 2^53.

use std::collections::BTreeSet;

use proffer_types::resources::MAX_SCALAR;
use proffer_types::{Ranges, ResourceName, Resources};

use crate::error::{At as _, ConvertError};
use crate::text::at_most;
use crate::v1;
use crate::v1::resource::Value;

/// The most names in one bundle.
pub const MAX_RESOURCE_NAMES: usize = 64;
/// The most ranges of one name. Arithmetic on ranges costs the product of two counts.
pub const MAX_RANGES: usize = 4096;

impl TryFrom<v1::Resources> for Resources {
    type Error = ConvertError;

    fn try_from(message: v1::Resources) -> Result<Self, ConvertError> {
        at_most("items", message.items.len(), MAX_RESOURCE_NAMES, "resources")?;
        let mut seen = BTreeSet::new();
        let mut resources = Self::new();
        for (index, item) in message.items.into_iter().enumerate() {
            let name = ResourceName::new(&item.name)
                .map_err(|error| ConvertError::new("name", error))
                .at_item("items", index)?;
            if !seen.insert(name.clone()) {
                return Err(ConvertError::new(name.as_str(), "is given twice"));
            }
            resources = with_value(resources, name, item.value)?;
        }
        Ok(resources)
    }
}

fn with_value(
    resources: Resources,
    name: ResourceName,
    value: Option<Value>,
) -> Result<Resources, ConvertError> {
    let field = name.as_str();
    match (&name, value) {
        (_, None) => Err(ConvertError::new(field, "has no value")),
        (ResourceName::Ports, Some(Value::Scalar(_))) => {
            Err(ConvertError::new(field, "is a scalar, but ports are ranges"))
        }
        (
            ResourceName::Cpus | ResourceName::Mem | ResourceName::Disk | ResourceName::NetMbps,
            Some(Value::Ranges(_)),
        ) => Err(ConvertError::new(field, "is a set of ranges, but must be a scalar")),
        (_, Some(Value::Scalar(scalar))) => {
            let units = units(&name, scalar)?;
            Ok(resources.with(name, units))
        }
        (_, Some(Value::Ranges(message))) => {
            let ranges = ranges(field, &message)?;
            Ok(resources.with_ranges(name, ranges))
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked to lie in 0..=2^53")]
fn units(name: &ResourceName, scalar: f64) -> Result<u64, ConvertError> {
    let refuse = |problem: &str| {
        Err(ConvertError::new(
            name.as_str(),
            format_args!("{scalar:?} {problem}"),
        ))
    };
    if !scalar.is_finite() {
        return refuse("is not a quantity");
    }
    if scalar < 0.0 {
        return refuse("is negative");
    }
    let units = (scalar * name.units() as f64).round();
    if units > MAX_SCALAR as f64 {
        return refuse("is too large");
    }
    Ok(units as u64)
}

fn ranges(field: &str, message: &v1::Ranges) -> Result<Ranges, ConvertError> {
    at_most(field, message.items.len(), MAX_RANGES, "ranges")?;
    if let Some(bad) = message.items.iter().find(|range| range.begin > range.end) {
        let problem = format!("range {}-{} ends before it begins", bad.begin, bad.end);
        return Err(ConvertError::new(field, problem));
    }
    Ok(Ranges::new(
        message.items.iter().map(|range| (range.begin, range.end)),
    ))
}

/// Converts a bundle that may be left out, which means nothing at all.
pub(crate) fn or_nothing(field: &str, message: Option<v1::Resources>) -> Result<Resources, ConvertError> {
    message
        .map_or_else(|| Ok(Resources::new()), TryInto::try_into)
        .at(field)
}

impl From<&Resources> for v1::Resources {
    fn from(resources: &Resources) -> Self {
        let scalars = resources.scalars().map(|(name, units)| v1::Resource {
            name: name.as_str().to_owned(),
            value: Some(Value::Scalar(units as f64 / name.units() as f64)),
        });
        let ranges = resources.all_ranges().map(|(name, ranges)| v1::Resource {
            name: name.as_str().to_owned(),
            value: Some(Value::Ranges(ranges.into())),
        });
        Self {
            items: scalars.chain(ranges).collect(),
        }
    }
}

impl From<&Ranges> for v1::Ranges {
    fn from(ranges: &Ranges) -> Self {
        let items = ranges
            .iter()
            .map(|(begin, end)| v1::ranges::Range { begin, end })
            .collect();
        Self { items }
    }
}

crate::from_owned!(Resources => v1::Resources);
