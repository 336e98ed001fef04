//! How reading and committing fail.

use thiserror::Error;

use crate::Revision;
use crate::batch::{MAX_BATCH_BYTES, MAX_KEY_BYTES};

/// A read that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// What is stored is not what was written. Retrying does not help.
    #[error("the store is corrupt: {detail}")]
    Corrupt { detail: String },
    /// The store could not be reached or read. It may come back.
    #[error("the store is not available: {detail}")]
    Unavailable { detail: String },
}

/// A batch that was not committed, or not known to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommitError {
    /// A precondition does not hold. Nothing changed.
    #[error("record `{key}` is not as expected: {}, not {}", at(*.found), at(*.expected))]
    Conflict {
        key: String,
        expected: Option<Revision>,
        found: Option<Revision>,
    },
    /// Nothing changed.
    #[error("key `{key}` must be 1 to {MAX_KEY_BYTES} bytes without control characters")]
    BadKey { key: String },
    /// Nothing changed.
    #[error("batch of {n_bytes} bytes, at most {MAX_BATCH_BYTES} are allowed")]
    TooLarge { n_bytes: usize },
    /// The disk is full. The batch may or may not have taken effect.
    #[error("the store's disk is full: {detail}")]
    DiskFull { detail: String },
    /// The batch may or may not have taken effect: read again before going on.
    #[error("the store failed: {detail}")]
    Failed { detail: String },
}

fn at(revision: Option<Revision>) -> String {
    revision.map_or_else(
        || "absent".to_owned(),
        |revision| format!("at revision {}", revision.0),
    )
}
