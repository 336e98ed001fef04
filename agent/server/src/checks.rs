//! The checks of a running container: asked again and again, each result told to the core, which decides what counts.
//!
//! Nothing is forked for a check over the network: the agent connects by a socket made in the container's network.
//! Whoever answers is not trusted: time, memory and words of each check are bounded.

mod command;
mod grpc;
mod http;
mod network;
mod tcp;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use proffer_agent_core::CheckRole;
use proffer_linux::exec::Exec;
use proffer_types::TaskInfo;
use proffer_types::container::{Check, CheckKind, NetworkMode, PortRef};

pub(crate) use network::Network;

/// The shortest time between two checks, whatever the task asks for: its agent has other tasks.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// How much is told of what was wrong, in bytes: it may be the task's own words.
const MAX_ERROR_BYTES: usize = 512;

/// Starts a command in the container.
pub(crate) type Execute = Arc<dyn Fn(Vec<String>) -> BoxFuture<'static, Result<Exec, String>> + Send + Sync>;

/// The checks of one container.
pub(crate) struct Checks {
    pub(crate) checks: Vec<Planned>,
    pub(crate) network: Network,
    pub(crate) execute: Execute,
}

/// One check.
#[derive(Debug)]
pub(crate) struct Planned {
    which: CheckRole,
    check: Check,
    /// The number behind the name; 0 where no port is asked.
    port: Result<u16, String>,
    first_in: Duration,
}

/// The checks of a task whose container has run for so long.
pub(crate) fn of(info: &TaskInfo, running_for: Duration) -> Vec<Planned> {
    let spec = &info.container;
    let both = [
        (CheckRole::Health, &spec.health),
        (CheckRole::Readiness, &spec.readiness),
    ];
    let planned = both.into_iter().filter_map(|(which, check)| {
        let check = check.clone()?;
        Some(Planned {
            which,
            port: port(&check.kind, info),
            first_in: check.delay.saturating_sub(running_for),
            check,
        })
    });
    planned.collect()
}

fn port(kind: &CheckKind, info: &TaskInfo) -> Result<u16, String> {
    match kind {
        CheckKind::Command(_) => Ok(0),
        CheckKind::Http { port, .. } | CheckKind::Tcp { port } | CheckKind::Grpc { port, .. } => match port {
            PortRef::Number(number) => Ok(*number),
            PortRef::Name(name) => named(name, info),
        },
    }
}

fn named(name: &str, info: &TaskInfo) -> Result<u16, String> {
    let ports = info.container.network.resolved_ports(&info.resources);
    let port = ports.iter().find(|port| port.name == name);
    // As it is told to the task: in the host's network there is no other port than the host's.
    let is_of_host = info.container.network.mode == NetworkMode::Host;
    let number = port.map_or(0, |port| match is_of_host {
        true => port.host_port,
        false => port.container_port,
    });
    if number == 0 {
        return Err(format!("the task has no port `{name}`"));
    }
    Ok(number)
}

impl Checks {
    /// Runs until it is dropped.
    pub(crate) async fn run<T: Future<Output = ()>>(self, tell: impl Fn(CheckRole, Result<(), String>) -> T) {
        let repeat = |planned: Planned| {
            let (network, execute, tell) = (&self.network, &self.execute, &tell);
            async move {
                tokio::time::sleep(planned.first_in).await;
                loop {
                    tell(planned.which, planned.once(network, execute).await).await;
                    tokio::time::sleep(planned.check.interval.max(MIN_INTERVAL)).await;
                }
            }
        };
        let _: Vec<()> = join_all(self.checks.into_iter().map(repeat)).await;
    }
}

impl Planned {
    async fn once(&self, network: &Network, execute: &Execute) -> Result<(), String> {
        let timeout = self.check.timeout;
        let asked = tokio::time::timeout(timeout, self.ask(network, execute)).await;
        let result = asked.unwrap_or_else(|_| Err(format!("no answer within {timeout:?}")));
        result.map_err(|error| cut(&error))
    }

    async fn ask(&self, network: &Network, execute: &Execute) -> Result<(), String> {
        let port = self.port.clone()?;
        match &self.check.kind {
            CheckKind::Http { path, tls, .. } => http::ask(network, port, path, *tls).await,
            CheckKind::Tcp { .. } => tcp::ask(network, port).await,
            CheckKind::Grpc { service, .. } => grpc::ask(network, port, service).await,
            CheckKind::Command(command) => command::ask(execute, command).await,
        }
    }
}

/// An error of at most [`MAX_ERROR_BYTES`], without what would not be one line of text.
fn cut(error: &str) -> String {
    let end = error.floor_char_boundary(MAX_ERROR_BYTES);
    let text = error.get(..end).unwrap_or_default();
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
