//! What the agent asks for: one container's name, command, resources and files.
//!
//! A [`ContainerId`] is a safe directory name and a safe cgroup name; everything else is checked when planning.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use proffer_types::container::logs::{DEFAULT_LOG_BYTES, DEFAULT_LOG_FILES};
use proffer_types::container::{DeviceAccess, Propagation};
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

/// What a container sees as `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// The host's own files, read-only, but for `hidden`: directories that are the agent's.
    Host {
        hidden: Vec<PathBuf>,
    },
    Image(ImageRoot),
}

/// An image's layers under a layer of the container's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRoot {
    /// Unpacked layers, the uppermost first; not empty.
    pub lower: Vec<PathBuf>,
    /// What the container changes, empty at its start, and overlayfs's own directory beside it. Absent means that the
    /// root cannot be written.
    pub upper: Option<(PathBuf, PathBuf)>,
    /// Where it is put together; an empty directory.
    pub mount_point: PathBuf,
}

/// Something mounted in the container. Never with device files; with set-user-id programs only from images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMount {
    pub source: MountSource,
    /// Absolute, without `.` and `..`; not where the kernel's own file systems are. In an image it is made when missing; a
    /// host must have it.
    pub container_path: PathBuf,
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A file or directory of the host; absolute.
    Bind { path: PathBuf, propagation: Propagation },
    /// Memory of the container's own, in bytes.
    Tmpfs { size: u64 },
    /// One file in memory, readable by the task's user alone.
    File { content: Vec<u8> },
    /// Layers of an image, the uppermost first.
    Overlay { lower: Vec<PathBuf> },
}

/// Whose network a container has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkNamespace {
    Host,
    /// Its own, with nothing but loopback, which is up.
    New,
    /// The one a path is bound to.
    Joined(PathBuf),
}

/// Whose System V and POSIX message queues, and `/dev/shm`, a container has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IpcNamespace {
    New,
    /// The namespace a path is bound to, and the directory that its members have as `/dev/shm`.
    Joined {
        namespace: PathBuf,
        shm: PathBuf,
    },
}

/// Whom a command runs as, in the container's user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// The user namespace of a container: its ids 0 to `count - 1` are the host's from `first`, for users and groups alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMap {
    pub first: u32,
    /// Not 0.
    pub count: u32,
}

/// The number of a device of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    pub major: u32,
    pub minor: u32,
}

/// A device node of the container, beside those that every container has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The same on the host and in the container; below `/dev`.
    pub path: PathBuf,
    pub is_block: bool,
    pub major: u32,
    pub minor: u32,
    pub access: DeviceAccess,
}

/// How much of the output is kept: of each stream `files` files of `max_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logs {
    pub max_bytes: u64,
    pub files: u32,
}

/// Where a container's files are on the host; all absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The task's own directory, its `HOME` and, without an image, where it starts. Created when missing.
    pub sandbox: PathBuf,
    /// The container's `/tmp`. Created when missing.
    pub tmp: PathBuf,
    /// Created when missing, gone on with at its end; older output is beside it as `<name>.<20 digits>`, the offset at
    /// which it ends.
    pub stdout: PathBuf,
    /// In the same directory.
    pub stderr: PathBuf,
    /// Where those who attach connect to a container with input. Made anew at launch.
    pub attach: PathBuf,
    /// Where proffer-init leaves the exit record. Emptied at launch. Out of the task's sight.
    pub exit: PathBuf,
}

/// One container to be launched: what the task wants as [`ContainerSpec`] has it, and what the agent found for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerConfig {
    pub container_id: ContainerId,
    /// Its command, environment, working directory and user are as the task gave them; `command`, `user` below and
    /// `root` are what became of them.
    pub spec: ContainerSpec,
    /// `cpus` and `mem` are guaranteed, and become limits where `limits` says nothing else. With revocable cpus the
    /// container runs when nobody else wants to.
    pub resources: Resources,
    pub limits: Limits,
    pub root: Root,
    /// Program and arguments, with what the image says. Not empty.
    pub command: Vec<String>,
    /// Under what `spec` says: what the image and the agent say.
    pub env: BTreeMap<String, String>,
    /// What the image says; the one of `spec` is stronger.
    pub working_directory: Option<String>,
    pub user: User,
    /// Absent means the host's user ids.
    pub id_map: Option<IdMap>,
    /// In the order in which they are mounted.
    pub mounts: Vec<VolumeMount>,
    pub network: NetworkNamespace,
    pub ipc: IpcNamespace,
    pub devices: Vec<Device>,
    /// The block devices of `spec.cgroup.io`, in its order: whole disks.
    pub io_devices: Vec<DeviceNumber>,
    /// The seccomp filter as the kernel takes it (`struct sock_filter`, 8 bytes each); empty means any call may be made.
    pub seccomp: Vec<u8>,
    pub logs: Logs,
    pub files: Files,
    /// The directory of the host with the socket of an executor, shown read-only at [`crate::EXECUTOR`]; absent for any
    /// other task.
    pub executor: Option<PathBuf>,
    /// The container's host name; absent means the container id, cut to what the kernel takes.
    pub hostname: Option<String>,
}

impl ContainerConfig {
    /// A container on the host's files and in the host's network, that runs as the host's root: what is least to be
    /// prepared.
    #[must_use]
    pub fn new(container_id: ContainerId, spec: ContainerSpec, resources: Resources, files: Files) -> Self {
        Self {
            container_id,
            command: spec.command.iter().chain(&spec.arguments).cloned().collect(),
            logs: Logs {
                max_bytes: spec.logs.max_bytes.unwrap_or(DEFAULT_LOG_BYTES),
                files: spec.logs.files.unwrap_or(DEFAULT_LOG_FILES),
            },
            spec,
            resources,
            limits: Limits::default(),
            root: Root::Host { hidden: Vec::new() },
            env: BTreeMap::new(),
            working_directory: None,
            user: User::default(),
            id_map: None,
            mounts: Vec::new(),
            network: NetworkNamespace::Host,
            ipc: IpcNamespace::New,
            devices: Vec::new(),
            io_devices: Vec::new(),
            seccomp: Vec::new(),
            files,
            executor: None,
            hostname: None,
        }
    }
}
