//! Errors, one enum per operation; each says what to do where something can be done.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use proffer_container::ContainerId;
use thiserror::Error;

/// The agent cannot run containers on this host.
#[derive(Debug, Error)]
pub enum SetupError {
    #[error("containers need root, if only of a user namespace, and this is user {uid}")]
    NotRoot { uid: u32 },
    #[error(
        "no cgroup hierarchy at `{}`: mount one (`mount -t cgroup2 none {}`)", mount.display(), mount.display()
    )]
    NoHierarchy { mount: PathBuf },
    #[error(
        "the cgroup controllers {missing} are not available at `{}`: boot without `cgroup_disable=`, or have the parent group delegate them (systemd: `Delegate=cpu cpuset io memory pids` of user@.service)", mount.display()
    )]
    ControllersMissing { mount: PathBuf, missing: String },
    #[error("the cgroup root `{0}` must be a relative path of plain names")]
    RootName(String),
    #[error("cannot {what} `{}`", path.display())]
    Cgroup {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot find out this process's namespaces")]
    Namespaces { source: io::Error },
    #[error("cannot put proffer-init into memory")]
    Init { source: io::Error },
}

/// A container that was not launched. Everything done for it has been undone, except what `undo` lists.
#[derive(Debug, Error)]
pub enum LaunchError {
    #[error("container `{0}` exists already")]
    Exists(ContainerId),
    #[error("cannot {step}{undo}")]
    Prepare {
        step: String,
        source: io::Error,
        undo: DestroyErrors,
    },
    #[error("cannot start proffer-init{undo}")]
    Spawn { source: io::Error, undo: DestroyErrors },
    #[error("cannot {step} in the container{undo}")]
    Container {
        step: String,
        source: io::Error,
        undo: DestroyErrors,
    },
    /// The command itself: not found, not executable, its working directory missing. The task's own fault.
    #[error("cannot execute `{program}`: {reason}{undo}")]
    Command {
        program: String,
        /// There is no such program.
        is_missing: bool,
        reason: String,
        undo: DestroyErrors,
    },
    #[error("the container was not up within {} s{undo}", after.as_secs())]
    TimedOut { after: Duration, undo: DestroyErrors },
    #[error("proffer-init ended before the command started{undo}")]
    InitDied { undo: DestroyErrors },
}

impl LaunchError {
    /// What a shell would exit with; see the EXIT STATUS of sh(1). None where it is not the command's fault.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Command { is_missing: true, .. } => Some(127),
            Self::Command { .. } => Some(126),
            Self::Exists(_)
            | Self::Prepare { .. }
            | Self::Spawn { .. }
            | Self::Container { .. }
            | Self::TimedOut { .. }
            | Self::InitDied { .. } => None,
        }
    }
}

/// A command that was not executed in a running container.
#[derive(Debug, Error)]
pub enum ExecError {
    #[error("{0}")]
    Request(&'static str),
    #[error("the container is not running")]
    Gone,
    #[error("the task is suspended")]
    Frozen,
    #[error(
        "the container was started by another version of the agent, which confined it in a way of its own"
    )]
    OtherVersion,
    #[error("cannot execute `{program}`: {reason}")]
    Command {
        program: String,
        /// There is no such program.
        is_missing: bool,
        reason: String,
    },
    #[error("cannot change into `{path}`: {reason}")]
    Directory { path: String, reason: String },
    #[error("cannot {step} for a command")]
    Step { step: &'static str, source: io::Error },
    #[error("cannot start a command")]
    Spawn(#[source] io::Error),
    #[error("the command was not started within {} s", .0.as_secs())]
    TimedOut(Duration),
}

/// A signal that was not delivered.
#[derive(Debug, Error)]
pub enum SignalError {
    #[error("container `{0}` is not running")]
    Gone(ContainerId),
    #[error("signal {signal} cannot be forwarded to a container")]
    Unsupported { signal: i32 },
    #[error("cannot signal container `{container_id}`")]
    Send {
        container_id: ContainerId,
        source: io::Error,
    },
}

/// An exit file that holds no record.
#[derive(Debug, Error)]
pub enum ExitRecordError {
    #[error("cannot read the exit file `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the exit file `{}` is damaged", path.display())]
    Damaged { path: PathBuf },
}

/// Counts that could not be read.
#[derive(Debug, Error)]
pub enum UsageError {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` has no number for `{key}`", path.display())]
    Parse { path: PathBuf, key: &'static str },
    #[error("container `{0}` is not running")]
    Gone(ContainerId),
}

/// A container that runs was not frozen, or not thawed.
#[derive(Debug, Error)]
#[error("cannot {what} container `{container_id}`")]
pub struct FreezeError {
    pub what: &'static str,
    pub container_id: ContainerId,
    pub source: io::Error,
}

/// A container that runs could not be given other limits.
#[derive(Debug, Error)]
#[error("cannot set the limits of container `{container_id}`")]
pub struct ResizeError {
    pub container_id: ContainerId,
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The containers could not be listed.
#[derive(Debug, Error)]
#[error("cannot list the agent's cgroups")]
pub struct ListError {
    #[from]
    source: io::Error,
}

/// One thing that could not be taken away.
#[derive(Debug, Error)]
pub enum DestroyError {
    #[error("cannot kill process {pid}: {source}")]
    Kill { pid: u32, source: io::Error },
    #[error("processes {pids:?} are still alive {} s after SIGKILL", after.as_secs())]
    StillAlive { pids: Vec<u32>, after: Duration },
    #[error("cannot remove `{}`: {source}", path.display())]
    Remove { path: PathBuf, source: io::Error },
}

/// Everything that could not be taken away; the rest is gone. Trying again is safe.
#[derive(Debug, Default)]
pub struct DestroyErrors(pub Vec<DestroyError>);

impl DestroyErrors {
    pub(crate) fn note(&mut self, outcome: Result<(), DestroyError>) {
        self.0.extend(outcome.err());
    }

    pub(crate) fn extend(&mut self, outcome: Result<(), Self>) {
        self.0
            .extend(outcome.err().into_iter().flat_map(|errors| errors.0));
    }

    pub(crate) fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// Empty without errors, so that it can follow another message.
impl fmt::Display for DestroyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|error| write!(f, "; {error}"))
    }
}

impl std::error::Error for DestroyErrors {}
