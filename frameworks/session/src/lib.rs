//! What a scheduler is, and the conversation with the master kept honest.
//!
//! Pure. An author implements [`Scheduler`]; `Session` speaks to the master for it: subscribes, acknowledges,
//! reconciles on every connection, and keeps the little that must survive a restart.

mod context;
mod executor;
mod records;
mod scheduler;
mod session;

pub use context::{Context, Output, Write};
pub use executor::{Deliver, Executor, ExecutorSession};
pub use records::{RecoverError, SESSION_PREFIX};
pub use scheduler::Scheduler;
pub use session::{Input, Session, UnknownTasks};
