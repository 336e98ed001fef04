//! Carries out launch plans on Linux: namespaces, cgroups, pidfds.
//!
//! [`Containerizer`] is the whole of it: blocking, `Send + Sync`, with no thread of its own. It forks nothing:
//! containers start from a small program (`proffer-init`) that it spawns with vfork semantics, and that outlives it.
#![expect(unsafe_code, reason = "pidfds and raw descriptors have no safe calls in nix")]

pub mod attach;
mod cgroups;
mod clone;
pub mod containerizer;
mod descriptors;
pub mod device;
mod embedded;
pub mod error;
pub mod exec;
pub mod exit;
pub mod host;
mod launch;
pub mod netns;
mod network;
pub mod output;
mod process;
mod program;
pub mod quota;
pub mod rootless;
mod spawn;
mod template;
mod userns;
pub mod watch;

pub use containerizer::{Adoption, Config, Containerizer, Launched};
pub use descriptors::raise_descriptor_limit;
pub use device::{DeviceError, device, disk};
pub use error::{
    DestroyError, DestroyErrors, ExecError, ExitRecordError, FreezeError, LaunchError, ListError,
    ResizeError, SetupError, SignalError, UsageError,
};
pub use exec::{Exec, ExecIo, ExecRequest, WindowSize};
pub use exit::ExitRecord;
pub use host::free_disk_bytes;
pub use netns::NetnsError;
pub use quota::{ProjectQuota, ProjectUsage, QuotaError};
pub use rootless::{RootlessError, TreeError};
