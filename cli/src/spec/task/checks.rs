//! `health` and `readiness`: how a task is asked whether it lives, and whether it can take work.

use std::str::FromStr;

use proffer_types::container::Check as Checked;
use proffer_wire::v1::check::Kind;
use proffer_wire::{ConvertError, v1};
use serde::Deserialize;

use crate::spec::either::{from_text, text_or_fields};
use crate::spec::{Span, Whole};

/// One check.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Fields")]
pub(crate) struct Check(pub(crate) Checked);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    command: Option<Vec<String>>,
    http: Option<Http>,
    tcp: Option<Tcp>,
    grpc: Option<Grpc>,
    delay: Option<Span>,
    interval: Option<Span>,
    timeout: Option<Span>,
    grace: Option<Span>,
    failures: Option<Whole<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    port: Port,
    #[serde(default = "root")]
    path: String,
    #[serde(default)]
    tls: bool,
}

fn root() -> String {
    "/".to_owned()
}

/// A port, or fields with nothing but it.
struct Tcp {
    port: Port,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TcpFields {
    port: Port,
}

text_or_fields!(Tcp, TcpFields, "a port, such as 80 or http");

impl FromStr for Tcp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { port: text.parse()? })
    }
}

impl TryFrom<TcpFields> for Tcp {
    type Error = String;

    fn try_from(fields: TcpFields) -> Result<Self, String> {
        Ok(Self { port: fields.port })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grpc {
    port: Port,
    #[serde(default)]
    service: String,
}

/// A number, or the name of one of the task's ports.
struct Port(v1::port_ref::Port);

from_text!(Port);

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().map(v1::port_ref::Port::Number);
        Ok(Self(
            number.unwrap_or_else(|_| v1::port_ref::Port::Name(text.to_owned())),
        ))
    }
}

impl Port {
    #[expect(clippy::unnecessary_wraps, reason = "as the messages have it")]
    fn message(self) -> Option<v1::PortRef> {
        Some(v1::PortRef { port: Some(self.0) })
    }
}

impl TryFrom<Fields> for Check {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let kinds = [
            fields
                .command
                .map(|command| Kind::Command(v1::check::Command { command })),
            fields.http.map(|http| {
                Kind::Http(v1::check::Http {
                    port: http.port.message(),
                    path: http.path,
                    tls: http.tls,
                })
            }),
            fields.tcp.map(|tcp| {
                let port = tcp.port.message();
                Kind::Tcp(v1::check::Tcp { port })
            }),
            fields.grpc.map(|grpc| {
                Kind::Grpc(v1::check::Grpc {
                    port: grpc.port.message(),
                    service: grpc.service,
                })
            }),
        ];
        let mut kinds = kinds.into_iter().flatten();
        let kind = match (kinds.next(), kinds.next()) {
            (Some(kind), None) => kind,
            (None, _) | (_, Some(_)) => {
                return Err("a check needs one of command, http, tcp and grpc".to_owned());
            }
        };
        let message = v1::Check {
            kind: Some(kind),
            delay_ms: fields.delay.map_or(0, Span::millis),
            interval_ms: fields.interval.map(Span::millis),
            timeout_ms: fields.timeout.map(Span::millis),
            grace_ms: fields.grace.map_or(0, Span::millis),
            failures: fields.failures.map(|failures| failures.0),
        };
        let check = message.try_into().map(Self);
        check.map_err(|error: ConvertError| error.to_string())
    }
}

impl Check {
    /// A line of shell, asked as often as any check.
    pub(crate) fn shell(line: &str) -> Result<Self, String> {
        let command = ["/bin/sh", "-c", line].map(ToOwned::to_owned).to_vec();
        let kind = Kind::Command(v1::check::Command { command });
        let message = v1::Check {
            kind: Some(kind),
            ..v1::Check::default()
        };
        let check = message.try_into().map(Self);
        check.map_err(|error: ConvertError| error.to_string())
    }
}
