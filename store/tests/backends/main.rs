//! What every backend does, and what is particular to each.

mod conformance;
#[cfg(feature = "etcd")]
mod etcd;
#[cfg(feature = "etcd")]
mod etcd_server;
#[cfg(feature = "rocksdb")]
mod rocks;
