//! The whole cluster in one thread under a seed.
