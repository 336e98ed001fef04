//! What is committed at once, and under which conditions.

use crate::{CommitError, Revision};

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;
/// The most bytes of keys and values in one batch: every backend holds it in memory at least twice.
pub const MAX_BATCH_BYTES: usize = 16 << 20;

/// Changes that take effect together, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    pub preconditions: Vec<Precondition>,
    /// In order; a later one wins over an earlier one of the same key.
    pub ops: Vec<Op>,
}

/// What a key must be like for the batch to take effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    pub key: String,
    /// `None`: there is no such record.
    pub revision: Option<Revision>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Put {
        key: String,
        value: Vec<u8>,
    },
    /// Deleting what is not there changes nothing.
    Delete {
        key: String,
    },
}

impl Batch {
    /// An empty batch. Committing it changes nothing and returns the current revision.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a put.
    #[must_use]
    pub fn put(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.ops.push(Op::Put {
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// Adds a delete.
    #[must_use]
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.ops.push(Op::Delete { key: key.into() });
        self
    }

    /// Requires a key to be at a revision, or absent.
    #[must_use]
    pub fn require(mut self, key: impl Into<String>, revision: Option<Revision>) -> Self {
        self.preconditions.push(Precondition {
            key: key.into(),
            revision,
        });
        self
    }

    /// Checks keys and size. Every backend calls it first.
    pub fn check(&self) -> Result<(), CommitError> {
        let mut n_bytes = 0;
        for op in &self.ops {
            n_bytes += match op {
                Op::Put { key, value } => {
                    check_key(key)?;
                    key.len() + value.len()
                }
                Op::Delete { key } => {
                    check_key(key)?;
                    key.len()
                }
            };
        }
        if n_bytes > MAX_BATCH_BYTES {
            return Err(CommitError::TooLarge { n_bytes });
        }
        Ok(())
    }
}

/// Control characters stay free for the backends' own records.
fn check_key(key: &str) -> Result<(), CommitError> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES || key.chars().any(char::is_control) {
        let key = key
            .chars()
            .take(80)
            .collect::<String>()
            .escape_debug()
            .to_string();
        return Err(CommitError::BadKey { key });
    }
    Ok(())
}
