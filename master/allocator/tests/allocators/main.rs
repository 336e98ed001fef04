//! The built-in allocators, driven through the public interface alone.

#![expect(
    clippy::unwrap_used,
    reason = "a test may fail; helpers of tests are not seen as such"
)]

mod backfill;
mod bench;
mod cluster;
mod conformance;
mod fairness;
mod gangs;
mod golden;
mod hierarchy;
mod holds;
mod one_agent;
mod oracle;
mod properties;
mod quota;
mod reference;
