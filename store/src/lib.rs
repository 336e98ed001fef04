//! Durable key-value state behind one trait: memory and RocksDB.
