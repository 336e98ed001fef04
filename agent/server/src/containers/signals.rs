//! Signals to containers.

use proffer_agent_core::{ContainerId, Signal};
use proffer_linux::SignalError;
use proffer_types::container::ReloadSignal;
use tracing::{debug, warn};

use super::{Containers, Inner, chain, name};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
const SIGHUP: i32 = 1;
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;

impl Containers {
    /// Signals a container. One that has ended meanwhile is left to its watcher.
    pub(crate) fn signal(&self, container_id: ContainerId, signal: Signal) {
        let number = match signal {
            Signal::Term => SIGTERM,
            Signal::Kill => SIGKILL,
        };
        let this = self.clone();
        self.spawn(async move {
            if !this.send(container_id, number).await && signal == Signal::Kill {
                this.destroy_name(name(container_id)).await;
            }
        });
    }

    /// Tells a container that runs to read its files again.
    pub(crate) fn notify(&self, container_id: ContainerId, signal: ReloadSignal) {
        let number = match signal {
            ReloadSignal::Hup => SIGHUP,
            ReloadSignal::Usr1 => SIGUSR1,
            ReloadSignal::Usr2 => SIGUSR2,
        };
        let this = self.clone();
        self.spawn(async move {
            this.send(container_id, number).await;
        });
    }

    /// Sends a signal, unless nothing is left to signal. Answers whether that was possible.
    async fn send(&self, container_id: ContainerId, number: i32) -> bool {
        let call = move |inner: &Inner| inner.containerizer.signal(&name(container_id), number);
        match self.blocking(call).await {
            Some(Err(SignalError::Gone(_))) => debug!(%container_id, "nothing left to signal"),
            Some(Err(error)) => {
                warn!(%container_id, number, error = chain(&error), "cannot signal a container");
                return false;
            }
            Some(Ok(())) | None => {}
        }
        true
    }
}
