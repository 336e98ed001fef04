//! The agent's shell: the link to the master, checkpoints, containers, its own API.
//!
//! [`run`] is the whole of it. One task, the [`driver`], owns the core; everything else sends it commands and
//! gets its effects. Nothing the core decides is decided again here.

mod api;
mod checkpoint;
mod checks;
mod clock;
mod config;
mod configs;
mod containers;
mod data_dir;
mod descriptor;
mod disk;
mod driver;
mod error;
mod executors;
mod host;
mod link;
mod metrics;
mod perform;
mod provision;
mod reconfiguration;
pub mod rootless;
mod run;
mod sandbox;
mod secrets;
mod shared;
mod shortage;
mod volumes;

pub use config::{Config, DiskQuota, FilePolicy, NetworkConfig, ProjectIds, SecurityPolicy};
pub use error::AgentError;
pub use proffer_container::{CountedDevices, IdMap, Pool};
pub use proffer_network::Subnet;
pub use reconfiguration::ReconfigurationPolicy;
pub use run::run;
