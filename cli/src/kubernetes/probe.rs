//! Probes: a `livenessProbe` becomes the health check, a `readinessProbe` the readiness check, and a `startupProbe` the time
//! in which the health check's failures do not count.

use proffer_types::container::Check as Checked;
use proffer_wire::v1;
use proffer_wire::v1::check::Kind;

use super::fields::{Fields, Item};
use super::ports::Ports;
use super::tree::Wrong;
use crate::spec::{Check, TaskSpec};

const MILLIS: u64 = 1000;

/// One probe as Kubernetes has it, with its defaults.
struct Probe {
    kind: Kind,
    delay: u64,
    period: u64,
    timeout: u64,
    failures: u32,
}

/// Reads the probes of a container.
pub(super) fn probes(container: &mut Fields<'_>, ports: &Ports, task: &mut TaskSpec) -> Result<(), Wrong> {
    let startup = match container.get("startupProbe") {
        Some(item) => Some((probe(&item, ports)?, item)),
        None => None,
    };
    let liveness = container.get("livenessProbe");
    if let (Some((_, item)), None) = (&startup, &liveness) {
        return Err(item.wrong("a startupProbe is taken beside a livenessProbe alone"));
    }
    if let Some(item) = liveness {
        let mut live = probe(&item, ports)?;
        let grace = match &startup {
            Some((startup, _)) if startup.kind == live.kind => {
                live.delay = live.delay.min(startup.delay);
                startup.delay + startup.period * u64::from(startup.failures)
            }
            Some((_, item)) => {
                return Err(item.wrong(
                    "a startupProbe that asks anything else than the livenessProbe is not supported",
                ));
            }
            None => 0,
        };
        task.health = Some(live.check(&item, grace)?);
    }
    if let Some(item) = container.get("readinessProbe") {
        task.readiness = Some(probe(&item, ports)?.check(&item, 0)?);
    }
    Ok(())
}

impl Probe {
    fn check(self, item: &Item<'_>, grace: u64) -> Result<Check, Wrong> {
        let message = v1::Check {
            kind: Some(self.kind),
            delay_ms: self.delay * MILLIS,
            interval_ms: Some(self.period * MILLIS),
            timeout_ms: Some(self.timeout * MILLIS),
            grace_ms: grace * MILLIS,
            failures: Some(self.failures),
        };
        let checked = Checked::try_from(message);
        checked.map(Check).map_err(|error| item.wrong(&error.to_string()))
    }
}

fn probe(item: &Item<'_>, ports: &Ports) -> Result<Probe, Wrong> {
    let mut fields = item.fields()?;
    let kinds = [
        fields.map("httpGet", |item| http(&item, ports))?,
        fields.map("tcpSocket", |item| tcp(&item, ports))?,
        fields.map("exec", |item| exec(&item))?,
        fields.map("grpc", |item| grpc(&item, ports))?,
    ];
    let mut kinds = kinds.into_iter().flatten();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return Err(item.wrong("a probe needs one of httpGet, tcpSocket, exec and grpc"));
    };
    let delay = fields.map("initialDelaySeconds", |item| item.seconds(0))?;
    let period = fields.map("periodSeconds", |item| item.seconds(1))?;
    let timeout = fields.map("timeoutSeconds", |item| item.seconds(1))?;
    let failures = fields.map("failureThreshold", |item| item.whole(1, u32::MAX >> 1))?;
    fields.only("successThreshold", &["1"], "")?;
    fields.done()?;
    Ok(Probe {
        kind,
        delay: delay.unwrap_or(0),
        period: period.unwrap_or(10),
        timeout: timeout.unwrap_or(1),
        failures: failures.unwrap_or(3),
    })
}

#[expect(clippy::unnecessary_wraps, reason = "as the messages have it")]
fn port_ref(port: v1::port_ref::Port) -> Option<v1::PortRef> {
    Some(v1::PortRef { port: Some(port) })
}

fn http(item: &Item<'_>, ports: &Ports) -> Result<Kind, Wrong> {
    let mut fields = item.fields()?;
    let port = fields.need("port")?;
    let path = fields.map("path", |item| item.text())?;
    let scheme = fields.map("scheme", |item| match item.text()?.as_str() {
        "HTTP" => Ok(false),
        "HTTPS" => Ok(true),
        _ => Err(item.wrong("expected HTTP or HTTPS")),
    })?;
    fields.refuse("host", "a probe asks the task itself, at no other address")?;
    fields.refuse("httpHeaders", "a probe sends no headers of its own")?;
    fields.done()?;
    Ok(Kind::Http(v1::check::Http {
        port: port_ref(ports.resolve(&port)?),
        path: path
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| "/".to_owned()),
        tls: scheme.unwrap_or(false),
    }))
}

fn tcp(item: &Item<'_>, ports: &Ports) -> Result<Kind, Wrong> {
    let mut fields = item.fields()?;
    let port = fields.need("port")?;
    fields.refuse("host", "a probe asks the task itself, at no other address")?;
    fields.done()?;
    let port = port_ref(ports.resolve(&port)?);
    Ok(Kind::Tcp(v1::check::Tcp { port }))
}

fn exec(item: &Item<'_>) -> Result<Kind, Wrong> {
    let mut fields = item.fields()?;
    let command = fields.need("command")?.texts()?;
    fields.done()?;
    Ok(Kind::Command(v1::check::Command { command }))
}

fn grpc(item: &Item<'_>, ports: &Ports) -> Result<Kind, Wrong> {
    let mut fields = item.fields()?;
    let port = fields.need("port")?;
    let service = fields.map("service", |item| item.text())?.unwrap_or_default();
    fields.done()?;
    let port = port_ref(ports.resolve(&port)?);
    Ok(Kind::Grpc(v1::check::Grpc { port, service }))
}
