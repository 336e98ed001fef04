//! The service scheduler: replicas kept alive.
