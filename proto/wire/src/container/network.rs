//! What network a task is in, and its ports.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proffer_types::container::{NetworkMode, NetworkSpec, PortMapping, Protocol};

use super::names;
use crate::error::{At as _, ConvertError, quoted};
use crate::text::{at_most, parse};
use crate::v1;

/// The most port mappings of one task: each is a rule of the host's packet filter.
pub const MAX_PORT_MAPPINGS: usize = 256;
/// The longest name of a port, in bytes: a label of the domain name system.
pub const MAX_PORT_NAME_BYTES: usize = 63;
/// The most lines of `/etc/hosts` beside the task's own.
pub const MAX_HOSTS: usize = 64;
/// The most name servers: the resolver reads no more (resolv.conf(5), `MAXNS`).
pub const MAX_DNS: usize = 3;
/// The longest host name, in bytes (RFC 1035).
const MAX_HOST_NAME_BYTES: usize = 253;

impl TryFrom<v1::NetworkSpec> for NetworkSpec {
    type Error = ConvertError;

    fn try_from(message: v1::NetworkSpec) -> Result<Self, ConvertError> {
        let spec = Self {
            mode: mode(message.mode, message.cni)?,
            ports: ports(message.ports)?,
            hosts: hosts(message.hosts)?,
            dns: dns(message.dns)?,
            egress_kbps: rate("egress_kbps", message.egress_kbps)?,
            ingress_kbps: rate("ingress_kbps", message.ingress_kbps)?,
        };
        check_mode(&spec)?;
        Ok(spec)
    }
}

fn mode(mode: i32, cni: String) -> Result<NetworkMode, ConvertError> {
    let parsed = match v1::NetworkMode::try_from(mode) {
        Ok(v1::NetworkMode::NetworkCni) => {
            names::object("cni", &cni)?;
            return Ok(NetworkMode::Cni(cni));
        }
        Ok(v1::NetworkMode::Unspecified | v1::NetworkMode::NetworkHost) => NetworkMode::Host,
        Ok(v1::NetworkMode::NetworkNone) => NetworkMode::None,
        Ok(v1::NetworkMode::NetworkBridge) => NetworkMode::Bridge,
        Err(_) => return Err(ConvertError::unknown_number("mode", mode)),
    };
    match cni.is_empty() {
        true => Ok(parsed),
        false => Err(ConvertError::new("cni", "is named, but the mode is another")),
    }
}

/// Refuses what the mode cannot do.
fn check_mode(spec: &NetworkSpec) -> Result<(), ConvertError> {
    let has_rates = spec.egress_kbps.is_some() || spec.ingress_kbps.is_some();
    match spec.mode {
        NetworkMode::Bridge | NetworkMode::Cni(_) => Ok(()),
        NetworkMode::Host | NetworkMode::None if has_rates => {
            let problem = "rates can be limited in a bridge or CNI network only";
            Err(ConvertError::new("mode", problem))
        }
        NetworkMode::None if !spec.ports.is_empty() => Err(ConvertError::new(
            "ports",
            "nobody reaches a task without a network",
        )),
        NetworkMode::Host => {
            let odd = |port: &PortMapping| port.container_port != 0 && port.container_port != port.host_port;
            match spec.ports.iter().position(odd) {
                Some(index) => Err(ConvertError::new(
                    "container_port",
                    "in the host's network a task listens on the host's port: leave it out",
                )
                .under(format_args!("ports[{index}]"))),
                None => Ok(()),
            }
        }
        NetworkMode::None => Ok(()),
    }
}

fn rate(field: &str, kbps: Option<u64>) -> Result<Option<u64>, ConvertError> {
    match kbps {
        Some(0) => Err(ConvertError::new(field, "is 0")),
        kbps => Ok(kbps),
    }
}

fn ports(messages: Vec<v1::PortMapping>) -> Result<Vec<PortMapping>, ConvertError> {
    at_most("ports", messages.len(), MAX_PORT_MAPPINGS, "ports")?;
    let (mut names, mut host_ports) = (BTreeSet::new(), BTreeSet::new());
    let mut one = |message: v1::PortMapping| {
        let port = port(message)?;
        if !port.name.is_empty() && !names.insert(port.variable()) {
            let problem = format!("{} is the name of another port too", quoted(&port.name));
            return Err(ConvertError::new("name", problem));
        }
        if port.host_port != 0 && !host_ports.insert((port.host_port, port.protocol)) {
            let problem = format!("{} is the host port of another one too", port.host_port);
            return Err(ConvertError::new("host_port", problem));
        }
        Ok(port)
    };
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(index, message)| one(message).at_item("ports", index))
        .collect()
}

fn port(message: v1::PortMapping) -> Result<PortMapping, ConvertError> {
    let number = |field: &str, number: u32| {
        u16::try_from(number).map_err(|_| ConvertError::new(field, format_args!("{number} is not a port")))
    };
    if !message.name.is_empty() {
        check_port_name("name", &message.name)?;
    }
    Ok(PortMapping {
        container_port: number("container_port", message.container_port)?,
        host_port: number("host_port", message.host_port)?,
        protocol: match v1::Protocol::try_from(message.protocol) {
            Ok(v1::Protocol::Unspecified | v1::Protocol::Tcp) => Protocol::Tcp,
            Ok(v1::Protocol::Udp) => Protocol::Udp,
            Err(_) => return Err(ConvertError::unknown_number("protocol", message.protocol)),
        },
        name: message.name,
    })
}

pub(super) fn check_port_name(field: &str, name: &str) -> Result<(), ConvertError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match (1..=MAX_PORT_NAME_BYTES).contains(&name.len()) && name.chars().all(good) {
        true => Ok(()),
        false => {
            let problem = format!("{} must be 1 to 63 letters, digits, `_` and `-`", quoted(name));
            Err(ConvertError::new(field, problem))
        }
    }
}

fn hosts(messages: Vec<v1::HostEntry>) -> Result<Vec<(String, String)>, ConvertError> {
    at_most("hosts", messages.len(), MAX_HOSTS, "hosts")?;
    let one = |entry: v1::HostEntry| {
        parse::<IpAddr>("address", &entry.address)?;
        let label = |label: &str| {
            !label.is_empty()
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        };
        match entry.name.len() <= MAX_HOST_NAME_BYTES && entry.name.split('.').all(label) {
            true => Ok((entry.address, entry.name)),
            false => {
                let problem = format!("{} is not the name of a host", quoted(&entry.name));
                Err(ConvertError::new("name", problem))
            }
        }
    };
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(index, message)| one(message).at_item("hosts", index))
        .collect()
}

fn dns(servers: Vec<String>) -> Result<Vec<String>, ConvertError> {
    at_most("dns", servers.len(), MAX_DNS, "name servers")?;
    for (index, server) in servers.iter().enumerate() {
        parse::<IpAddr>(&format!("dns[{index}]"), server)?;
    }
    Ok(servers)
}

impl From<&NetworkSpec> for v1::NetworkSpec {
    fn from(spec: &NetworkSpec) -> Self {
        let (mode, cni) = match &spec.mode {
            NetworkMode::Host => (v1::NetworkMode::Unspecified, String::new()),
            NetworkMode::None => (v1::NetworkMode::NetworkNone, String::new()),
            NetworkMode::Bridge => (v1::NetworkMode::NetworkBridge, String::new()),
            NetworkMode::Cni(name) => (v1::NetworkMode::NetworkCni, name.clone()),
        };
        let host = |(address, name): &(String, String)| v1::HostEntry {
            address: address.clone(),
            name: name.clone(),
        };
        Self {
            mode: mode.into(),
            cni,
            ports: spec.ports.iter().map(Into::into).collect(),
            hosts: spec.hosts.iter().map(host).collect(),
            dns: spec.dns.clone(),
            egress_kbps: spec.egress_kbps,
            ingress_kbps: spec.ingress_kbps,
        }
    }
}

impl From<&PortMapping> for v1::PortMapping {
    fn from(port: &PortMapping) -> Self {
        let protocol = match port.protocol {
            Protocol::Tcp => v1::Protocol::Unspecified,
            Protocol::Udp => v1::Protocol::Udp,
        };
        Self {
            name: port.name.clone(),
            container_port: port.container_port.into(),
            host_port: port.host_port.into(),
            protocol: protocol.into(),
        }
    }
}
