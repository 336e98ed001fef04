//! What frameworks say of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::framework::DEFAULT_FAILOVER_TIMEOUT;
use proffer_types::{AdvertisedService, Capabilities, FrameworkInfo, OfferPreferences, Resources, Role};

use crate::constraint::Budget;
use crate::error::{At as _, ConvertError, quoted};
use crate::text::{address, at_most, labels, millis, name, parse, parse_optional, parse_roles};
use crate::{resources, v1};

/// The most gRPC services one framework advertises.
pub const MAX_SERVICES: usize = 16;
/// The most alternatives of one role's minimum: each is compared with every offer.
pub const MAX_MIN_ALLOCATABLE: usize = 16;

impl TryFrom<v1::FrameworkInfo> for FrameworkInfo {
    type Error = ConvertError;

    fn try_from(message: v1::FrameworkInfo) -> Result<Self, ConvertError> {
        if message.roles.is_empty() {
            let problem = "is empty; a framework has at least one role, and `*` is the default one";
            return Err(ConvertError::new("roles", problem));
        }
        at_most("services", message.services.len(), MAX_SERVICES, "services")?;
        let roles = parse_roles("roles", &message.roles)?;
        let service = |(index, message)| AdvertisedService::try_from(message).at_item("services", index);
        Ok(Self {
            id: parse_optional("framework_id", &message.framework_id)?,
            name: name("name", message.name)?,
            preferences: preferences(message.preferences, &roles)?,
            roles,
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
            capabilities: message.capabilities.map(Into::into).unwrap_or_default(),
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
            capabilities: Some(info.capabilities.into()),
            preferences: info
                .preferences
                .iter()
                .map(|(role, preferences)| (role.to_string(), preferences.into()))
                .collect(),
        }
    }
}

/// Their number is bounded by that of the roles.
fn preferences(
    messages: BTreeMap<String, v1::OfferPreferences>,
    roles: &BTreeSet<Role>,
) -> Result<BTreeMap<Role, OfferPreferences>, ConvertError> {
    let mut budget = Budget::default();
    let mut item = |name: &str, message| -> Result<_, ConvertError> {
        let role: Role = parse("preferences", name)?;
        let field = format!("preferences[{role}]");
        if !roles.contains(&role) {
            return Err(ConvertError::new(&field, "is not one of the framework's roles"));
        }
        let preferences = offer_preferences(message, &mut budget).at(&field)?;
        Ok((role, preferences))
    };
    messages
        .into_iter()
        .map(|(role, message)| item(&role, message))
        .collect()
}

fn offer_preferences(
    message: v1::OfferPreferences,
    budget: &mut Budget,
) -> Result<OfferPreferences, ConvertError> {
    Ok(OfferPreferences {
        min_allocatable: message.min_allocatable.map(min_allocatable).transpose()?,
        constraints: budget.constraints(message.constraints).at("constraints")?,
    })
}

fn min_allocatable(message: v1::offer_preferences::MinAllocatable) -> Result<Vec<Resources>, ConvertError> {
    let field = "min_allocatable.any_of";
    at_most(field, message.any_of.len(), MAX_MIN_ALLOCATABLE, "alternatives")?;
    let item = |(index, message)| {
        let resources = Resources::try_from(message).at_item(field, index)?;
        resources::check_scalars(&format!("{field}[{index}]"), &resources)?;
        Ok(resources)
    };
    message.any_of.into_iter().enumerate().map(item).collect()
}

impl From<&OfferPreferences> for v1::OfferPreferences {
    fn from(preferences: &OfferPreferences) -> Self {
        let minimum = |any_of: &Vec<Resources>| v1::offer_preferences::MinAllocatable {
            any_of: any_of.iter().map(Into::into).collect(),
        };
        let constraints = &preferences.constraints;
        Self {
            min_allocatable: preferences.min_allocatable.as_ref().map(minimum),
            constraints: (!constraints.is_empty()).then(|| constraints.into()),
        }
    }
}

impl From<v1::Capabilities> for Capabilities {
    fn from(message: v1::Capabilities) -> Self {
        Self {
            revocable: message.revocable,
            shared: message.shared,
            region_aware: message.region_aware,
            agents: message.agents,
        }
    }
}

impl From<Capabilities> for v1::Capabilities {
    fn from(capabilities: Capabilities) -> Self {
        Self {
            revocable: capabilities.revocable,
            shared: capabilities.shared,
            region_aware: capabilities.region_aware,
            agents: capabilities.agents,
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
