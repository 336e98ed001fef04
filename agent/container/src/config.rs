//! What the agent asks for: one container's name, command, resources and files.
//!
//! A [`ContainerId`] is a safe directory name and a safe cgroup name; everything else is checked when planning.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use proffer_types::{ContainerSpec, Limits, Resources};
use thiserror::Error;

/// The longest container id, in bytes: a cgroup directory's name with room to spare (`NAME_MAX` is 255).
pub const MAX_CONTAINER_ID_BYTES: usize = 128;

/// The most processes and threads of a container whose spec names no limit: enough for a build or a
/// JVM, and a fork bomb stops long before the host's `pid_max`.
pub const DEFAULT_PIDS_LIMIT: u64 = 1024;

/// The name of a container on its host.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(Arc<str>);

/// A text that cannot be a container id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "container id `{0}` must be 1 to {MAX_CONTAINER_ID_BYTES} letters, digits, `-`, `_` or `.`, and start with a letter or digit"
)]
pub struct ParseContainerIdError(String);

impl ContainerId {
    /// Checks and wraps a name.
    pub fn new(id: impl AsRef<str>) -> Result<Self, ParseContainerIdError> {
        let id = id.as_ref();
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let starts_well = id.starts_with(|c: char| c.is_ascii_alphanumeric());
        // `cgroup.x` would collide with the kernel's own files.
        if starts_well
            && id.len() <= MAX_CONTAINER_ID_BYTES
            && id.chars().all(good)
            && !id.starts_with("cgroup.")
        {
            Ok(Self(id.into()))
        } else {
            Err(ParseContainerIdError(id.escape_debug().to_string()))
        }
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One persistent volume, and where the container sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMount {
    /// Absolute; the volume's directory on the host.
    pub source: PathBuf,
    /// An existing directory of the host, which the volume covers in the container only. Absolute, without `.` and
    /// `..`; not where the kernel's own file systems are.
    pub container_path: PathBuf,
}

/// One container to be launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerConfig {
    pub container_id: ContainerId,
    pub spec: ContainerSpec,
    /// `cpus` and `mem` are guaranteed, and become limits where `limits` says nothing else; the rest is not
    /// enforced here. With revocable cpus the container runs when nobody else wants to.
    pub resources: Resources,
    pub limits: Limits,
    /// The volumes among `resources`.
    pub volumes: Vec<VolumeMount>,
    /// Absolute; created when missing, its parents too. The task's working directory and `HOME`.
    pub sandbox: PathBuf,
    /// Absolute; created when missing, appended to.
    pub stdout: PathBuf,
    /// Absolute; created when missing, appended to.
    pub stderr: PathBuf,
    /// Absolute; where proffer-init leaves the exit record. Emptied at launch. Best outside the sandbox.
    pub exit_file: PathBuf,
    /// The container's host name; absent means the container id, cut to what the kernel takes.
    pub hostname: Option<String>,
}
