//! Carries out launch plans on Linux: namespaces, cgroups, pidfds.
//!
//! [`Containerizer`] is the whole of it: blocking, `Send + Sync`, with no thread of its own. It forks nothing:
//! containers start from a small program (`proffer-init`) that it spawns with vfork semantics, and that outlives it.

pub mod containerizer;
pub mod error;
pub mod exit;

pub use containerizer::{Adoption, Config, Containerizer, Launched};
pub use error::{
    DestroyError, DestroyErrors, ExitRecordError, LaunchError, SetupError, SignalError, UsageError,
};
pub use exit::ExitRecord;
