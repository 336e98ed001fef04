//! Container networks in the kernel: each test has a host network of its own, so that nothing reaches this host's.
#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

mod bandwidth;
mod bridge;
mod cni;
mod crash;
mod world;
