//! `network` and `ports`: how a task is reached, and what it reaches.

use std::collections::BTreeMap;
use std::str::FromStr;

use proffer_types::container::{NetworkMode, NetworkSpec, PortMapping, Protocol};
use serde::Deserialize;

use crate::spec::either::text_or_fields;
use crate::spec::{Rate, Whole};

/// The network, without its ports.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Network(pub(crate) NetworkSpec);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    mode: Option<Mode>,
    cni: Option<String>,
    #[serde(default)]
    dns: Vec<String>,
    /// Name to address.
    #[serde(default)]
    hosts: BTreeMap<String, String>,
    egress: Option<Rate>,
    ingress: Option<Rate>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Host,
    None,
    Bridge,
}

text_or_fields!(
    Network,
    Fields,
    "host, none or bridge, or fields, such as {mode: bridge, dns: [10.0.0.2]} or {cni: name}"
);

impl From<Mode> for NetworkMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Host => Self::Host,
            Mode::None => Self::None,
            Mode::Bridge => Self::Bridge,
        }
    }
}

impl TryFrom<Fields> for Network {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let mode = match (fields.mode, fields.cni) {
            (Some(mode), None) => mode.into(),
            (None, Some(name)) => NetworkMode::Cni(name),
            (None, None) | (Some(_), Some(_)) => return Err("a network needs one of mode and cni".to_owned()),
        };
        let hosts = fields.hosts.into_iter();
        Ok(Self(NetworkSpec {
            mode,
            ports: Vec::new(),
            hosts: hosts.map(|(name, address)| (address, name)).collect(),
            dns: fields.dns,
            egress_kbps: fields.egress.map(|rate| rate.0),
            ingress_kbps: fields.ingress.map(|rate| rate.0),
        }))
    }
}

impl FromStr for Network {
    type Err = String;

    /// Reads `host`, `none`, `bridge` or `cni:NAME`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mode = match (text, text.strip_prefix("cni:")) {
            ("host", _) => NetworkMode::Host,
            ("none", _) => NetworkMode::None,
            ("bridge", _) => NetworkMode::Bridge,
            (_, Some(name)) => NetworkMode::Cni(name.to_owned()),
            (_, None) => return Err(format!("`{text}` is not host, none, bridge or cni:NAME")),
        };
        Ok(Self(NetworkSpec {
            mode,
            ..NetworkSpec::default()
        }))
    }
}

/// One port.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Port(pub(crate) PortMapping);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PortFields {
    #[serde(default)]
    name: String,
    #[serde(default)]
    container: Whole<u16>,
    #[serde(default)]
    host: Whole<u16>,
    #[serde(default)]
    protocol: Transport,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Transport {
    #[default]
    Tcp,
    Udp,
}

text_or_fields!(
    Port,
    PortFields,
    "[HOST:]CONTAINER[/udp], such as 8080:80, or fields, such as {name: http, container: 80}"
);

impl TryFrom<PortFields> for Port {
    type Error = String;

    fn try_from(fields: PortFields) -> Result<Self, String> {
        Ok(Self(PortMapping {
            name: fields.name,
            container_port: fields.container.0,
            host_port: fields.host.0,
            protocol: match fields.protocol {
                Transport::Tcp => Protocol::Tcp,
                Transport::Udp => Protocol::Udp,
            },
        }))
    }
}

impl FromStr for Port {
    type Err = String;

    /// Reads `[HOST:]CONTAINER[/tcp|/udp]`, as Docker has it.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not [HOST:]CONTAINER[/udp], such as 8080:80");
        let (ports, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(refuse()),
        };
        let number = |text: &str| {
            text.parse::<u16>()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(refuse)
        };
        let (host, container) = match ports.split_once(':') {
            Some((host, container)) => (number(host)?, number(container)?),
            None => (0, number(ports)?),
        };
        Ok(Self(PortMapping {
            name: String::new(),
            container_port: container,
            host_port: host,
            protocol,
        }))
    }
}

/// The network of a task. One that does not say which has the host's, unless it says where it listens in a network of
/// its own.
pub(super) fn network(network: Option<&Network>, ports: &[Port]) -> NetworkSpec {
    let ports: Vec<_> = ports.iter().map(|port| port.0.clone()).collect();
    let mode = match ports.iter().any(|port| port.container_port != 0) {
        true => NetworkMode::Bridge,
        false => NetworkMode::Host,
    };
    let stated = network.map(|network| network.0.clone());
    NetworkSpec {
        ports,
        ..stated.unwrap_or(NetworkSpec {
            mode,
            ..NetworkSpec::default()
        })
    }
}
