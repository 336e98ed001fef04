//! What frameworks say of themselves.

use std::time::Duration;

use proffer_types::framework::DEFAULT_FAILOVER_TIMEOUT;
use proffer_types::{AdvertisedService, FrameworkInfo};

use crate::error::{At as _, ConvertError, quoted};
use crate::text::{address, at_most, labels, millis, name, parse_optional, parse_roles};
use crate::v1;

/// The most gRPC services one framework advertises.
pub const MAX_SERVICES: usize = 16;

impl TryFrom<v1::FrameworkInfo> for FrameworkInfo {
    type Error = ConvertError;

    fn try_from(message: v1::FrameworkInfo) -> Result<Self, ConvertError> {
        if message.roles.is_empty() {
            let problem = "is empty; a framework has at least one role, and `*` is the default one";
            return Err(ConvertError::new("roles", problem));
        }
        at_most("services", message.services.len(), MAX_SERVICES, "services")?;
        let service = |(index, message)| AdvertisedService::try_from(message).at_item("services", index);
        Ok(Self {
            id: parse_optional("framework_id", &message.framework_id)?,
            name: name("name", message.name)?,
            roles: parse_roles("roles", &message.roles)?,
            failover_timeout: message
                .failover_timeout_ms
                .map_or(DEFAULT_FAILOVER_TIMEOUT, Duration::from_millis),
            services: message
                .services
                .into_iter()
                .enumerate()
                .map(service)
                .collect::<Result<_, _>>()?,
            labels: labels("labels", message.labels)?,
        })
    }
}

impl From<&FrameworkInfo> for v1::FrameworkInfo {
    fn from(info: &FrameworkInfo) -> Self {
        Self {
            framework_id: info.id.as_ref().map(ToString::to_string).unwrap_or_default(),
            name: info.name.clone(),
            roles: info.roles.iter().map(ToString::to_string).collect(),
            failover_timeout_ms: Some(millis(info.failover_timeout)),
            services: info.services.iter().map(Into::into).collect(),
            labels: info.labels.clone(),
        }
    }
}

impl TryFrom<v1::AdvertisedService> for AdvertisedService {
    type Error = ConvertError;

    fn try_from(message: v1::AdvertisedService) -> Result<Self, ConvertError> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
        let service = name("name", message.name)?;
        if service.is_empty() || !service.chars().all(good) {
            let problem = format!("{} is not the full name of a gRPC service", quoted(&service));
            return Err(ConvertError::new("name", problem));
        }
        Ok(Self {
            name: service,
            address: address("address", message.address)?,
        })
    }
}

impl From<&AdvertisedService> for v1::AdvertisedService {
    fn from(service: &AdvertisedService) -> Self {
        Self {
            name: service.name.clone(),
            address: service.address.clone(),
        }
    }
}

crate::from_owned!(FrameworkInfo => v1::FrameworkInfo, AdvertisedService => v1::AdvertisedService);
