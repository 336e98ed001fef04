//! The ports under which a service is reached by its own address: `expose: [{ port: 80, to: http, protocol: http, publish: 8080 }]`.

use std::str::FromStr;

use proffer_wire::v1;
use serde::Deserialize;

use crate::spec::either::from_text;
use crate::spec::{Span, Whole};

/// One port.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExposeFile {
    port: Whole<u32>,
    #[serde(default)]
    name: String,
    /// Absent means the task's port of that name, else of that number.
    to: Option<To>,
    #[serde(default)]
    protocol: ProtocolFile,
    /// The port on every host that has an edge.
    publish: Option<Whole<u32>>,
    balance: Option<Balance>,
    /// How often a request is tried again elsewhere.
    retries: Option<Whole<u32>>,
    outlier: Option<OutlierFile>,
}

/// One of the task's ports.
#[derive(Debug, Clone, PartialEq)]
enum To {
    Number(u32),
    Name(String),
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number) => Ok(Self::Number(number)),
            Err(_) if text.is_empty() => Err("a port is a number or a name, such as 80 or http".to_owned()),
            Err(_) => Ok(Self::Name(text.to_owned())),
        }
    }
}

from_text!(To);

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProtocolFile {
    #[default]
    Tcp,
    Udp,
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Balance {
    RoundRobin,
    Random,
    Weighted,
    LeastConnections,
}

/// When an endpoint that fails gets nothing for a while.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutlierFile {
    consecutive_failures: Option<Whole<u32>>,
    base_ejection: Option<Span>,
    max_ejection: Option<Span>,
    max_ejected_percent: Option<Whole<u32>>,
}

impl From<ExposeFile> for v1::VirtualPort {
    fn from(file: ExposeFile) -> Self {
        let protocol = match file.protocol {
            ProtocolFile::Tcp => v1::PortProtocol::PortTcp,
            ProtocolFile::Udp => v1::PortProtocol::PortUdp,
            ProtocolFile::Http => v1::PortProtocol::PortHttp,
        };
        let policy = file.balance.map(|balance| match balance {
            Balance::RoundRobin => v1::BalancePolicy::BalanceRoundRobin,
            Balance::Random => v1::BalancePolicy::BalanceRandom,
            Balance::Weighted => v1::BalancePolicy::BalanceWeighted,
            Balance::LeastConnections => v1::BalancePolicy::BalanceLeastConnections,
        });
        Self {
            port: Some(v1::DiscoveredPort {
                name: file.name,
                number: file.port.0,
                protocol: protocol.into(),
                published: file.publish.map(|port| port.0),
                policy: policy.unwrap_or_default().into(),
                retries: file.retries.map(|retries| retries.0),
                outlier: file.outlier.map(Into::into),
            }),
            target: file.to.map(|to| match to {
                To::Number(number) => v1::virtual_port::Target::TargetNumber(number),
                To::Name(name) => v1::virtual_port::Target::TargetName(name),
            }),
        }
    }
}

impl From<OutlierFile> for v1::OutlierDetection {
    fn from(file: OutlierFile) -> Self {
        Self {
            consecutive_failures: file.consecutive_failures.map(|failures| failures.0),
            base_ejection_ms: file.base_ejection.map(Span::millis),
            max_ejection_ms: file.max_ejection.map(Span::millis),
            max_ejected_percent: file.max_ejected_percent.map(|percent| percent.0),
        }
    }
}
