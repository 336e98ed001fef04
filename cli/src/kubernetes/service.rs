//! `Service`: a virtual service, with an address of its own before the services it selects.

use std::collections::BTreeMap;

use proffer_types::container::Protocol;
use proffer_wire::v1;

use super::endpoints::Endpoint;
use super::fields::{Fields, Item};
use super::metadata::{Metadata, labels};
use super::ports::{Target, port_name, protocol, target};
use super::tree::{Place, Wrong};

/// The most ports of a virtual service.
const MAX_PORTS: usize = 64;

/// How a Service is reached from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ClusterIp,
    NodePort,
    LoadBalancer,
}

/// A virtual service.
#[derive(Debug, Clone)]
pub(super) struct VirtualService {
    pub(super) metadata: Metadata,
    pub(super) ports: Vec<VirtualPort>,
    /// What the labels of services in its namespace have to be; empty selects none.
    pub(super) selector: BTreeMap<String, String>,
    /// What its Endpoints add.
    pub(super) endpoints: Vec<Endpoint>,
    /// Without an address of its own.
    headless: bool,
}

/// One port of a virtual service.
#[derive(Debug, Clone)]
pub(super) struct VirtualPort {
    pub(super) place: Place,
    /// Empty where it is the only one.
    pub(super) name: String,
    pub(super) number: u16,
    pub(super) protocol: Protocol,
    /// Whether its requests are told apart: `appProtocol: http`.
    pub(super) is_http: bool,
    pub(super) target: Target,
    /// The port of the hosts.
    pub(super) published: Option<u16>,
}

/// Reads the rest of a Service.
pub(super) fn service(object: &mut Fields<'_>, metadata: Metadata) -> Result<VirtualService, Wrong> {
    let mut spec = object.need("spec")?.fields()?;
    let kind = spec.map("type", |item| match item.text()?.as_str() {
        "ClusterIP" => Ok(Kind::ClusterIp),
        "NodePort" => Ok(Kind::NodePort),
        "LoadBalancer" => Ok(Kind::LoadBalancer),
        "ExternalName" => Err(item.wrong("a service that is another name is not supported")),
        _ => Err(item.wrong("expected ClusterIP, NodePort or LoadBalancer")),
    })?;
    let selector = spec.map("selector", |item| labels(&item))?.unwrap_or_default();
    let headless = cluster_ip(&mut spec, kind.unwrap_or(Kind::ClusterIp))?;
    only_defaults(&mut spec)?;
    let listed = spec.items("ports")?;
    if listed.is_empty() && !headless {
        return Err(spec.wrong("missing field `ports`: a service with an address needs one"));
    }
    if let Some(item) = listed.get(MAX_PORTS) {
        return Err(item.wrong(&format!("a service has at most {MAX_PORTS} ports")));
    }
    let mut ports: Vec<VirtualPort> = Vec::new();
    for port in listed {
        let port = virtual_port(&port, kind.unwrap_or(Kind::ClusterIp))?;
        let same = |other: &VirtualPort| other.number == port.number && other.protocol == port.protocol;
        let twice = if ports.iter().any(same) {
            Some(format!("port {} stands here a second time", port.number))
        } else if ports.iter().any(|other| other.name == port.name) {
            Some("each of several ports needs a name of its own".to_owned())
        } else {
            None
        };
        if let Some(problem) = twice {
            let place = port.place;
            return Err(Wrong { place, problem });
        }
        ports.push(port);
    }
    spec.done()?;
    Ok(VirtualService {
        metadata,
        ports,
        selector,
        endpoints: Vec::new(),
        headless,
    })
}

/// Whether the address is said to be none; another one cannot be said.
fn cluster_ip(spec: &mut Fields<'_>, kind: Kind) -> Result<bool, Wrong> {
    let Some(item) = spec.get("clusterIP") else {
        return Ok(false);
    };
    match (item.text()?.as_str(), kind) {
        ("None", Kind::ClusterIp) => Ok(true),
        ("None", Kind::NodePort | Kind::LoadBalancer) => {
            Err(item.wrong("what is published needs an address; leave it out"))
        }
        _ => Err(item.wrong("the address is given by Proffer; leave it out")),
    }
}

/// What can say only what holds anyway.
fn only_defaults(spec: &mut Fields<'_>) -> Result<(), Wrong> {
    spec.only("sessionAffinity", &["None"], "")?;
    spec.only("internalTrafficPolicy", &["Cluster"], "")?;
    spec.only("externalTrafficPolicy", &["Cluster"], "")?;
    spec.only("ipFamilyPolicy", &["SingleStack"], "")?;
    spec.only("publishNotReadyAddresses", &["false"], "")?;
    spec.only(
        "allocateLoadBalancerNodePorts",
        &["false"],
        ": ports are published as they are",
    )?;
    for item in spec.items("ipFamilies")? {
        if item.text()? != "IPv4" {
            return Err(item.wrong("only IPv4 is taken"));
        }
    }
    for name in ["clusterIPs", "loadBalancerIP"] {
        spec.refuse(name, "the address is given by Proffer; leave it out")?;
    }
    spec.refuse("externalIPs", "is not supported")?;
    spec.refuse("externalName", "is not supported")
}

fn virtual_port(item: &Item<'_>, kind: Kind) -> Result<VirtualPort, Wrong> {
    let mut fields = item.fields()?;
    let number = fields.need("port")?.port()?;
    let name = fields.map("name", |item| port_name(&item))?.unwrap_or_default();
    let protocol = protocol(&mut fields)?;
    let target = fields.map("targetPort", |item| target(&item))?;
    let node_port = fields.get("nodePort");
    let is_http = fields.map("appProtocol", |item| match item.text()?.as_str() {
        "http" => Ok(true),
        "tcp" | "https" => Ok(false),
        _ => Err(item.wrong("expected http, https or tcp")),
    })?;
    if is_http == Some(true) && protocol != Protocol::Tcp {
        return Err(item.wrong("http is spoken over TCP"));
    }
    fields.done()?;
    let published = match (kind, node_port) {
        (Kind::ClusterIp, None) => None,
        (Kind::ClusterIp, Some(item)) => return Err(item.wrong("is for the types NodePort and LoadBalancer")),
        (Kind::NodePort, Some(item)) => Some(item.port()?),
        (Kind::NodePort, None) => {
            return Err(item.wrong("missing field `nodePort`: none is chosen by itself"));
        }
        (Kind::LoadBalancer, None) => Some(number),
        (Kind::LoadBalancer, Some(item)) => {
            return Err(item.wrong("a LoadBalancer is published at `port` alone"));
        }
    };
    Ok(VirtualPort {
        place: item.place(),
        name,
        number,
        protocol,
        is_http: is_http.unwrap_or(false),
        target: target.unwrap_or(Target::Number(number)),
        published,
    })
}

impl VirtualService {
    /// For the wire.
    pub(super) fn message(&self) -> v1::VirtualService {
        let endpoint = |endpoint: &Endpoint| v1::StaticEndpoint {
            address: endpoint.address.to_string(),
            ports: endpoint
                .ports
                .iter()
                .map(|(name, number)| v1::EndpointPort {
                    name: name.clone(),
                    number: (*number).into(),
                })
                .collect(),
        };
        v1::VirtualService {
            name: self.metadata.full_name(),
            ports: self.ports.iter().map(VirtualPort::message).collect(),
            selector: self.selector.clone(),
            endpoints: self.endpoints.iter().map(endpoint).collect(),
            headless: self.headless,
        }
    }
}

impl VirtualPort {
    fn message(&self) -> v1::VirtualPort {
        let protocol = match self.protocol {
            Protocol::Udp => v1::PortProtocol::PortUdp,
            Protocol::Tcp if self.is_http => v1::PortProtocol::PortHttp,
            Protocol::Tcp => v1::PortProtocol::PortTcp,
        };
        v1::VirtualPort {
            port: Some(v1::DiscoveredPort {
                name: self.name.clone(),
                number: self.number.into(),
                protocol: protocol.into(),
                published: self.published.map(u32::from),
                ..v1::DiscoveredPort::default()
            }),
            target: Some(match &self.target {
                Target::Number(number) => v1::virtual_port::Target::TargetNumber((*number).into()),
                Target::Name(name) => v1::virtual_port::Target::TargetName(name.clone()),
            }),
        }
    }
}
