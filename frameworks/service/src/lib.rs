//! The service framework's shell: its gRPC service, around the scheduler of `proffer-service-core`.
//!
//! An ordinary client of the SDK: it serves `proffer.v1.Services` on an address of its own and advertises it, so
//! that clients reach it through the master's port. A change is stored before it is answered.

mod api;
mod convert;
mod run;

pub use run::{Config, RunError, run};
