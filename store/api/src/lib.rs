//! Durable state as a trait: keys, batches, preconditions, and an in-memory model with faults.
