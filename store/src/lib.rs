//! Durable key-value state behind one trait: memory, RocksDB and etcd.
//!
//! Every backend behaves like [`proffer_store_api::Model`]; one conformance suite holds them to it.

mod election;
#[cfg(feature = "etcd")]
mod etcd;
mod memory;
#[cfg(feature = "rocksdb")]
mod rocks;

use async_trait::async_trait;
pub use proffer_store_api::{
    Batch, CommitError, Entry, Fault, MAX_BATCH_BYTES, MAX_KEY_BYTES, Model, Op, Precondition, ReadError,
    Revision,
};

pub use crate::election::{Election, Leadership, Standing};
#[cfg(feature = "etcd")]
pub use crate::etcd::bytes as etcd_bytes;
#[cfg(feature = "etcd")]
pub use crate::etcd::{AddressError, Candidate, Etcd, EtcdAddress, EtcdError, MAX_LEASE, MIN_LEASE};
pub use crate::memory::Memory;
#[cfg(feature = "rocksdb")]
pub use crate::rocks::{OpenError, Rocks};

/// Durable records under text keys. Object-safe: daemons hold an `Arc<dyn Store>`.
#[async_trait]
pub trait Store: std::fmt::Debug + Send + Sync {
    /// Reads one record.
    async fn get(&self, key: &str) -> Result<Option<Entry>, ReadError>;

    /// Reads all records whose key starts with `prefix`, by key, as of one moment.
    async fn scan(&self, prefix: &str) -> Result<Vec<Entry>, ReadError>;

    /// Commits a batch whole or not at all; returns once it would survive a power loss. Returns the commit's
    /// revision, or the current one when the batch has no change.
    async fn commit(&self, batch: Batch) -> Result<Revision, CommitError>;
}
