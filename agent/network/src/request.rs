//! What is asked for, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use proffer_types::container::Protocol;
use serde::{Deserialize, Serialize};

/// The longest id of a network or of one of its members, in bytes: a file name with room to spare (`NAME_MAX` is 255).
const MAX_ID_BYTES: usize = 200;

/// The most ports of one container: more than any program listens on, and one transaction of the kernel's rules.
pub const MAX_PORTS: usize = 1024;

/// What one container wants. Those that name the same network share it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The container's id, or its group's.
    pub network_id: String,
    /// The container's id.
    pub member: String,
    /// Where the namespace is bound; nothing is there before the first member, nor after the last.
    pub namespace: PathBuf,
    pub mode: Mode,
    pub ports: Vec<Port>,
    pub bandwidth: Bandwidth,
}

/// What a network namespace is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing: its own loopback interface only.
    None,
    /// The agent's bridge.
    Bridge,
    /// What the named CNI configuration says.
    Cni(String),
}

impl Mode {
    /// As people are told.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::None => "nothing".to_owned(),
            Self::Bridge => "a bridge".to_owned(),
            Self::Cni(name) => format!("the CNI network `{name}`"),
        }
    }
}

/// A port of the host that leads to one of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    pub host: u16,
    pub container: u16,
    pub transport: Transport,
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Tcp,
    Udp,
}

impl From<Protocol> for Transport {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Kilobits (1000 bits) a second, not 0; absent means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bandwidth {
    /// What the container sends.
    pub egress_kbps: Option<u64>,
    /// What the container receives.
    pub ingress_kbps: Option<u64>,
}

impl Bandwidth {
    pub(crate) fn is_limited(self) -> bool {
        self != Self::default()
    }

    pub(crate) fn has_zero(self) -> bool {
        self.egress_kbps == Some(0) || self.ingress_kbps == Some(0)
    }
}

/// What a container got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attached {
    /// Those of its interfaces, without loopback and link-local ones.
    pub addresses: Vec<IpAddr>,
    /// What a CNI plugin says of name servers; else empty.
    pub dns: Dns,
}

/// How names are resolved (resolv.conf(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    pub nameservers: Vec<String>,
    pub domain: String,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

/// Which ports each member has.
pub(crate) type Members = BTreeMap<String, Vec<Port>>;

/// Whether a text is a file name and a CNI container id (CNI specification 1.0, section 2).
pub(crate) fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID_BYTES
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
