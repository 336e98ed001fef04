//! What edges are told of services.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use proffer_types::discovery::{
    BalancePolicy, DiscoveredPort, DiscoveredService, Endpoint, Frame, Label, MAX_ENDPOINTS, MAX_SERVICES,
    OutlierDetection, PortProtocol, ServiceName,
};
use proffer_types::policy::{ClusterNetwork, ServiceNetwork};
use prost::Message as _;

use crate::error::{At as _, ConvertError};
use crate::frame::FRAME_BYTES;
use crate::text::{at_most, millis, name, optional_text, parse, parse_optional};
use crate::v1;

/// The most ports of a service, and of an endpoint.
pub const MAX_PORTS: usize = 64;
/// The most a request is tried again.
pub const MAX_RETRIES: u32 = 10;
/// The most an endpoint weighs.
pub const MAX_WEIGHT: u32 = 1000;
/// How often a request is tried again where nothing else is said.
const DEFAULT_RETRIES: u32 = 2;
/// The longest base of an ejection, and the longest ejection.
const MAX_BASE_EJECTION: Duration = Duration::from_secs(3600);
const MAX_EJECTION: Duration = Duration::from_secs(24 * 3600);

impl TryFrom<v1::WatchResponse> for Frame {
    type Error = ConvertError;

    fn try_from(message: v1::WatchResponse) -> Result<Self, ConvertError> {
        at_most("services", message.services.len(), MAX_SERVICES, "services")?;
        at_most("removed", message.removed.len(), MAX_SERVICES, "names")?;
        let services = message.services.into_iter().enumerate().map(|(index, service)| {
            let more = service.more;
            let service = service.try_into().at_item("services", index)?;
            Ok((service, more))
        });
        let services = services.collect::<Result<_, ConvertError>>()?;
        let removed = message.removed.into_iter().enumerate();
        let removed = removed.map(|(index, name)| name.try_into().at_item("removed", index));
        Ok(Self {
            services,
            removed: removed.collect::<Result<_, ConvertError>>()?,
            network: message.network.map(TryInto::try_into).transpose().at("network")?,
            complete: message.complete,
        })
    }
}

/// The frames that tell of these changes, each under 1 MiB; the last one is `complete` if that is said. Without change there
/// is none, but for one that is `complete`.
#[must_use]
pub fn frames(
    services: &[DiscoveredService],
    removed: &[ServiceName],
    network: Option<&ClusterNetwork>,
    complete: bool,
) -> Vec<v1::WatchResponse> {
    let mut frames = vec![v1::WatchResponse::default()];
    let mut room = FRAME_BYTES;
    let mut put = |len: usize, add: &mut dyn FnMut(&mut v1::WatchResponse)| {
        // The tag and length before each item are 6 bytes at most.
        let len = len + 6;
        if len > room {
            frames.push(v1::WatchResponse::default());
            room = FRAME_BYTES;
        }
        room = room.saturating_sub(len);
        if let Some(last) = frames.last_mut() {
            add(last);
        }
    };
    for name in removed {
        let name = v1::ServiceName::from(name);
        put(name.encoded_len(), &mut |frame| frame.removed.push(name.clone()));
    }
    for service in services {
        for part in parts(service) {
            put(part.encoded_len(), &mut |frame| frame.services.push(part.clone()));
        }
    }
    if let Some(network) = network {
        let network = v1::ClusterNetwork::from(network);
        put(network.encoded_len(), &mut |frame| {
            frame.network = Some(network.clone());
        });
    }
    if complete && let Some(last) = frames.last_mut() {
        last.complete = true;
    }
    frames.retain(|frame| *frame != v1::WatchResponse::default());
    frames
}

/// A service cut into parts that each fit into half a frame.
fn parts(service: &DiscoveredService) -> Vec<v1::DiscoveredService> {
    let head = DiscoveredService {
        endpoints: Vec::new(),
        network: ServiceNetwork {
            labels: service.network.labels.clone(),
            ..ServiceNetwork::default()
        },
        ..service.clone()
    };
    let mut parts = vec![v1::DiscoveredService::from(&head)];
    let mut room = (FRAME_BYTES / 2).saturating_sub(parts[0].encoded_len());
    let mut put = |len: usize, add: &mut dyn FnMut(&mut v1::DiscoveredService)| {
        let len = len + 12;
        if len > room {
            parts.push(v1::DiscoveredService {
                name: Some((&service.name).into()),
                ..v1::DiscoveredService::default()
            });
            room = FRAME_BYTES / 2;
        }
        room = room.saturating_sub(len);
        if let Some(last) = parts.last_mut() {
            add(last);
        }
    };
    for endpoint in &service.endpoints {
        let endpoint = v1::Endpoint::from(endpoint);
        put(endpoint.encoded_len(), &mut |part| {
            part.endpoints.push(endpoint.clone());
        });
    }
    for member in &service.network.members {
        let member = v1::ServiceMember::from(member);
        put(member.encoded_len(), &mut |part| {
            part.network.get_or_insert_default().members.push(member.clone());
        });
    }
    for door in &service.network.doors {
        let door = v1::ServiceDoor::from(door);
        put(door.encoded_len(), &mut |part| {
            part.network.get_or_insert_default().doors.push(door.clone());
        });
    }
    let n_before_last = parts.len() - 1;
    for part in &mut parts[..n_before_last] {
        part.more = true;
    }
    parts
}

impl TryFrom<v1::ServiceName> for ServiceName {
    type Error = ConvertError;

    fn try_from(message: v1::ServiceName) -> Result<Self, ConvertError> {
        Ok(Self {
            namespace: parse("namespace", &message.namespace)?,
            name: parse("name", &message.name)?,
        })
    }
}

impl From<&ServiceName> for v1::ServiceName {
    fn from(name: &ServiceName) -> Self {
        Self {
            namespace: name.namespace.to_string(),
            name: name.name.to_string(),
        }
    }
}

pub(crate) fn service_name(message: Option<v1::ServiceName>) -> Result<ServiceName, ConvertError> {
    let message = message.ok_or_else(|| ConvertError::missing("name"))?;
    message.try_into().at("name")
}

impl TryFrom<v1::DiscoveredService> for DiscoveredService {
    type Error = ConvertError;

    fn try_from(message: v1::DiscoveredService) -> Result<Self, ConvertError> {
        at_most("ports", message.ports.len(), MAX_PORTS, "ports")?;
        at_most("endpoints", message.endpoints.len(), MAX_ENDPOINTS, "endpoints")?;
        let ports = message.ports.into_iter().enumerate();
        let ports = ports.map(|(index, port)| port.try_into().at_item("ports", index));
        let ports: Vec<DiscoveredPort> = ports.collect::<Result<_, _>>()?;
        let endpoints = message.endpoints.into_iter().enumerate();
        let endpoints = endpoints.map(|(index, endpoint)| endpoint.try_into().at_item("endpoints", index));
        let endpoints: Vec<Endpoint> = endpoints.collect::<Result<_, _>>()?;
        unique("ports", "name", ports.iter().map(|port| &port.name))?;
        let sockets = ports
            .iter()
            .map(|port| (port.protocol == PortProtocol::Udp, port.number));
        unique("ports", "number", sockets)?;
        unique("endpoints", "id", endpoints.iter().map(|endpoint| &endpoint.id))?;
        Ok(Self {
            name: service_name(message.name)?,
            virtual_address: virtual_address(&message.virtual_address)?,
            ports,
            endpoints,
            network: message.network.unwrap_or_default().try_into().at("network")?,
        })
    }
}

fn virtual_address(text: &str) -> Result<Option<Ipv4Addr>, ConvertError> {
    let address: Option<Ipv4Addr> = parse_optional("virtual_address", text)?;
    let usable =
        |address: Ipv4Addr| !(address.is_unspecified() || address.is_multicast() || address.is_broadcast());
    if let Some(address) = address.filter(|address| !usable(*address)) {
        let problem = format!("{address} is no address of one host");
        return Err(ConvertError::new("virtual_address", problem));
    }
    Ok(address)
}

/// Refuses a list of which two are equal in what must tell them apart.
fn unique<K: Ord + std::fmt::Debug>(
    field: &str,
    what: &str,
    keys: impl Iterator<Item = K>,
) -> Result<(), ConvertError> {
    let mut seen = BTreeSet::new();
    for (index, key) in keys.enumerate() {
        if let Some(key) = seen.replace(key) {
            let problem = format!("two have the {what} {key:?}");
            return Err(ConvertError::new(&format!("{field}[{index}]"), problem));
        }
    }
    Ok(())
}

impl From<&DiscoveredService> for v1::DiscoveredService {
    fn from(service: &DiscoveredService) -> Self {
        Self {
            name: Some((&service.name).into()),
            virtual_address: optional_text(service.virtual_address.as_ref()),
            ports: service.ports.iter().map(Into::into).collect(),
            endpoints: service.endpoints.iter().map(Into::into).collect(),
            more: false,
            network: (service.network != ServiceNetwork::default()).then(|| (&service.network).into()),
        }
    }
}

pub(crate) fn port_number(field: &str, number: u32) -> Result<NonZeroU16, ConvertError> {
    let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
    port.ok_or_else(|| ConvertError::new(field, format_args!("{number} is not 1 to 65535")))
}

impl TryFrom<v1::DiscoveredPort> for DiscoveredPort {
    type Error = ConvertError;

    fn try_from(message: v1::DiscoveredPort) -> Result<Self, ConvertError> {
        let retries = message.retries.unwrap_or(DEFAULT_RETRIES);
        if retries > MAX_RETRIES {
            let problem = format!("{retries}, at most {MAX_RETRIES} are allowed");
            return Err(ConvertError::new("retries", problem));
        }
        let protocol = match v1::PortProtocol::try_from(message.protocol) {
            Ok(v1::PortProtocol::PortTcp) => PortProtocol::Tcp,
            Ok(v1::PortProtocol::PortUdp) => PortProtocol::Udp,
            Ok(v1::PortProtocol::PortHttp) => PortProtocol::Http,
            Ok(v1::PortProtocol::Unspecified) | Err(_) => {
                return Err(ConvertError::unknown_number("protocol", message.protocol));
            }
        };
        let policy = match v1::BalancePolicy::try_from(message.policy) {
            Ok(v1::BalancePolicy::Unspecified | v1::BalancePolicy::BalanceRoundRobin) => {
                BalancePolicy::RoundRobin
            }
            Ok(v1::BalancePolicy::BalanceRandom) => BalancePolicy::Random,
            Ok(v1::BalancePolicy::BalanceWeighted) => BalancePolicy::Weighted,
            Ok(v1::BalancePolicy::BalanceLeastConnections) => BalancePolicy::LeastConnections,
            Err(_) => return Err(ConvertError::unknown_number("policy", message.policy)),
        };
        let published = message.published.map(|number| port_number("published", number));
        Ok(Self {
            name: parse_optional("name", &message.name)?,
            number: port_number("number", message.number)?,
            protocol,
            published: published.transpose()?,
            policy,
            retries,
            outlier: message.outlier.unwrap_or_default().try_into().at("outlier")?,
        })
    }
}

impl From<&DiscoveredPort> for v1::DiscoveredPort {
    fn from(port: &DiscoveredPort) -> Self {
        let protocol = match port.protocol {
            PortProtocol::Tcp => v1::PortProtocol::PortTcp,
            PortProtocol::Udp => v1::PortProtocol::PortUdp,
            PortProtocol::Http => v1::PortProtocol::PortHttp,
        };
        let policy = match port.policy {
            BalancePolicy::RoundRobin => v1::BalancePolicy::BalanceRoundRobin,
            BalancePolicy::Random => v1::BalancePolicy::BalanceRandom,
            BalancePolicy::Weighted => v1::BalancePolicy::BalanceWeighted,
            BalancePolicy::LeastConnections => v1::BalancePolicy::BalanceLeastConnections,
        };
        Self {
            name: optional_text(port.name.as_ref()),
            number: u32::from(port.number.get()),
            protocol: protocol.into(),
            published: port.published.map(|number| u32::from(number.get())),
            policy: policy.into(),
            retries: Some(port.retries),
            outlier: Some(port.outlier.into()),
        }
    }
}

impl TryFrom<v1::OutlierDetection> for OutlierDetection {
    type Error = ConvertError;

    fn try_from(message: v1::OutlierDetection) -> Result<Self, ConvertError> {
        let default = Self::default();
        let time = |given: Option<u64>, or| given.map_or(or, Duration::from_millis);
        let base_ejection = time(message.base_ejection_ms, default.base_ejection);
        if base_ejection.is_zero() || base_ejection > MAX_BASE_EJECTION {
            return Err(ConvertError::new("base_ejection_ms", "is not 1 ms to 1 h"));
        }
        let longest = default.max_ejection.max(base_ejection);
        let max_ejection = time(message.max_ejection_ms, longest);
        if max_ejection < base_ejection || max_ejection > MAX_EJECTION {
            let problem = "is below base_ejection_ms or above one day";
            return Err(ConvertError::new("max_ejection_ms", problem));
        }
        let max_ejected_percent = message.max_ejected_percent.unwrap_or(default.max_ejected_percent);
        if max_ejected_percent > 100 {
            return Err(ConvertError::new("max_ejected_percent", "is above 100"));
        }
        Ok(Self {
            consecutive_failures: message
                .consecutive_failures
                .unwrap_or(default.consecutive_failures),
            base_ejection,
            max_ejection,
            max_ejected_percent,
        })
    }
}

impl From<OutlierDetection> for v1::OutlierDetection {
    fn from(outlier: OutlierDetection) -> Self {
        Self {
            consecutive_failures: Some(outlier.consecutive_failures),
            base_ejection_ms: Some(millis(outlier.base_ejection)),
            max_ejection_ms: Some(millis(outlier.max_ejection)),
            max_ejected_percent: Some(outlier.max_ejected_percent),
        }
    }
}

impl TryFrom<v1::Endpoint> for Endpoint {
    type Error = ConvertError;

    fn try_from(message: v1::Endpoint) -> Result<Self, ConvertError> {
        if message.id.is_empty() {
            return Err(ConvertError::missing("id"));
        }
        if message.weight > MAX_WEIGHT {
            let problem = format!("{}, at most {MAX_WEIGHT} is allowed", message.weight);
            return Err(ConvertError::new("weight", problem));
        }
        let address: IpAddr = parse("address", &message.address)?;
        if address.is_unspecified() || address.is_multicast() {
            let problem = format!("{address} is no address of one host");
            return Err(ConvertError::new("address", problem));
        }
        at_most("ports", message.ports.len(), MAX_PORTS, "ports")?;
        let ports = message.ports.iter().enumerate().map(|(index, port)| {
            let name = parse_optional("name", &port.name).at_item("ports", index)?;
            let number = port_number("number", port.number).at_item("ports", index)?;
            Ok((name, number))
        });
        let ports: Vec<(Option<Label>, NonZeroU16)> = ports.collect::<Result<_, ConvertError>>()?;
        unique("ports", "name", ports.iter().map(|(name, _)| name))?;
        Ok(Self {
            id: Arc::from(name("id", message.id)?),
            address,
            ports,
            weight: message.weight.max(1),
            agent_id: parse_optional("agent_id", &message.agent_id)?,
            probe: message.probe,
        })
    }
}

impl From<&Endpoint> for v1::Endpoint {
    fn from(endpoint: &Endpoint) -> Self {
        let port = |(name, number): &(Option<Label>, NonZeroU16)| v1::EndpointPort {
            name: optional_text(name.as_ref()),
            number: u32::from(number.get()),
        };
        Self {
            id: endpoint.id.to_string(),
            address: endpoint.address.to_string(),
            ports: endpoint.ports.iter().map(port).collect(),
            weight: endpoint.weight,
            agent_id: optional_text(endpoint.agent_id.as_ref()),
            probe: endpoint.probe,
        }
    }
}
