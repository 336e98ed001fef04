//! What the daemons have in common: a small runtime, an orderly stop, a config file.

pub(crate) mod config_file;

use std::future::Future;

use anyhow::Result;
use proffer_types::FaultDomain;
use proffer_wire::v1;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Reads `REGION/ZONE`.
pub(crate) fn domain(text: &str) -> Result<FaultDomain, String> {
    let (region, zone) = text
        .split_once('/')
        .ok_or_else(|| format!("`{text}` is not a domain; write it like eu-west/a"))?;
    let message = v1::FaultDomain {
        region: region.to_owned(),
        zone: zone.to_owned(),
    };
    FaultDomain::try_from(message).map_err(|error| error.to_string())
}

/// The signals that ask a process to end.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes these signals over from the kernel's default, which is to die.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The number of the next signal. Safe to drop and call again.
    pub(crate) async fn next(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => SignalKind::hangup(),
        };
        kind.as_raw_value()
    }
}

/// Runs a daemon until it ends or a signal asks it to.
pub(crate) async fn until_signal<F, E>(daemon: impl FnOnce(CancellationToken) -> F) -> Result<u8>
where
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut signals = Signals::new()?;
    let shutdown = CancellationToken::new();
    let running = daemon(shutdown.clone());
    tokio::pin!(running);
    loop {
        tokio::select! {
            ended = &mut running => return ended.map(|()| 0).map_err(anyhow::Error::new),
            _ = signals.next() => shutdown.cancel(),
        }
    }
}
