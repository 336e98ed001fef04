//! The master, text in and text out: a script of commands, and what everybody hears.

#![expect(
    clippy::unwrap_used,
    reason = "a test may fail; helpers of tests are not seen as such"
)]

mod agents;
mod allocation;
mod frameworks;
mod offers;
mod random;
mod restart;
mod script;
mod tasks;
mod world;
