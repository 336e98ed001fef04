//! The framework's records in its store: read whole at a start, written a step at a time.

use std::sync::Arc;

use proffer_session::Write;
use proffer_store::{Batch, CommitError, ReadError, Store};

#[derive(Debug, Clone)]
pub(crate) struct Records {
    store: Arc<dyn Store>,
}

impl Records {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// All records, by key.
    pub(crate) async fn load(&self) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        let entries = self.store.scan("").await?;
        Ok(entries
            .into_iter()
            .map(|entry| (entry.key, entry.value))
            .collect())
    }

    /// Writes all or nothing.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        let add = |batch: Batch, write| match write {
            Write::Put { key, value } => batch.put(key, value),
            Write::Delete { key } => batch.delete(key),
        };
        let batch = writes.into_iter().fold(Batch::new(), add);
        self.store.commit(batch).await.map(drop)
    }
}
