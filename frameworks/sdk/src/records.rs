//! The framework's records in its store: read whole at the beginning of a term, written a step at a time.
//!
//! Of several processes on one store each begins a term when it is elected, by a write of `session/term`. Every later
//! commit requires that record to be as it was left: so one that was overtaken, and has not noticed yet, writes nothing.

use std::collections::HashSet;
use std::sync::Arc;

use proffer_session::{SESSION_PREFIX, Write};
use proffer_store::{Batch, CommitError, Entry, Leadership, ReadError, Revision, Store};
use prost::Message;
use thiserror::Error;

/// The part of the key behind [`SESSION_PREFIX`], which keeps schedulers away from it. The session never sees the record.
const TERM: &str = "term";

/// Who writes to the store, where several processes take turns.
#[derive(Clone, PartialEq, Message)]
struct TermRecord {
    /// Counts the terms, from 1.
    #[prost(uint64, tag = "1")]
    term: u64,
    /// The framework's name: its records are of no use to another one.
    #[prost(string, tag = "2")]
    framework: String,
}

/// Why a term did not begin.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Term(CommitError),
    #[error(
        "its records are not those of the framework `{name}`: {why}; give each framework a prefix of its own"
    )]
    Foreign { name: String, why: String },
}

#[derive(Debug, Clone)]
pub(crate) struct Records {
    store: Arc<dyn Store>,
    lead: Option<Lead>,
}

/// What a process that was elected goes by.
#[derive(Debug, Clone)]
struct Lead {
    leadership: Arc<dyn Leadership>,
    /// The framework's name.
    name: String,
    /// That of the term's record; absent before the first term.
    revision: Option<Revision>,
}

impl Records {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, lead: None }
    }

    /// From now on only a leader reads and writes.
    pub(crate) fn lead(&mut self, leadership: Arc<dyn Leadership>, name: String) {
        self.lead = Some(Lead {
            leadership,
            name,
            revision: None,
        });
    }

    /// Whether this process may act: a leader must be sure to be one, by its own clock.
    pub(crate) fn may_act(&self) -> bool {
        let lead = self.lead.as_ref();
        lead.is_none_or(|lead| lead.leadership.is_certain())
    }

    /// Returns once the lead is not certain any more; never where there is no election.
    pub(crate) async fn lost(&self) {
        match &self.lead {
            Some(lead) => lead.leadership.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Lets another process lead, unless one does already.
    pub(crate) async fn resign(&self) {
        if let Some(lead) = self.lead.as_ref().filter(|lead| lead.leadership.is_certain()) {
            lead.leadership.resign().await;
        }
    }

    /// Begins a term, where there is an election, and reads all records, by key.
    pub(crate) async fn open(&mut self) -> Result<Vec<(String, Vec<u8>)>, OpenError> {
        let term = term_key();
        if let Some(lead) = &mut self.lead {
            lead.revision = Some(begin_term(&*self.store, &lead.name).await?);
        }
        let entries = self.store.scan("").await?;
        let is_ours = |entry: &Entry| self.lead.is_none() || entry.key != term;
        let ours = entries.into_iter().filter(is_ours);
        Ok(ours.map(|entry| (entry.key, entry.value)).collect())
    }

    /// Writes all or nothing.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        let add = |batch: Batch, write| match write {
            Write::Put { key, value } => batch.put(key, value),
            Write::Delete { key } => batch.delete(key),
        };
        let mut batch = last_of_each(writes).fold(Batch::new(), add);
        if let Some(lead) = &self.lead {
            batch = batch.require(term_key(), lead.revision);
        }
        self.store.commit(batch).await.map(drop)
    }
}

fn term_key() -> String {
    format!("{SESSION_PREFIX}{TERM}")
}

/// Begins the next term; nothing is written to a store that is somebody else's.
async fn begin_term(store: &dyn Store, name: &str) -> Result<Revision, OpenError> {
    let foreign = |why: String| OpenError::Foreign {
        name: name.to_owned(),
        why,
    };
    let entry = store.get(&term_key()).await?;
    let last = match &entry {
        Some(entry) => TermRecord::decode(entry.value.as_slice())
            .map_err(|error| foreign(format!("`{}` cannot be read: {error}", entry.key)))?,
        None => TermRecord::default(),
    };
    if entry.is_some() && last.framework != name {
        return Err(foreign(format!("they are those of `{}`", last.framework)));
    }
    if entry.is_none()
        && let Some(other) = store.scan("").await?.first()
    {
        return Err(foreign(format!("there is `{}`, and no term", other.key)));
    }
    let next = TermRecord {
        term: last.term.saturating_add(1),
        framework: name.to_owned(),
    };
    let batch = Batch::new()
        .put(term_key(), next.encode_to_vec())
        .require(term_key(), entry.map(|entry| entry.revision));
    store.commit(batch).await.map_err(OpenError::Term)
}

/// What is left of writes of one batch: a record that many updates of a step change is written once.
fn last_of_each(mut writes: Vec<Write>) -> impl Iterator<Item = Write> {
    let mut seen = HashSet::with_capacity(writes.len());
    let is_last = writes.iter().rev().map(|write| match write {
        Write::Put { key, .. } | Write::Delete { key } => seen.insert(key.as_str()),
    });
    let mut is_last: Vec<bool> = is_last.collect();
    writes.retain(|_| is_last.pop() == Some(true));
    writes.into_iter()
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
