//! What edges are told of services: names, ports, and the endpoints that are healthy and ready.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::AgentId;
use crate::policy::{ClusterNetwork, ServiceNetwork};

/// The longest label of a DNS name, in bytes (RFC 1035).
pub const MAX_LABEL_BYTES: usize = 63;

/// The most services an edge knows.
pub const MAX_SERVICES: usize = 1000;
/// The most endpoints of all services together.
pub const MAX_ENDPOINTS: usize = 100_000;

/// The namespace of names that do not say.
pub const DEFAULT_NAMESPACE: &str = "default";

/// A text that cannot be a label of a DNS name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{}` is not 1 to 63 letters, digits, `-` and `_`, the first a letter or digit",
    .0.chars().take(80).collect::<String>().escape_debug()
)]
pub struct ParseLabelError(String);

/// One label of a DNS name, in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = ParseLabelError;

    fn from_str(text: &str) -> Result<Self, ParseLabelError> {
        let good = text.len() <= MAX_LABEL_BYTES
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        match good {
            true => Ok(Self(text.to_ascii_lowercase().into())),
            false => Err(ParseLabelError(text.to_owned())),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A service's name, unique in its namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    pub namespace: Label,
    pub name: Label,
}

impl ServiceName {
    /// As people write it, and as it is in DNS: `NAME`, or `NAME.NAMESPACE` outside of the namespace `default`.
    #[must_use]
    pub fn full(&self) -> String {
        match self.namespace.as_str() {
            DEFAULT_NAMESPACE => self.name.to_string(),
            namespace => format!("{}.{namespace}", self.name),
        }
    }
}

impl FromStr for ServiceName {
    type Err = ParseLabelError;

    /// Reads what [`ServiceName::full`] writes, and `NAME.default`.
    fn from_str(text: &str) -> Result<Self, ParseLabelError> {
        let (name, namespace) = text.split_once('.').unwrap_or((text, DEFAULT_NAMESPACE));
        Ok(Self {
            namespace: namespace.parse()?,
            name: name.parse()?,
        })
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One frame of what an edge is told; a service that is larger than a frame comes in parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// New and changed services, each with whether more of its endpoints follow.
    pub services: Vec<(DiscoveredService, bool)>,
    pub removed: Vec<ServiceName>,
    /// What replaces what was known of the cluster.
    pub network: Option<ClusterNetwork>,
    /// All there is has been told.
    pub complete: bool,
}

/// A service as edges know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredService {
    pub name: ServiceName,
    pub virtual_address: Option<Ipv4Addr>,
    /// Names are unique, and so are numbers, for TCP and HTTP together and for UDP.
    pub ports: Vec<DiscoveredPort>,
    /// Ids are unique.
    pub endpoints: Vec<Endpoint>,
    pub network: ServiceNetwork,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredPort {
    pub name: Option<Label>,
    pub number: NonZeroU16,
    pub protocol: PortProtocol,
    /// The port on every address of an edge's host.
    pub published: Option<NonZeroU16>,
    pub policy: BalancePolicy,
    /// How often a request is tried again on another endpoint.
    pub retries: u32,
    pub outlier: OutlierDetection,
}

/// How far an edge looks into what it passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortProtocol {
    Tcp,
    Udp,
    Http,
}

/// Which endpoint is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum BalancePolicy {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// Any, all equally likely.
    Random,
    /// Each in turn, as often as its weight says.
    Weighted,
    /// The one with the least open connections or requests for its weight.
    LeastConnections,
}

/// When an endpoint that fails gets nothing for a while; Envoy's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Failures in a row until an endpoint is ejected; 0 never ejects.
    pub consecutive_failures: u32,
    /// An endpoint is ejected for this long times how often it has been.
    pub base_ejection: Duration,
    pub max_ejection: Duration,
    /// The part of the endpoints that may be ejected at a time, in percent; one always may.
    pub max_ejected_percent: u32,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejected_percent: 50,
        }
    }
}

/// A task, or a static address, that serves a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The task's id; for a static address, anything that is unique in the service.
    pub id: Arc<str>,
    pub address: IpAddr,
    /// With the names of the service's ports; names are unique.
    pub ports: Vec<(Option<Label>, NonZeroU16)>,
    /// 1 to 1,000.
    pub weight: u32,
    /// The agent whose task it is; a static address has none.
    pub agent_id: Option<AgentId>,
    /// Edges check by connecting whether it lives.
    pub probe: bool,
}

impl Endpoint {
    /// Its number for the service's port of that name.
    #[must_use]
    pub fn port(&self, name: Option<&Label>) -> Option<NonZeroU16> {
        let mut named = self.ports.iter().filter(|(port, _)| port.as_ref() == name);
        named.next().map(|(_, number)| *number)
    }
}
