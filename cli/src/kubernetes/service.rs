//! `Service`: a virtual service, with an address of its own before the services it selects.

use std::collections::BTreeMap;

use proffer_types::container::Protocol;

use super::endpoints::Endpoint;
use super::fields::{Fields, Item};
use super::metadata::{Metadata, labels};
use super::ports::{Target, port_name, protocol, target};
use super::tree::{Place, Wrong};

/// How a Service is reached from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ClusterIp,
    NodePort,
    LoadBalancer,
}

/// A virtual service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VirtualService {
    pub(super) metadata: Metadata,
    pub(super) ports: Vec<VirtualPort>,
    /// What the labels of services in its namespace have to be; empty selects none.
    pub(super) selector: BTreeMap<String, String>,
    /// What its Endpoints add.
    pub(super) endpoints: Vec<Endpoint>,
}

/// One port of a virtual service.
#[derive(Debug, Clone, PartialEq)]
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
    only_defaults(&mut spec)?;
    let item = spec.need("ports")?;
    let mut ports: Vec<VirtualPort> = Vec::new();
    for port in item.list()? {
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
    if ports.is_empty() {
        return Err(item.wrong("a service needs a port"));
    }
    spec.done()?;
    Ok(VirtualService {
        metadata,
        ports,
        selector,
        endpoints: Vec::new(),
    })
}

/// What can say only what holds anyway.
fn only_defaults(spec: &mut Fields<'_>) -> Result<(), Wrong> {
    if let Some(item) = spec.get("clusterIP") {
        let problem = match item.text()?.as_str() {
            "None" => {
                "a service without an address of its own is not supported; NAME.service.proffer has the addresses of its replicas anyway"
            }
            _ => "the address is given by Proffer; leave it out",
        };
        return Err(item.wrong(problem));
    }
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
