//! A virtual service: a name with ports of its own, and what is behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use proffer_types::container::{PortMapping, Protocol};
use proffer_types::discovery::{DiscoveredPort, Endpoint, PortProtocol};
use thiserror::Error;

use super::namespace;
use crate::service::Service;
use crate::spec::{ServiceSpec, is_name};

/// The most ports of one name: the wire takes no more.
pub const MAX_VIRTUAL_PORTS: usize = 64;
/// The most static addresses behind one name; each is probed by every edge.
pub const MAX_STATIC_ENDPOINTS: usize = 1000;
/// The most labels in a selector.
pub const MAX_SELECTOR_LABELS: usize = 64;

/// A name with an address and ports of its own, over replicas of services and static addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualService {
    /// `NAME`, or `NAME.NAMESPACE`.
    pub name: String,
    /// At most [`MAX_VIRTUAL_PORTS`].
    pub ports: Vec<VirtualPort>,
    /// Labels that a service of the namespace must have all; without any none is selected. At most [`MAX_SELECTOR_LABELS`].
    pub selector: BTreeMap<String, String>,
    /// Static addresses, at most [`MAX_STATIC_ENDPOINTS`].
    pub endpoints: Vec<Endpoint>,
    /// Without an address of its own.
    pub headless: bool,
}

/// A port, and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualPort {
    pub port: DiscoveredPort,
    pub target: Target,
}

/// Which port of a replica.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Target {
    /// That of the same name, else of the same number.
    #[default]
    Same,
    Name(String),
    /// In the replica's container.
    Number(NonZeroU16),
}

/// What is wrong with the ports of a name, or with a virtual service.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VirtualServiceError {
    #[error("{0}")]
    Name(String),
    #[error("`{name}` has {n} ports, at most {MAX_VIRTUAL_PORTS} are allowed")]
    Ports { name: String, n: usize },
    #[error("`{name}` has no port; one without an address of its own is headless")]
    NoPort { name: String },
    #[error("two ports of `{name}` are {what}")]
    Twice { name: String, what: String },
    #[error("`{name}` has {n} static endpoints, at most {MAX_STATIC_ENDPOINTS} are allowed")]
    Endpoints { name: String, n: usize },
    #[error("`{name}` selects by {n} labels, at most {MAX_SELECTOR_LABELS} are allowed")]
    Selector { name: String, n: usize },
    #[error("`{name}` exposes {port}, which leads to no port of its task")]
    NoTarget { name: String, port: String },
}

impl VirtualPort {
    /// Which of a task's ports it leads to.
    pub(crate) fn find(&self, mappings: &[PortMapping]) -> Option<usize> {
        let protocol = match self.port.protocol {
            PortProtocol::Tcp | PortProtocol::Http => Protocol::Tcp,
            PortProtocol::Udp => Protocol::Udp,
        };
        let position = |is: &dyn Fn(&PortMapping) -> bool| {
            let mut mappings = mappings.iter();
            mappings.position(|mapping| mapping.protocol == protocol && is(mapping))
        };
        let by_name = |name: &str| position(&|of| !name.is_empty() && of.name.eq_ignore_ascii_case(name));
        let by_number = |number: NonZeroU16| {
            position(&|of| {
                let listens = if of.container_port == 0 {
                    of.host_port
                } else {
                    of.container_port
                };
                listens == number.get()
            })
        };
        match &self.target {
            Target::Name(name) => by_name(name),
            Target::Number(number) => by_number(*number),
            Target::Same => {
                let name = self.port.name.as_ref();
                name.and_then(|name| by_name(name.as_str()))
                    .or_else(|| by_number(self.port.number))
            }
        }
    }

    /// In words.
    fn says(&self) -> String {
        match &self.port.name {
            Some(name) => format!("port {} ({name})", self.port.number),
            None => format!("port {}", self.port.number),
        }
    }
}

impl VirtualService {
    /// That of a service that is exposed.
    pub(crate) fn of_service(spec: &ServiceSpec) -> Self {
        Self {
            name: spec.name.clone(),
            ports: spec.expose.clone(),
            selector: BTreeMap::new(),
            endpoints: Vec::new(),
            headless: false,
        }
    }

    /// Whether it leads to a service.
    pub(crate) fn selects(&self, service: &ServiceSpec) -> bool {
        let has = |(key, value): (&String, &String)| service.labels.get(key) == Some(value);
        !self.selector.is_empty()
            && namespace(&self.name) == namespace(&service.name)
            && self.selector.iter().all(has)
    }

    /// Checks all that does not depend on what else there is.
    pub fn check(&self) -> Result<(), VirtualServiceError> {
        let name = || self.name.clone();
        is_name(&self.name).map_err(VirtualServiceError::Name)?;
        check_ports(&self.name, &self.ports)?;
        if self.ports.is_empty() && !self.headless {
            return Err(VirtualServiceError::NoPort { name: name() });
        }
        let n = self.endpoints.len();
        if n > MAX_STATIC_ENDPOINTS {
            return Err(VirtualServiceError::Endpoints { name: name(), n });
        }
        let n = self.selector.len();
        if n > MAX_SELECTOR_LABELS {
            return Err(VirtualServiceError::Selector { name: name(), n });
        }
        Ok(())
    }

    /// What keeps it from serving, as far as that is known here.
    pub(super) fn problems(&self, services: &[&Service]) -> Vec<String> {
        let mut problems = Vec::new();
        if services.is_empty() && self.endpoints.is_empty() {
            problems
                .push("no service has the labels that it selects, and it has no static address".to_owned());
        }
        for service in services {
            let spec = &service.spec;
            let mappings = &spec.task.container.network.ports;
            let missing = self.ports.iter().filter(|port| port.find(mappings).is_none());
            problems.extend(missing.map(|port| {
                format!(
                    "service `{}` has no port that {} leads to",
                    spec.name,
                    port.says()
                )
            }));
            let mut instances = service.slots.values().flat_map(|slot| slot.instances());
            if instances.any(|(_, instance)| instance.serves() && instance.reach.is_none()) {
                problems.push(format!(
                    "service `{}` has replicas on agents that told no IP address (`--advertise`), or that have no network",
                    spec.name
                ));
            }
        }
        problems
    }
}

/// Checks the ports of one name.
pub(crate) fn check_ports(name: &str, ports: &[VirtualPort]) -> Result<(), VirtualServiceError> {
    let n = ports.len();
    if n > MAX_VIRTUAL_PORTS {
        let name = name.to_owned();
        return Err(VirtualServiceError::Ports { name, n });
    }
    let (mut names, mut numbers, mut published) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for VirtualPort { port, .. } in ports {
        let is_udp = port.protocol == PortProtocol::Udp;
        let what = if !names.insert(&port.name) {
            let name = port.name.as_ref();
            name.map_or("without a name".to_owned(), |name| format!("named `{name}`"))
        } else if !numbers.insert((is_udp, port.number)) {
            format!("number {}", port.number)
        } else if let Some(number) = port.published
            && !published.insert((is_udp, number))
        {
            format!("published as {number}")
        } else {
            continue;
        };
        let name = name.to_owned();
        return Err(VirtualServiceError::Twice { name, what });
    }
    Ok(())
}

/// Refuses a service that is exposed by a port that its task does not have.
pub(crate) fn check_targets(spec: &ServiceSpec) -> Result<(), VirtualServiceError> {
    let mappings = &spec.task.container.network.ports;
    let missing = spec.expose.iter().find(|port| port.find(mappings).is_none());
    missing.map_or(Ok(()), |port| {
        Err(VirtualServiceError::NoTarget {
            name: spec.name.clone(),
            port: port.says(),
        })
    })
}
