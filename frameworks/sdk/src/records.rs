//! The framework's records in its store: read whole at a start, written a step at a time.

use std::collections::HashSet;
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
        let batch = last_of_each(writes).fold(Batch::new(), add);
        self.store.commit(batch).await.map(drop)
    }
}

/// What is left of writes of one batch: a record that many updates of a step change is written once.
fn last_of_each(writes: Vec<Write>) -> impl Iterator<Item = Write> {
    let mut seen = HashSet::new();
    let key = |write: &Write| match write {
        Write::Put { key, .. } | Write::Delete { key } => key.clone(),
    };
    let last: Vec<_> = writes
        .into_iter()
        .rev()
        .filter(|write| seen.insert(key(write)))
        .collect();
    last.into_iter().rev()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_writes_of_a_key_in_one_step_the_last_is_committed() {
        let put = |key: &str, value: u8| Write::Put {
            key: key.to_owned(),
            value: vec![value],
        };
        let delete = |key: &str| Write::Delete { key: key.to_owned() };
        let writes = vec![
            put("a", 1),
            delete("b"),
            put("a", 2),
            put("b", 3),
            put("c", 4),
            delete("c"),
        ];
        let left: Vec<_> = last_of_each(writes).collect();
        assert_eq!(left, [put("a", 2), put("b", 3), delete("c")]);
    }
}
