//! Virtual services as messages: what a client sends and what is kept are the same `v1::VirtualService`.

use std::num::NonZeroU16;

use proffer_types::discovery::Endpoint;
use proffer_wire::text::{at_most, labels};
use proffer_wire::{ConvertError, v1};

use crate::discovery::{MAX_STATIC_ENDPOINTS, MAX_VIRTUAL_PORTS, Target, VirtualPort, VirtualService};

impl TryFrom<v1::VirtualService> for VirtualService {
    type Error = ConvertError;

    fn try_from(message: v1::VirtualService) -> Result<Self, ConvertError> {
        at_most(
            "endpoints",
            message.endpoints.len(),
            MAX_STATIC_ENDPOINTS,
            "endpoints",
        )?;
        let endpoints = message.endpoints.into_iter().enumerate().map(|(nth, endpoint)| {
            static_endpoint(nth, endpoint).map_err(|error| error.under(format!("endpoints[{nth}]")))
        });
        Ok(Self {
            name: message.name,
            ports: ports("ports", message.ports)?,
            selector: labels("selector", message.selector.into_iter().collect())?,
            endpoints: endpoints.collect::<Result<_, _>>()?,
            headless: message.headless,
        })
    }
}

impl From<&VirtualService> for v1::VirtualService {
    fn from(of: &VirtualService) -> Self {
        Self {
            name: of.name.clone(),
            ports: of.ports.iter().map(Into::into).collect(),
            selector: of.selector.clone(),
            endpoints: of.endpoints.iter().map(static_message).collect(),
            headless: of.headless,
        }
    }
}

/// The ports of a name.
pub(super) fn ports(field: &str, messages: Vec<v1::VirtualPort>) -> Result<Vec<VirtualPort>, ConvertError> {
    at_most(field, messages.len(), MAX_VIRTUAL_PORTS, "ports")?;
    let ports = messages.into_iter().enumerate();
    let ports = ports.map(|(nth, port)| {
        port.try_into()
            .map_err(|error: ConvertError| error.under(format!("{field}[{nth}]")))
    });
    ports.collect()
}

impl TryFrom<v1::VirtualPort> for VirtualPort {
    type Error = ConvertError;

    fn try_from(message: v1::VirtualPort) -> Result<Self, ConvertError> {
        let port = message
            .port
            .ok_or_else(|| ConvertError::new("port", "is missing"))?;
        let target = match message.target {
            None => Target::Same,
            Some(v1::virtual_port::Target::TargetName(name)) if name.is_empty() || name.len() > 63 => {
                return Err(ConvertError::new("target_name", "is not 1 to 63 characters long"));
            }
            Some(v1::virtual_port::Target::TargetName(name)) => Target::Name(name),
            Some(v1::virtual_port::Target::TargetNumber(number)) => Target::Number(number_of(number)?),
        };
        Ok(Self {
            port: port
                .try_into()
                .map_err(|error: ConvertError| error.under("port"))?,
            target,
        })
    }
}

fn number_of(number: u32) -> Result<NonZeroU16, ConvertError> {
    let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
    port.ok_or_else(|| ConvertError::new("target_number", format_args!("{number} is not 1 to 65535")))
}

impl From<&VirtualPort> for v1::VirtualPort {
    fn from(port: &VirtualPort) -> Self {
        Self {
            port: Some((&port.port).into()),
            target: match &port.target {
                Target::Same => None,
                Target::Name(name) => Some(v1::virtual_port::Target::TargetName(name.clone())),
                Target::Number(number) => Some(v1::virtual_port::Target::TargetNumber(number.get().into())),
            },
        }
    }
}

/// A static address as an endpoint that edges probe. Its place in the list is part of its id, as one address may stand there
/// several times with other ports.
fn static_endpoint(nth: usize, message: v1::StaticEndpoint) -> Result<Endpoint, ConvertError> {
    let id = match nth {
        0 => message.address.clone(),
        nth => format!("{}#{nth}", message.address),
    };
    let endpoint = v1::Endpoint {
        id,
        address: message.address,
        ports: message.ports,
        probe: true,
        ..v1::Endpoint::default()
    };
    endpoint.try_into()
}

fn static_message(endpoint: &Endpoint) -> v1::StaticEndpoint {
    let endpoint = v1::Endpoint::from(endpoint);
    v1::StaticEndpoint {
        address: endpoint.address,
        ports: endpoint.ports,
    }
}
