//! A store that lasts as long as its process: for tests and for frameworks that need no durability.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{Batch, CommitError, Entry, Fault, Model, ReadError, Revision, Store};

/// The model behind a lock.
#[derive(Debug, Default)]
pub struct Memory {
    model: Mutex<Model>,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the `nth` commit from now (1 is the next) fail.
    pub fn fail_commit(&self, nth: u64, fault: Fault) {
        self.model().fail_commit(nth, fault);
    }

    /// The model never panics halfway through a change, so a poisoned lock still guards a whole one.
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Memory {
    async fn get(&self, key: &str) -> Result<Option<Entry>, ReadError> {
        Ok(self.model().get(key))
    }

    async fn scan(&self, prefix: &str) -> Result<Vec<Entry>, ReadError> {
        Ok(self.model().scan(prefix))
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, CommitError> {
        self.model().commit(batch)
    }
}
