//! Directories and files a task sees beside its root and sandbox. Persistent volumes are resources, not listed here.

use std::collections::BTreeMap;

use super::ImageSpec;

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Absolute, without `.` and `..`; created when the root is an image and lacks it.
    pub container_path: String,
    pub source: VolumeSource,
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// A file or directory of the agent's host, below what its operator allows.
    HostPath { path: String, propagation: Propagation },
    /// A directory in the task's sandbox, relative, created when missing.
    Sandbox { path: String },
    /// A directory that all tasks of the group share and that ends with the group; of a task without a group its own.
    Group { name: String },
    /// In memory, which counts against the task's; absent size means half of it. Bytes.
    Tmpfs { size: Option<u64> },
    /// A secret of the agent's, as one file that is never on a disk.
    Secret { name: String },
    /// The root file system of another image, read-only.
    Image(ImageSpec),
    /// A directory with a file for each key of a config, in memory.
    Config(ConfigFiles),
}

/// What of a config is in a directory, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFiles {
    /// One of those that the container uses.
    pub config: String,
    /// The files' names by key; empty means all keys, by their own names.
    pub items: BTreeMap<String, String>,
    /// Permissions of the files, for chmod(2).
    pub mode: u32,
}

/// What files of a config have, where it is not said.
pub const DEFAULT_CONFIG_MODE: u32 = 0o444;

/// Whether mounts made later are seen on the other side; see mount_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Propagation {
    #[default]
    Private,
    /// The task sees mounts the host makes there (slave).
    HostToContainer,
    /// And the host those the task makes (shared).
    Bidirectional,
}
