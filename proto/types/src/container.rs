//! What runs in a container, and how it is confined; the part of a task the agent's isolators read.
//!
//! A spec says what a task wants. What it may have is the agent's to say: its flags bound every field that reaches
//! beyond the task.

pub mod check;
pub mod config;
pub mod fetch;
pub mod image;
pub mod limits;
pub mod logs;
pub mod network;
pub mod restart;
pub mod retention;
pub mod security;
pub mod volume;

use std::collections::BTreeMap;

pub use check::{Check, CheckKind, PortRef};
pub use config::{ConfigUse, ConfigVariables, OnChange, ReloadSignal};
pub use fetch::Fetch;
pub use image::{ImageSpec, PullPolicy};
pub use limits::{CgroupSettings, HugepageLimit, IoLimit, Rlimit, RlimitKind};
pub use logs::LogSettings;
pub use network::{NetworkMode, NetworkSpec, PortMapping, Protocol};
pub use restart::{RestartOn, RestartPolicy};
pub use retention::Retention;
pub use security::{Capability, DeviceAccess, DeviceSpec, Seccomp, Security, UserNamespace};
pub use volume::{ConfigFiles, DEFAULT_CONFIG_MODE, Propagation, VolumeSource, VolumeSpec};

/// Where a task finds its sandbox, whatever its root file system is.
pub const SANDBOX: &str = "/run/proffer/sandbox";

/// One container. Its cpus, memory and disk are not here: they follow from the task's resources.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerSpec {
    /// What the task sees as its root file system; absent means the agent's own, read-only.
    pub image: Option<ImageSpec>,
    /// The program and its first arguments, in place of the image's entrypoint and command; looked up on the task's
    /// PATH when it holds no slash. Empty only with an image. No NUL bytes.
    pub command: Vec<String>,
    /// Follow `command`; where that is empty they follow the image's entrypoint, in place of its command.
    pub arguments: Vec<String>,
    /// Over what the image says.
    pub env: BTreeMap<String, String>,
    /// Variables that hold secrets of the agent, by variable; the value is the secret's name.
    pub secret_env: BTreeMap<String, String>,
    /// Absolute; absent means the image's, and without one the task's sandbox.
    pub working_directory: Option<String>,
    /// `user[:group]`, names or numbers, as the task's root file system knows them; absent means the image's, and
    /// without one root, which is nobody outside the task's user namespace.
    pub user: Option<String>,
    pub supplementary_groups: Vec<u32>,
    /// The most processes and threads at once; absent means the agent's default.
    pub pids_limit: Option<u64>,
    pub rlimits: Vec<Rlimit>,
    pub cgroup: CgroupSettings,
    pub security: Security,
    pub volumes: Vec<VolumeSpec>,
    pub network: NetworkSpec,
    /// Put into the sandbox before the task starts, in order.
    pub fetch: Vec<Fetch>,
    /// Whether the task lives; it is killed when it does not.
    pub health: Option<Check>,
    /// Whether the task can take work; reported only.
    pub readiness: Option<Check>,
    pub restart: RestartPolicy,
    pub logs: LogSettings,
    pub retention: Retention,
    /// Whether the task has a terminal instead of three pipes.
    pub tty: bool,
    /// Whether the task's stdin is a pipe that clients may write to, instead of being empty. A terminal always takes
    /// input.
    pub stdin: bool,
    /// The configs of the framework that it has files and variables of, each name once.
    pub configs: Vec<ConfigUse>,
    pub config_env: Vec<ConfigVariables>,
    /// With it the agent reads the configs; empty without any. Not shown to people.
    pub config_token: String,
}
