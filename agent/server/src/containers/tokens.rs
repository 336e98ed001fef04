//! What goes on for containers, and how it is ended from outside.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proffer_agent_core::ContainerId;
use tokio_util::sync::CancellationToken;

/// What ends something that goes on for a container.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<BTreeMap<ContainerId, CancellationToken>>);

impl Tokens {
    fn all(&self) -> MutexGuard<'_, BTreeMap<ContainerId, CancellationToken>> {
        // Every change is one call on the map, so a thread that panicked left it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, container_id: ContainerId) -> CancellationToken {
        let token = CancellationToken::new();
        self.all().insert(container_id, token.clone());
        token
    }

    pub(super) fn end(&self, container_id: ContainerId) {
        let token = self.all().remove(&container_id);
        token.iter().for_each(CancellationToken::cancel);
    }
}
