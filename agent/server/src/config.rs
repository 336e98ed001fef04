//! What an operator tells an agent.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use proffer_container::{IdMap, Pool};
use proffer_network::Subnet;
use proffer_types::container::Capability;
use proffer_types::{Attribute, FaultDomain, Resources};
use tokio::sync::oneshot;

use crate::ReconfigurationPolicy;

/// Where Linux mounts cgroups.
const CGROUP_MOUNT: &str = "/sys/fs/cgroup";

/// What an operator tells an agent.
#[derive(Debug)]
pub struct Config {
    /// `host:port` of each master; tried in turn. Not empty.
    pub masters: Vec<String>,
    /// Where the agent's own API listens.
    pub listen: SocketAddr,
    /// `host:port` under which others reach the API; absent means `listen`, with the host name in place of
    /// an unspecified address.
    pub advertise: Option<String>,
    /// Checkpoints, sandboxes and the agent's id. One agent a directory.
    pub data_dir: PathBuf,
    /// Where cgroups are mounted or, for an agent without root, the group that was delegated to it.
    pub cgroup_mount: PathBuf,
    /// What to offer; names not given here are detected. Plain, or under one static reservation.
    pub resources: Resources,
    /// What to offer beyond `resources`, and to take back from its users at any time. Only cpus.
    pub revocable: Resources,
    /// Devices to offer beside `resources`, each to one task at a time.
    pub devices: Pool,
    pub attributes: Vec<Attribute>,
    /// What this machine shares its failures with.
    pub domain: Option<FaultDomain>,
    /// Absent means the host's own name.
    pub hostname: Option<String>,
    /// Allows `listen` to be other than loopback although there is no authentication.
    pub insecure_listen: bool,
    /// Whether tasks end with the agent; by default they go on and the next agent takes them back.
    pub kill_tasks_on_stop: bool,
    /// What tasks may have of this host's files, and for how long theirs are kept.
    pub files: FilePolicy,
    pub network: NetworkConfig,
    /// Where images come from, what they may cost, and how long they are kept.
    pub images: proffer_image::Config,
    /// What tasks may do beyond running.
    pub security: SecurityPolicy,
    /// How much of what the operator says may differ from the last start.
    pub reconfiguration_policy: ReconfigurationPolicy,
    /// Told the bound address, for those who listen on port 0.
    pub listening: Option<oneshot::Sender<SocketAddr>>,
}

/// What tasks may have of this host's files, and for how long theirs are kept.
#[derive(Debug, Clone)]
pub struct FilePolicy {
    /// Files and directories of this host that tasks may mount; what is below them too.
    pub allowed_host_paths: Vec<PathBuf>,
    /// Files and directories of this host that tasks may fetch by `file://`.
    pub allowed_fetch_paths: Vec<PathBuf>,
    /// Has a file a secret.
    pub secrets: Option<PathBuf>,
    /// A program that prints the secret it is called with.
    pub secret_resolver: Option<PathBuf>,
    /// The most that fetched files may take which are kept for other tasks, in bytes.
    pub fetch_cache_bytes: u64,
    /// The bytes that the files of a task may take which asks for no disk; absent means that nothing bounds them.
    pub default_disk: Option<u64>,
    /// Who holds tasks to their disk.
    pub disk_quota: DiskQuota,
    /// The project ids of `DiskQuota::Project`. Nobody else who uses the file system should have one of them, other
    /// agents excepted.
    pub project_ids: ProjectIds,
    /// How long the sandbox of an ended task is kept, on a disk that is empty; the fuller it is, the shorter.
    pub gc_delay: Duration,
    /// The part of the disk, from 0 to 1, that sandboxes of ended tasks make way for.
    pub gc_disk_headroom: f64,
}

impl Default for FilePolicy {
    /// Nothing of the host, no secrets, and what Mesos has for the rest (`fetcher_cache_size`, `gc_delay`,
    /// `gc_disk_headroom`).
    fn default() -> Self {
        Self {
            allowed_host_paths: Vec::new(),
            allowed_fetch_paths: Vec::new(),
            secrets: None,
            secret_resolver: None,
            fetch_cache_bytes: 2 << 30,
            default_disk: None,
            disk_quota: DiskQuota::Auto,
            project_ids: ProjectIds::default(),
            gc_delay: Duration::from_secs(7 * 24 * 60 * 60),
            gc_disk_headroom: 0.1,
        }
    }
}

/// Who holds tasks to their disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskQuota {
    /// The file system where it can, else the agent.
    Auto,
    /// The file system, by its project quotas; without them the agent does not start.
    Project,
    /// The agent, which measures.
    Measured,
}

/// Project ids from the first to the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectIds {
    first: u32,
    last: u32,
}

impl ProjectIds {
    /// None where there would be no id, or the id 0, which means no project.
    #[must_use]
    pub fn new(first: u32, last: u32) -> Option<Self> {
        (0 < first && first <= last).then_some(Self { first, last })
    }

    pub(crate) fn contains(self, id: u32) -> bool {
        (self.first..=self.last).contains(&id)
    }

    /// The id of a number, which wraps around at the last one.
    pub(crate) fn nth(self, n: u32) -> u32 {
        match (self.last - self.first).checked_add(1) {
            Some(count) => self.first + n % count,
            None => n,
        }
    }
}

impl Default for ProjectIds {
    /// Far above what hosts give (`/etc/projid`), and far more than there are sandboxes of tasks, live and ended.
    fn default() -> Self {
        let first = 0x7000_0000;
        Self {
            first,
            last: first + (1 << 20) - 1,
        }
    }
}

/// What an operator says of the networks that tasks may have of their own.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// What addresses the agent's bridge gives out.
    pub bridge_subnet: Subnet,
    /// Whether the first task on the bridge may switch on forwarding of packets for the host.
    pub set_ip_forward: bool,
    /// Where CNI network configurations are.
    pub cni_config_dir: PathBuf,
    /// Where CNI plugins are, looked through in order.
    pub cni_plugin_dirs: Vec<PathBuf>,
}

/// Where other runtimes have CNI, too.
impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            bridge_subnet: Subnet::default(),
            set_ip_forward: false,
            cni_config_dir: "/etc/cni/net.d".into(),
            cni_plugin_dirs: ["/opt/cni/bin", "/usr/lib/cni"].map(PathBuf::from).into(),
        }
    }
}

/// What tasks may do beyond running.
#[derive(Debug, Clone)]
pub struct SecurityPolicy {
    /// The ids that tasks have as theirs: of the host, and no user, and no other agent, of it should have one of them; or of
    /// a rootless agent's user namespace. Absent means [`DEFAULT_IDS`], or all that a rootless agent has.
    pub id_map: Option<IdMap>,
    /// Capabilities that tasks may have beside the default ones.
    pub capabilities: BTreeSet<Capability>,
    /// Devices that tasks may use, and directories whose devices they may.
    pub devices: Vec<PathBuf>,
    /// Whether tasks may ask for no seccomp filter, the host's user ids, and set-user-id programs.
    pub unconfined: bool,
    /// Has a file `NAME.json` for each seccomp profile that tasks may ask for.
    pub seccomp_profiles: Option<PathBuf>,
}

/// The ids of tasks where the operator does not say. Far above what hosts give to users, and to the containers of users
/// (`/etc/subuid`); as many as there are on a host by an old custom, where `nobody` is 65534.
pub(crate) const DEFAULT_IDS: IdMap = IdMap {
    first: 1_879_048_192,
    count: 65536,
};

impl Default for SecurityPolicy {
    /// Nothing.
    fn default() -> Self {
        Self {
            id_map: None,
            capabilities: BTreeSet::new(),
            devices: Vec::new(),
            unconfined: false,
            seccomp_profiles: None,
        }
    }
}

impl Config {
    /// A config with nothing but defaults: it runs everything that fits on this host.
    #[must_use]
    pub fn new(masters: Vec<String>, listen: SocketAddr, data_dir: PathBuf) -> Self {
        Self {
            masters,
            listen,
            advertise: None,
            data_dir,
            cgroup_mount: CGROUP_MOUNT.into(),
            resources: Resources::new(),
            revocable: Resources::new(),
            devices: Pool::default(),
            attributes: Vec::new(),
            domain: None,
            hostname: None,
            insecure_listen: false,
            kill_tasks_on_stop: false,
            files: FilePolicy::default(),
            network: NetworkConfig::default(),
            images: proffer_image::Config::default(),
            security: SecurityPolicy::default(),
            reconfiguration_policy: ReconfigurationPolicy::default(),
            listening: None,
        }
    }
}
