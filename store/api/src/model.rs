//! The store as a map: what every backend must behave like, with faults on demand.
//!
//! The records are the fold of the batches that took effect; the revision counts them.

use std::collections::BTreeMap;

use crate::{Batch, CommitError, Entry, Op, Revision};

/// An in-memory store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Model {
    records: BTreeMap<String, (Revision, Vec<u8>)>,
    revision: Revision,
    n_commits: u64,
    faults: BTreeMap<u64, Fault>,
}

/// How a commit fails on demand. The caller cannot tell which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was written.
    Before,
    /// Everything was written; only the answer was lost.
    After,
}

impl Model {
    /// An empty store at revision 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the `nth` commit from now (1 is the next) fail.
    pub fn fail_commit(&mut self, nth: u64, fault: Fault) {
        self.faults.insert(self.n_commits.saturating_add(nth), fault);
    }

    /// The revision of the last commit that changed something.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Reads one record.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Entry> {
        self.records
            .get_key_value(key)
            .map(|(key, record)| entry(key, record))
    }

    /// Reads all records whose key starts with `prefix`, by key.
    #[must_use]
    pub fn scan(&self, prefix: &str) -> Vec<Entry> {
        self.records
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, record)| entry(key, record))
            .collect()
    }

    /// Commits a batch; returns its revision, or the current one when the batch has no change.
    pub fn commit(&mut self, batch: Batch) -> Result<Revision, CommitError> {
        self.n_commits += 1;
        let fault = self.faults.remove(&self.n_commits);
        let failed = CommitError::Failed {
            detail: "injected fault".to_owned(),
        };
        match fault {
            Some(Fault::Before) => Err(failed),
            Some(Fault::After) => self.apply(batch).and(Err(failed)),
            None => self.apply(batch),
        }
    }

    fn apply(&mut self, batch: Batch) -> Result<Revision, CommitError> {
        batch.check()?;
        for precondition in batch.preconditions {
            let found = self.records.get(&precondition.key).map(|(revision, _)| *revision);
            if found != precondition.revision {
                return Err(CommitError::Conflict {
                    key: precondition.key,
                    expected: precondition.revision,
                    found,
                });
            }
        }
        if batch.ops.is_empty() {
            return Ok(self.revision);
        }
        self.revision.0 += 1;
        for op in batch.ops {
            match op {
                Op::Put { key, value } => {
                    self.records.insert(key, (self.revision, value));
                }
                Op::Delete { key } => {
                    self.records.remove(&key);
                }
            }
        }
        Ok(self.revision)
    }
}

fn entry(key: &str, (revision, value): &(Revision, Vec<u8>)) -> Entry {
    Entry {
        key: key.to_owned(),
        value: value.clone(),
        revision: *revision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_before_changes_nothing_and_one_after_changes_everything() {
        let mut model = Model::new();
        model.fail_commit(1, Fault::Before);
        model.fail_commit(2, Fault::After);
        assert!(model.commit(Batch::new().put("a", "1")).is_err());
        assert_eq!(model.get("a"), None);
        assert!(model.commit(Batch::new().put("a", "2")).is_err());
        assert_eq!(model.get("a").map(|entry| entry.value), Some(b"2".to_vec()));
        assert_eq!(model.commit(Batch::new().put("a", "3")), Ok(Revision(2)));
    }
}
