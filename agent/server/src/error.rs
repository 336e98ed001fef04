//! Why an agent does not start, or ends.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use proffer_container::IdMap;
use proffer_grpc::net::ListenError;
use thiserror::Error;

use crate::ReconfigurationPolicy;

/// Why an agent does not start, or ends; says what to do.
#[derive(Debug, Error)]
pub enum AgentError {
    #[error("no master is given: name at least one as host:port")]
    NoMaster,
    #[error("master `{address}` is not a host:port")]
    MasterAddress { address: String },
    #[error("cannot use the data directory `{}`: give one that this user can write, with --data-dir", path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error("the data directory `{}` is in use by another agent: stop that one, or give another --data-dir", path.display())]
    DataDirInUse { path: PathBuf },
    #[error("the data directory `{}` was written by a newer agent, in format {found}; this one knows {known}: use a newer agent, or give another --data-dir", path.display())]
    NewerFormat { path: PathBuf, found: u32, known: u32 },
    #[error("cannot read `{}`, which says what format the data directory has: put it back; if no newer agent was ever started on it, remove the file", path.display())]
    FormatUnread {
        path: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot read the checkpoint `{}` now: let the agent have more of what is short, and start it again", path.display())]
    Shortage {
        path: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot write the agent's id to `{}`: free some space or fix its permissions", path.display())]
    SaveAgentId { path: PathBuf, source: io::Error },
    #[error("cannot write `{}`: free some space or fix its permissions", path.display())]
    SaveBoot { path: PathBuf, source: io::Error },
    #[error("cannot write `{}`: free some space or fix its permissions", path.display())]
    SaveFacts { path: PathBuf, source: io::Error },
    #[error(
        "this agent has tasks that were placed on it as it was, and --reconfiguration-policy {policy} does not let it change so: {}; start it as before{}, drain it, and change it when its tasks have ended",
        differences.join("; "),
        if *policy == ReconfigurationPolicy::Equal { " (or with --reconfiguration-policy additive to give it more)" } else { "" },
    )]
    Reconfigured {
        policy: ReconfigurationPolicy,
        differences: Vec<String>,
    },
    #[error(transparent)]
    ListenAddress(#[from] ListenError),
    #[error("cannot listen on {address}: stop what uses the port, or give another --listen")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot find out this host's {what}: state it with --resources")]
    Detect {
        what: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("this host gives user {uid} no place for an agent")]
    Tree {
        uid: u32,
        source: proffer_linux::TreeError,
    },
    #[error("cannot become root of a user namespace")]
    Rootless(#[from] proffer_linux::RootlessError),
    #[error(
        "the ids of tasks, {} from {}, are not among the {} from {} that a rootless agent has: give others with --id-range, or its user more in /etc/subuid and /etc/subgid",
        ids.count, ids.first, all.count, all.first
    )]
    IdRange { ids: IdMap, all: IdMap },
    #[error("cannot make the default seccomp filter")]
    Seccomp {
        source: proffer_container::seccomp::SeccompError,
    },
    #[error("cannot use the seccomp profile `{}`: mend it, or move it out of the directory of --seccomp-profiles", path.display())]
    SeccompProfile {
        path: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{0}: leave it out of --resources and --revocable")]
    Stated(String),
    #[error("what is reserved on this agent is not covered: give more with --resources")]
    Restore(#[from] proffer_agent_core::RestoreError),
    #[error("cannot read `{}`, which holds this agent's reservations and volumes: put it back from a backup, or move it away with the directory `volumes` to begin anew", path.display())]
    ResourcesCheckpoint {
        path: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot offer a device: fix --device")]
    Device(#[from] proffer_linux::DeviceError),
    #[error("disk quotas by project cannot be had: do without --disk-quota project")]
    DiskQuota {
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot keep fetched files")]
    Fetched(#[from] proffer_fetch::FetchError),
    #[error("cannot run containers on this host")]
    Containers(#[from] proffer_linux::SetupError),
    #[error("cannot manage the networks of tasks")]
    Networks(#[from] proffer_network::OpenError),
    #[error(transparent)]
    Images(#[from] proffer_image::OpenError),
    #[error("the master refused this agent: {message}")]
    Refused { message: String },
    #[error("the agent's API ended")]
    Api { source: io::Error },
    #[error("gRPC reflection could not be set up")]
    Reflection(#[from] tonic_reflection::server::Error),
}
