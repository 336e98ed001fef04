//! What a scheduler is, and the conversation with the master kept honest.
//!
//! Pure. An author implements [`Scheduler`]; `Session` speaks to the master for it: subscribes, acknowledges,
//! reconciles on every connection, and keeps the little that must survive a restart.

mod context;
mod scheduler;

pub use context::{Context, Output, Write};
pub use scheduler::Scheduler;
