//! From a container's spec and host facts to a plan of steps, one file per isolator.
//!
//! Pure: [`plan`] reads nothing but its arguments, and the [`LaunchPlan`] it returns is data that
//! `proffer-linux` carries out without a choice of its own. What the host cannot enforce is a
//! [`PlanError`], never left out of the plan.

pub mod config;
pub mod devices;
pub mod host;
mod isolators;
pub mod plan;
pub mod policy;
pub mod pool;
pub mod resize;
pub mod root;
pub mod seccomp;
pub mod step;
#[cfg(test)]
mod tests;

pub use config::{
    ContainerConfig, ContainerId, DEFAULT_PIDS_LIMIT, Device, DeviceNumber, Files, IdMap, ImageRoot,
    IpcNamespace, Logs, MountSource, NetworkNamespace, ParseContainerIdError, Root, User, VolumeMount,
};
pub use devices::DeviceRule;
pub use host::{Controller, Extras, HostFacts, Version};
pub use isolators::mounts::{EXECUTOR, SANDBOX};
pub use plan::{LaunchPlan, PlanError, plan};
pub use policy::{Policy, Refused};
pub use pool::{Assignment, CountedDevices, PickError, Pool, PoolError};
pub use resize::resize;
pub use root::{Access, Attach, Layers, Mount, MountLayers, MountRoot, NewFile, Node, RootStep};
pub use step::{
    FileRole, InitStep, IoRates, Leaf, Limit, Namespace, PayloadStep, PrepareStep, Set, StdioKind,
};
