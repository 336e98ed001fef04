//! What a role is guaranteed and limited to.

use std::collections::BTreeMap;

use proffer_types::{Quota, ResourceName, Resources};

use crate::error::{At as _, ConvertError};
use crate::resources::{self, MAX_RESOURCE_NAMES, scalar, units};
use crate::text::at_most;
use crate::v1;

/// Converts what a role is guaranteed. Fails for anything but scalars.
pub fn guarantee(field: &str, message: v1::Resources) -> Result<Resources, ConvertError> {
    let resources = Resources::try_from(message).at(field)?;
    resources::check_scalars(field, &resources)?;
    Ok(resources)
}

/// Converts what a role is limited to, to the names' units.
pub fn limits(field: &str, message: v1::ResourceLimits) -> Result<BTreeMap<ResourceName, u64>, ConvertError> {
    at_most(field, message.items.len(), MAX_RESOURCE_NAMES, "limits")?;
    let mut limits = BTreeMap::new();
    for (index, item) in message.items.into_iter().enumerate() {
        let name = ResourceName::new(&item.name)
            .map_err(|error| ConvertError::new("name", error))
            .at_item("items", index)
            .at(field)?;
        if name == ResourceName::Ports {
            return Err(ConvertError::new("ports", "are ranges; only scalars can be limited").under(field));
        }
        let units = units(&name, item.value).at(field)?;
        if limits.insert(name, units).is_some() {
            return Err(ConvertError::new(&item.name, "is given twice").under(field));
        }
    }
    Ok(limits)
}

/// Puts limits, in the names' units, on the wire.
#[must_use]
pub fn limits_message(limits: &BTreeMap<ResourceName, u64>) -> v1::ResourceLimits {
    let limit = |(name, units): (&ResourceName, &u64)| v1::resource_limits::Limit {
        name: name.as_str().to_owned(),
        value: scalar(name, *units),
    };
    v1::ResourceLimits {
        items: limits.iter().map(limit).collect(),
    }
}

impl TryFrom<v1::Quota> for Quota {
    type Error = ConvertError;

    fn try_from(message: v1::Quota) -> Result<Self, ConvertError> {
        Ok(Self {
            guarantee: guarantee("guarantee", message.guarantee.unwrap_or_default())?,
            limit: limits("limits", message.limits.unwrap_or_default())?,
        })
    }
}

impl From<&Quota> for v1::Quota {
    fn from(quota: &Quota) -> Self {
        Self {
            guarantee: Some((&quota.guarantee).into()),
            limits: Some(limits_message(&quota.limit)),
        }
    }
}

crate::from_owned!(Quota => v1::Quota);
