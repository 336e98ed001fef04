//! The batch framework's shell: its gRPC service, around the scheduler of `proffer-batch-core`.
//!
//! An ordinary client of the SDK: it serves `proffer.v1.Jobs` on an address of its own and advertises it, so that clients
//! reach it through the master's port. A job is stored before its submission is answered.

mod api;
mod convert;
mod run;

pub use run::{Config, RunError, run};
