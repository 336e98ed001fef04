//! Durable state as plain data: keys, batches, preconditions, and an in-memory model with faults.
//!
//! Keys are text, values are bytes. A batch takes effect whole or not at all, and only while every precondition
//! holds. Pure: the trait that does IO is in `proffer-store`; the simulator drives [`Model`] by itself.

mod batch;
mod error;
pub mod lease;
mod model;

pub use batch::{Batch, MAX_BATCH_BYTES, MAX_KEY_BYTES, Op, Precondition};
pub use error::{CommitError, ReadError};
pub use model::{Fault, Model};

/// Counts the commits of a store, from 1. A record's revision is that of the commit that last put it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// One record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: Vec<u8>,
    pub revision: Revision,
}
