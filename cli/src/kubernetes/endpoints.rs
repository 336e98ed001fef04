//! `Endpoints` and `EndpointSlice`: addresses outside the cluster, for the virtual service of that name.

use std::net::IpAddr;

use super::Reading;
use super::fields::{Fields, Item, quoted};
use super::metadata::Metadata;
use super::ports::{port_name, protocol};
use super::service::VirtualService;
use super::tree::{Place, Wrong};
use proffer_types::container::Protocol;

/// The label that names the Service of an EndpointSlice.
const SLICE_LABEL: &str = "kubernetes.io/service-name";

/// The most static addresses of a virtual service.
const MAX_ENDPOINTS: usize = 1000;

/// The static addresses of one Service.
#[derive(Debug, Clone)]
pub(super) struct StaticEndpoints {
    pub(super) metadata: Metadata,
    /// The name of the Service.
    pub(super) of: String,
    endpoints: Vec<Found>,
}

/// An address with its ports by the names it gives them.
#[derive(Debug, Clone)]
struct Found {
    place: Place,
    address: IpAddr,
    ports: Vec<(String, u16, Protocol)>,
}

/// One static address, with the number at which it serves each port of its service, by the port's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) address: IpAddr,
    pub(super) ports: Vec<(String, u16)>,
}

fn address(item: &Item<'_>) -> Result<IpAddr, Wrong> {
    let text = item.text()?;
    let address: Option<IpAddr> = text.parse().ok();
    let reachable = |address: &IpAddr| !address.is_unspecified() && !address.is_multicast();
    let problem = || item.wrong(&format!("`{}` is not an address of a host", quoted(&text)));
    address.filter(reachable).ok_or_else(problem)
}

/// Reads the `ports` of Kubernetes' schemas.
fn ports(fields: &mut Fields<'_>) -> Result<Vec<(String, u16, Protocol)>, Wrong> {
    let mut ports = Vec::new();
    for item in fields.items("ports")? {
        let mut fields = item.fields()?;
        let number = fields.need("port")?.port()?;
        let name = fields.map("name", |item| port_name(&item))?.unwrap_or_default();
        let protocol = protocol(&mut fields)?;
        fields.done()?;
        ports.push((name, number, protocol));
    }
    Ok(ports)
}

/// Reads the rest of an Endpoints: as Kubernetes has it, or as `spec.endpoints`.
pub(super) fn endpoints(
    object: &mut Fields<'_>,
    metadata: Metadata,
    reading: &mut Reading,
) -> Result<StaticEndpoints, Wrong> {
    let mut endpoints = Vec::new();
    if let Some(item) = object.get("spec") {
        reading.warn(
            &item,
            "an Endpoints has no `spec` in Kubernetes, but `subsets`; its addresses are taken as static ones",
        );
        let mut spec = item.fields()?;
        for item in spec.need("endpoints")?.list()? {
            endpoints.push(loose(&item)?);
        }
        spec.done()?;
    }
    for item in object.items("subsets")? {
        let mut fields = item.fields()?;
        let ports = ports(&mut fields)?;
        fields.refuse(
            "notReadyAddresses",
            "whether an address serves is found out; put it into `addresses`",
        )?;
        for item in fields.need("addresses")?.list()? {
            let mut fields = item.fields()?;
            let address = address(&fields.need("ip")?)?;
            // These say what the address belongs to; here it stands for itself.
            fields.refuse("targetRef", "is not supported")?;
            fields.done()?;
            let place = item.place();
            let ports = ports.clone();
            endpoints.push(Found {
                place,
                address,
                ports,
            });
        }
        fields.done()?;
    }
    if endpoints.is_empty() {
        return Err(object.wrong("has no address; Kubernetes has them in `subsets`"));
    }
    let of = metadata.name.clone();
    Ok(StaticEndpoints {
        metadata,
        of,
        endpoints,
    })
}

/// One of `spec.endpoints`: `address: {ip, port: {number}}` and `ports: [{name, number}]`.
fn loose(item: &Item<'_>) -> Result<Found, Wrong> {
    let mut fields = item.fields()?;
    let mut at = fields.need("address")?.fields()?;
    let ip = address(&at.need("ip")?)?;
    let number = |item: Item<'_>| {
        let mut fields = item.fields()?;
        let number = fields.need("number")?.port()?;
        fields.done()?;
        Ok(number)
    };
    let beside = at.map("port", number)?;
    at.done()?;
    let mut ports = Vec::new();
    for item in fields.items("ports")? {
        let mut fields = item.fields()?;
        let name = fields.map("name", |item| port_name(&item))?.unwrap_or_default();
        let number = fields.need("number")?.port()?;
        fields.done()?;
        ports.push((name, number, Protocol::Tcp));
    }
    match beside {
        Some(number) if ports.is_empty() => ports.push((String::new(), number, Protocol::Tcp)),
        Some(number) if ports.iter().all(|(_, other, _)| *other != number) => {
            return Err(item.wrong("the port of the address is none of the ports"));
        }
        Some(_) | None => {}
    }
    fields.done()?;
    Ok(Found {
        place: item.place(),
        address: ip,
        ports,
    })
}

/// Reads the rest of an EndpointSlice.
pub(super) fn slice(object: &mut Fields<'_>, metadata: Metadata) -> Result<StaticEndpoints, Wrong> {
    object.only("addressType", &["IPv4", "IPv6"], "")?;
    let ports = ports(object)?;
    let mut endpoints = Vec::new();
    for item in object.need("endpoints")?.list()? {
        let mut fields = item.fields()?;
        if let Some(conditions) = fields.get("conditions") {
            let mut fields = conditions.fields()?;
            for name in ["ready", "serving"] {
                fields.only(name, &["true"], ": whether an address serves is found out")?;
            }
            fields.only("terminating", &["false"], "")?;
            fields.done()?;
        }
        for at in fields.need("addresses")?.list()? {
            endpoints.push(Found {
                place: at.place(),
                address: address(&at)?,
                ports: ports.clone(),
            });
        }
        fields.done()?;
    }
    let Some(of) = metadata.labels.get(SLICE_LABEL).cloned() else {
        let problem = format!("an EndpointSlice needs the label {SLICE_LABEL}");
        let place = metadata.place;
        return Err(Wrong { place, problem });
    };
    Ok(StaticEndpoints {
        metadata,
        of,
        endpoints,
    })
}

impl StaticEndpoints {
    /// Gives the addresses to their service. A port of an address is that of the service that has its name; an only one is
    /// that of a service with only one.
    pub(super) fn give(&self, service: &mut VirtualService) -> Result<(), Wrong> {
        for found in &self.endpoints {
            let mut ports = Vec::new();
            for port in &service.ports {
                let named = |(name, _, protocol): &&(String, u16, Protocol)| {
                    *name == port.name && *protocol == port.protocol
                };
                let only = match (found.ports.as_slice(), service.ports.len()) {
                    ([only], 1) => Some(only).filter(|(_, _, protocol)| *protocol == port.protocol),
                    _ => None,
                };
                let number = found.ports.iter().find(named).or(only);
                ports.extend(number.map(|(_, number, _)| (port.name.clone(), *number)));
            }
            if ports.is_empty() {
                let problem = format!("no port here is one of service `{}`", self.of);
                let place = found.place;
                return Err(Wrong { place, problem });
            }
            if service.endpoints.len() == MAX_ENDPOINTS {
                let problem = format!("a service has at most {MAX_ENDPOINTS} static addresses");
                let place = found.place;
                return Err(Wrong { place, problem });
            }
            let address = found.address;
            service.endpoints.push(Endpoint { address, ports });
        }
        Ok(())
    }
}
