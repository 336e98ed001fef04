//! `ports` of a container, and those a Service adds to it.

use proffer_types::container::{PortMapping, Protocol};
use proffer_wire::v1::port_ref;

use super::fields::{Fields, Item, quoted};
use super::tree::Wrong;
use crate::spec::{Port, TaskSpec};

/// The ports of one pod.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Ports {
    /// Whether the pod has the host's network, where a port is the host's and nothing else.
    on_host: bool,
    mappings: Vec<PortMapping>,
}

/// What a Service's `targetPort` or a probe's `port` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Number(u16),
    Name(String),
}

impl Ports {
    /// Reads the `ports` of a container.
    pub(super) fn read(container: &mut Fields<'_>, on_host: bool) -> Result<Self, Wrong> {
        let mut ports = Self {
            on_host,
            mappings: Vec::new(),
        };
        for item in container.items("ports")? {
            let mut fields = item.fields()?;
            let number = fields.need("containerPort")?.port()?;
            let host = fields.get("hostPort");
            let host_port = host.as_ref().map(Item::port).transpose()?;
            let name = fields.map("name", |item| port_name(&item))?.unwrap_or_default();
            let protocol = protocol(&mut fields)?;
            fields.only(
                "hostIP",
                &["", "0.0.0.0"],
                "; a host port is one of all addresses",
            )?;
            fields.done()?;
            if let (Some(item), true) = (&host, on_host && host_port != Some(number)) {
                return Err(item.wrong("with hostNetwork the host's port is the container's"));
            }
            if !name.is_empty() && ports.named(&name).is_some() {
                return Err(item.wrong(&format!("there is another port `{name}`")));
            }
            if ports.numbered(number, protocol).is_some() {
                return Err(item.wrong(&format!("port {number} stands here a second time")));
            }
            ports.add(name, number, host_port.unwrap_or(0), protocol);
        }
        Ok(ports)
    }

    fn add(&mut self, name: String, number: u16, host_port: u16, protocol: Protocol) {
        let (container_port, host_port) = match self.on_host {
            true => (0, number),
            false => (number, host_port),
        };
        self.mappings.push(PortMapping {
            name,
            container_port,
            host_port,
            protocol,
        });
    }

    fn named(&self, name: &str) -> Option<&PortMapping> {
        self.mappings.iter().find(|port| port.name == name)
    }

    fn numbered(&self, number: u16, protocol: Protocol) -> Option<&PortMapping> {
        let number_of = |port: &PortMapping| match port.container_port {
            0 => port.host_port,
            number => number,
        };
        let mut mappings = self.mappings.iter();
        mappings.find(|port| number_of(port) == number && port.protocol == protocol)
    }

    /// Sees to it that a Service reaches a port: one by number is added where the container does not declare it. False
    /// where there is none of that name and protocol.
    pub(super) fn publish(&mut self, target: &Target, protocol: Protocol) -> bool {
        match target {
            Target::Number(number) => {
                if self.numbered(*number, protocol).is_none() {
                    self.add(String::new(), *number, 0, protocol);
                }
                true
            }
            Target::Name(name) => self.named(name).is_some_and(|port| port.protocol == protocol),
        }
    }

    /// The port that a probe names, which is one of these if it is a name.
    pub(super) fn resolve(&self, item: &Item<'_>) -> Result<port_ref::Port, Wrong> {
        match target(item)? {
            Target::Number(number) => Ok(port_ref::Port::Number(number.into())),
            Target::Name(name) if self.named(&name).is_some() => Ok(port_ref::Port::Name(name)),
            Target::Name(name) => Err(item.wrong(&format!("the container has no port `{name}`"))),
        }
    }

    /// Gives them to the task.
    pub(super) fn give(&self, task: &mut TaskSpec) {
        task.ports = self.mappings.iter().cloned().map(Port).collect();
    }
}

/// A number, or the name of a port.
pub(super) fn target(item: &Item<'_>) -> Result<Target, Wrong> {
    match item.scalar()?.bytes().all(|byte| byte.is_ascii_digit()) {
        true => item.port().map(Target::Number),
        false => port_name(item).map(Target::Name),
    }
}

/// A name as RFC 6335 has it.
pub(super) fn port_name(item: &Item<'_>) -> Result<String, Wrong> {
    let name = item.text()?;
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = (1..=15).contains(&name.len()) && name.starts_with(good) && name.ends_with(good);
    if !fits || !name.chars().all(|c| good(c) || c == '-') {
        return Err(item.wrong(&format!(
            "`{}` is not the name of a port: 1 to 15 lower-case letters, digits and `-`",
            quoted(&name)
        )));
    }
    Ok(name)
}

/// `protocol`, which is TCP where it is absent.
pub(super) fn protocol(fields: &mut Fields<'_>) -> Result<Protocol, Wrong> {
    let read = fields.map("protocol", |item| match item.text()?.as_str() {
        "TCP" => Ok(Protocol::Tcp),
        "UDP" => Ok(Protocol::Udp),
        _ => Err(item.wrong("expected TCP or UDP")),
    })?;
    Ok(read.unwrap_or_default())
}
