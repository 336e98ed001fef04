//! Checks of a task's health and readiness.

use std::time::Duration;

use proffer_types::container::check::{DEFAULT_FAILURES, DEFAULT_INTERVAL, DEFAULT_TIMEOUT};
use proffer_types::container::{Check, CheckKind, PortRef};

use super::network::check_port_name;
use super::words;
use crate::error::{At as _, ConvertError, quoted};
use crate::text::{at_most, millis, name};
use crate::v1;
use crate::v1::check::Kind;

/// The longest time a check may state: whoever waits longer does not check.
pub const MAX_CHECK_TIME: Duration = Duration::from_secs(24 * 3600);
/// The longest path of an HTTP check, in bytes: it is sent again and again.
pub const MAX_CHECK_PATH_BYTES: usize = 2048;

impl TryFrom<v1::Check> for Check {
    type Error = ConvertError;

    fn try_from(message: v1::Check) -> Result<Self, ConvertError> {
        let check = Self {
            kind: kind(message.kind.ok_or_else(|| ConvertError::missing("kind"))?)?,
            delay: time("delay_ms", message.delay_ms)?,
            interval: match message.interval_ms {
                Some(ms) => not_zero("interval_ms", time("interval_ms", ms)?)?,
                None => DEFAULT_INTERVAL,
            },
            timeout: match message.timeout_ms {
                Some(ms) => not_zero("timeout_ms", time("timeout_ms", ms)?)?,
                None => DEFAULT_TIMEOUT,
            },
            grace: time("grace_ms", message.grace_ms)?,
            failures: message.failures.unwrap_or(DEFAULT_FAILURES),
        };
        match check.failures {
            0 => Err(ConvertError::new("failures", "is 0")),
            _ => Ok(check),
        }
    }
}

fn time(field: &str, ms: u64) -> Result<Duration, ConvertError> {
    let time = Duration::from_millis(ms);
    match time <= MAX_CHECK_TIME {
        true => Ok(time),
        false => Err(ConvertError::new(
            field,
            format_args!("{ms} is longer than a day"),
        )),
    }
}

fn not_zero(field: &str, time: Duration) -> Result<Duration, ConvertError> {
    match time.is_zero() {
        true => Err(ConvertError::new(field, "is 0")),
        false => Ok(time),
    }
}

fn kind(kind: Kind) -> Result<CheckKind, ConvertError> {
    match kind {
        Kind::Command(message) => command(message.command).at("command"),
        Kind::Http(message) => {
            check_path(&message.path).at("http")?;
            Ok(CheckKind::Http {
                port: port(message.port).at("http")?,
                path: message.path,
                tls: message.tls,
            })
        }
        Kind::Tcp(message) => Ok(CheckKind::Tcp {
            port: port(message.port).at("tcp")?,
        }),
        Kind::Grpc(message) => Ok(CheckKind::Grpc {
            port: port(message.port).at("grpc")?,
            service: name("service", message.service).at("grpc")?,
        }),
    }
}

fn command(command: Vec<String>) -> Result<CheckKind, ConvertError> {
    if command.first().is_none_or(String::is_empty) {
        return Err(ConvertError::new("command", "is empty"));
    }
    words("command", command).map(CheckKind::Command)
}

/// What can stand in the first line of a request without ending it.
fn check_path(path: &str) -> Result<(), ConvertError> {
    at_most("path", path.len(), MAX_CHECK_PATH_BYTES, "bytes")?;
    match path.starts_with('/') && path.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(()),
        false => {
            let problem = format!("{} is not `/` and printable ASCII", quoted(path));
            Err(ConvertError::new("path", problem))
        }
    }
}

fn port(message: Option<v1::PortRef>) -> Result<PortRef, ConvertError> {
    match message.and_then(|message| message.port) {
        None => Err(ConvertError::missing("port")),
        Some(v1::port_ref::Port::Number(number)) => match u16::try_from(number) {
            Ok(port) if port > 0 => Ok(PortRef::Number(port)),
            Ok(_) | Err(_) => Err(ConvertError::new("port", format_args!("{number} is not a port"))),
        },
        Some(v1::port_ref::Port::Name(name)) => {
            check_port_name("port", &name)?;
            Ok(PortRef::Name(name))
        }
    }
}

impl From<&Check> for v1::Check {
    fn from(check: &Check) -> Self {
        Self {
            kind: Some(kind_message(&check.kind)),
            delay_ms: millis(check.delay),
            interval_ms: Some(millis(check.interval)),
            timeout_ms: Some(millis(check.timeout)),
            grace_ms: millis(check.grace),
            failures: Some(check.failures),
        }
    }
}

fn kind_message(kind: &CheckKind) -> Kind {
    match kind {
        CheckKind::Command(command) => Kind::Command(v1::check::Command {
            command: command.clone(),
        }),
        CheckKind::Http { port, path, tls } => Kind::Http(v1::check::Http {
            port: Some(port.into()),
            path: path.clone(),
            tls: *tls,
        }),
        CheckKind::Tcp { port } => Kind::Tcp(v1::check::Tcp {
            port: Some(port.into()),
        }),
        CheckKind::Grpc { port, service } => Kind::Grpc(v1::check::Grpc {
            port: Some(port.into()),
            service: service.clone(),
        }),
    }
}

impl From<&PortRef> for v1::PortRef {
    fn from(port: &PortRef) -> Self {
        let port = match port {
            PortRef::Number(number) => v1::port_ref::Port::Number((*number).into()),
            PortRef::Name(name) => v1::port_ref::Port::Name(name.clone()),
        };
        Self { port: Some(port) }
    }
}
