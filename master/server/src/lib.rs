//! The master's shell: streams, registry, timers, HTTP.
//!
//! The pure core decides; this crate carries it out. Streams and requests become inputs of two bounded queues, one
//! task feeds them to the core, commits what must outlive it, and only then performs its effects.
//!
//! `streams, operators --queue--> lead: step -> commit -> effects, snapshot --> streams, operators`

mod agent_link;
mod clock;
mod config;
mod error;
mod forward;
mod http;
mod inbox;
mod lead;
mod links;
mod metrics;
mod operator;
mod readiness;
mod registry;
mod routes;
mod run;
mod scheduler_link;
mod serve;

pub use config::{Config, NewAllocator};
pub use error::MasterError;
pub use registry::{Backup, BackupError, transfer};
pub use run::run;
