//! What framework authors depend on: the scheduler trait, and a driver that runs it against a cluster.
//!
//! Implement [`Scheduler`], give it to a [`Driver`] with a store for its records, and call [`Driver::run`]. A
//! framework with an API of its own (gRPC, say) reaches the running scheduler through a [`Handle`]; [`serve`] runs both, and
//! does so on several machines of which one leads, where [`DaemonConfig::election`] is set.
//!
//! A framework may bring a program of its own that runs its tasks inside one container: that one implements [`Executor`],
//! and is run by an [`ExecutorDriver`].

mod backoff;
mod clock;
mod daemon;
mod driver;
mod executor;
mod handle;
mod link;
mod records;

pub use daemon::{DaemonConfig, DaemonError, serve};
pub use driver::{Config, Driver, RunError};
pub use executor::{ExecutorDriver, ExecutorError, Reporter};
pub use handle::{CallError, Handle, Progress};
pub use proffer_session::*;
pub use proffer_store as store;
pub use proffer_types as types;
pub use tokio_util::sync::CancellationToken;
