//! What agents say of themselves.

use proffer_types::{AgentInfo, Attribute, FaultDomain};

use crate::error::{At as _, ConvertError};
use crate::text::{address, at_most, name};
use crate::{resources, v1};

/// The most attributes of one agent; every offer carries them all.
pub const MAX_ATTRIBUTES: usize = 64;

impl TryFrom<v1::AgentInfo> for AgentInfo {
    type Error = ConvertError;

    fn try_from(message: v1::AgentInfo) -> Result<Self, ConvertError> {
        Ok(Self {
            hostname: name("hostname", message.hostname)?,
            address: address("address", message.address)?,
            resources: resources::or_nothing("resources", message.resources)?,
            attributes: attributes(message.attributes)?,
            version: name("version", message.version)?,
            cgroups: name("cgroups", message.cgroups)?,
            domain: domain(message.domain)?,
            can_suspend: message.can_suspend,
        })
    }
}

impl From<&AgentInfo> for v1::AgentInfo {
    fn from(info: &AgentInfo) -> Self {
        Self {
            hostname: info.hostname.clone(),
            address: info.address.clone(),
            resources: Some((&info.resources).into()),
            attributes: info.attributes.iter().map(Into::into).collect(),
            version: info.version.clone(),
            cgroups: info.cgroups.clone(),
            domain: info.domain.as_ref().map(Into::into),
            can_suspend: info.can_suspend,
        }
    }
}

/// Converts a fault domain that may be left out.
pub(crate) fn domain(message: Option<v1::FaultDomain>) -> Result<Option<FaultDomain>, ConvertError> {
    message.map(FaultDomain::try_from).transpose().at("domain")
}

impl TryFrom<v1::FaultDomain> for FaultDomain {
    type Error = ConvertError;

    fn try_from(message: v1::FaultDomain) -> Result<Self, ConvertError> {
        for (field, value) in [("region", &message.region), ("zone", &message.zone)] {
            if value.is_empty() {
                return Err(ConvertError::new(field, "is empty"));
            }
        }
        Ok(Self {
            region: name("region", message.region)?,
            zone: name("zone", message.zone)?,
        })
    }
}

impl From<&FaultDomain> for v1::FaultDomain {
    fn from(domain: &FaultDomain) -> Self {
        Self {
            region: domain.region.clone(),
            zone: domain.zone.clone(),
        }
    }
}

pub(crate) fn attributes(messages: Vec<v1::Attribute>) -> Result<Vec<Attribute>, ConvertError> {
    at_most("attributes", messages.len(), MAX_ATTRIBUTES, "attributes")?;
    let item = |(index, message)| Attribute::try_from(message).at_item("attributes", index);
    messages.into_iter().enumerate().map(item).collect()
}

impl TryFrom<v1::Attribute> for Attribute {
    type Error = ConvertError;

    fn try_from(message: v1::Attribute) -> Result<Self, ConvertError> {
        if message.name.is_empty() {
            return Err(ConvertError::new("name", "is empty"));
        }
        Ok(Self {
            name: name("name", message.name)?,
            value: name("value", message.value)?,
        })
    }
}

impl From<&Attribute> for v1::Attribute {
    fn from(attribute: &Attribute) -> Self {
        Self {
            name: attribute.name.clone(),
            value: attribute.value.clone(),
        }
    }
}

crate::from_owned!(AgentInfo => v1::AgentInfo, Attribute => v1::Attribute, FaultDomain => v1::FaultDomain);
