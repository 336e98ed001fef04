//! The master, text in and text out: a script of commands, and what everybody hears.

#![expect(
    clippy::unwrap_used,
    reason = "a test may fail; helpers of tests are not seen as such"
)]

mod agents;
mod allocation;
mod away;
mod budget;
mod demand;
mod drain;
mod frameworks;
mod gangs;
mod inverse;
mod listing;
mod maintenance;
mod offers;
mod operations;
mod orphans;
mod quota;
mod random;
mod removal;
mod restart;
mod script;
mod suspend;
mod tasks;
mod upkeep;
mod words;
mod world;
