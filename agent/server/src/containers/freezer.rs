//! Freezing and thawing containers. The newest order for a container is the one in force: a freezing under way ends when it
//! is to be thawed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proffer_agent_core::{Command, ContainerId};
use proffer_linux::FreezeError;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::{Containers, Inner, chain, name};

/// How long a container may take to be frozen: a process that is in the kernel, as for a slow disk, is frozen when it comes
/// out.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(10);

/// Between the first two looks at a container that is being frozen; doubles. As a rule it is frozen by then.
const FIRST_LOOK: Duration = Duration::from_millis(1);

/// The longest time between two looks.
const LONGEST_LOOK: Duration = Duration::from_millis(100);

/// An order for one container. It is carried out when its [`Turn`] is dropped.
#[derive(Debug)]
struct Order {
    freeze: bool,
    carried_out: watch::Receiver<()>,
}

/// Held while an order is carried out, one after the other.
#[derive(Debug)]
struct Turn {
    before: Option<Settled>,
    _carried_out: watch::Sender<()>,
}

/// Waits until what was ordered so far is carried out.
#[derive(Debug)]
pub(super) struct Settled(watch::Receiver<()>);

impl Settled {
    pub(super) async fn wait(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// The newest order for each container that has had one.
#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<BTreeMap<ContainerId, Order>>);

impl Orders {
    fn all(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Order>> {
        // Every change is one call on the map, so a thread that panicked left it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, container_id: ContainerId, freeze: bool) -> Turn {
        let (sender, carried_out) = watch::channel(());
        let mut all = self.all();
        let before = all.remove(&container_id);
        let order = Order { freeze, carried_out };
        all.insert(container_id, order);
        Turn {
            before: before.map(|before| Settled(before.carried_out)),
            _carried_out: sender,
        }
    }

    /// Whether that is what the newest order asks for.
    fn is_wanted(&self, container_id: ContainerId, freeze: bool) -> bool {
        let all = self.all();
        all.get(&container_id).is_some_and(|order| order.freeze == freeze)
    }

    pub(super) fn settled(&self, container_id: ContainerId) -> Option<Settled> {
        let all = self.all();
        let order = all.get(&container_id)?;
        Some(Settled(order.carried_out.clone()))
    }

    /// Of a container that has ended nothing is wanted.
    pub(super) fn end(&self, container_id: ContainerId) {
        self.all().remove(&container_id);
    }
}

impl Containers {
    /// Freezes a container, whose checks end, or thaws it. `Frozen` follows a freezing.
    pub(crate) fn freezer(&self, container_id: ContainerId, freeze: bool) {
        if freeze {
            self.inner.checking.end(container_id);
        }
        let mut turn = self.inner.freezing.give(container_id, freeze);
        let this = self.clone();
        self.spawn(async move {
            if let Some(before) = turn.before.take() {
                before.wait().await;
            }
            if !this.inner.freezing.is_wanted(container_id, freeze) {
                debug!(%container_id, freeze, "neither frozen nor thawed: something else is wanted by now");
            } else if freeze {
                let result = this.freeze(container_id).await;
                this.tell(Command::Frozen { container_id, result }).await;
            } else {
                this.thaw(container_id).await;
            }
            drop(turn);
        });
    }

    async fn freeze(&self, container_id: ContainerId) -> Result<(), String> {
        let began = Instant::now();
        self.ask(move |inner| inner.containerizer.freeze(&name(container_id)))
            .await?;
        let mut wait = FIRST_LOOK;
        while !self
            .ask(move |inner| inner.containerizer.is_frozen(&name(container_id)))
            .await?
        {
            if !self.inner.freezing.is_wanted(container_id, true) {
                return Err("it is to go on by now".to_owned());
            }
            if began.elapsed() > FREEZE_TIMEOUT {
                return Err(format!(
                    "not all of its processes were frozen within {FREEZE_TIMEOUT:?}: some wait in the kernel"
                ));
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_LOOK);
        }
        Ok(())
    }

    async fn thaw(&self, container_id: ContainerId) {
        let thawed = self.ask(move |inner| inner.containerizer.thaw(&name(container_id)));
        if let Err(error) = thawed.await {
            warn!(%container_id, error, "cannot thaw a container");
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Inner) -> Result<T, FreezeError> + Send + 'static,
    ) -> Result<T, String> {
        match self.blocking(call).await {
            Some(outcome) => outcome.map_err(|error| chain(&error)),
            None => Err("the call did not finish".to_owned()),
        }
    }
}
