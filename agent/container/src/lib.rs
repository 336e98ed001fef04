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
pub mod step;
#[cfg(test)]
mod tests;

pub use config::{
    ContainerConfig, ContainerId, DEFAULT_PIDS_LIMIT, Device, DeviceNumber, Files, IdMap, ImageRoot,
    IpcNamespace, Logs, MountSource, NetworkNamespace, ParseContainerIdError, Root, User, VolumeMount,
};
pub use devices::DeviceRule;
pub use host::{Controller, Extras, HostFacts, OPTIONAL_MOUNT_POINTS, Version};
pub use plan::{LaunchPlan, PlanError, plan};
pub use step::{
    BindMount, FileRole, InitStep, IoRates, Leaf, Limit, Mount, Namespace, PayloadStep, PrepareStep, Set,
    StdioKind,
};
