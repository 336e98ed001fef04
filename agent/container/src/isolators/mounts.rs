//! Mounts: the file systems that show the container's own namespaces, the devices every program may count on, and its
//! own places for files: the sandbox, `/tmp`, `/run`.

use std::path::{Path, PathBuf};

use proffer_types::container::Propagation;
pub use proffer_types::container::SANDBOX;

use super::{Draft, absolute, outside};
use crate::config::{ContainerConfig, IpcNamespace, NetworkNamespace};
use crate::root::{Access, Attach, Mount, Node, RootStep};
use crate::{HostFacts, InitStep, PayloadStep, PlanError, Version};

/// Where an executor finds the directory of its socket.
pub const EXECUTOR: &str = "/run/proffer/executor";

/// Where a container sees its own cgroup on v2, and nothing on v1.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The group that terminals belong to, by an old custom.
const TTY_GROUP: u32 = 5;

/// Half of the host's memory is what a tmpfs may have unless told otherwise; these are for lock files and sockets. All of
/// it counts as the task's memory.
const RUN_BYTES: u64 = 64 << 20;
const DEV_BYTES: u64 = 64 << 10;

const NOTHING: Access = Access {
    read_only: false,
    execute: false,
    devices: false,
};

/// Name, major and minor of the devices every program may count on; anybody may use them.
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// What the OCI runtimes hide: what tells about the host as a whole, or about other containers.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What the OCI runtimes let be read only: what rules the host as a whole.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The largest group there can be a rule for who may ping (`GID_T_MAX`, include/net/ping.h).
const LAST_GROUP: u32 = i32::MAX.cast_unsigned();

/// What was opened of the host beside the container's own directories, by an agent that cannot make it.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    devices: Vec<(usize, PathBuf)>,
    sysfs: Option<usize>,
}

/// Opens what is of the host, while its paths mean what the host means by them.
///
/// An agent without root can make no device files, and mounts sysfs only for a network of its own
/// (`kobj_ns_current_may_mount`); its containers see those of the host.
pub(crate) fn open(
    config: &ContainerConfig,
    host: &HostFacts,
    draft: &mut Draft,
) -> Result<Opened, PlanError> {
    let shm = match &config.ipc {
        IpcNamespace::New => None,
        IpcNamespace::Joined { shm, .. } => Some(shm),
    };
    let own = [&config.files.sandbox, &config.files.tmp];
    for path in own.into_iter().chain(shm).chain(&config.executor) {
        absolute("the directory to be mounted", path)?;
        draft.open_tree(path);
    }
    let mut opened = Opened::default();
    if host.rootless.is_none() {
        return Ok(opened);
    }
    let own = DEVICES
        .iter()
        .map(|(name, ..)| PathBuf::from(format!("/dev/{name}")));
    for path in own.chain(config.devices.iter().map(|device| device.path.clone())) {
        opened.devices.push((draft.open_tree(&path), path));
    }
    if config.network == NetworkNamespace::Host {
        opened.sysfs = Some(draft.open_tree(Path::new("/sys")));
    }
    Ok(opened)
}

/// Mounts the container's own file systems.
pub(crate) fn mount(config: &ContainerConfig, host: &HostFacts, opened: Opened, draft: &mut Draft) {
    draft.mount("proc", "/proc", NOTHING, vec![]);
    let read_only = Access {
        read_only: true,
        ..NOTHING
    };
    match opened.sysfs {
        Some(tree) => draft.root(RootStep::Attach(Attach {
            read_only: true,
            ..own(tree, "/sys".into())
        })),
        None => draft.mount("sysfs", "/sys", read_only, vec![]),
    }
    devices(config, host, opened.devices, draft);
    let root = outside(config, (0, 0));
    let owned = |mode: &str, size: u64| {
        vec![
            ("mode", mode.to_owned()),
            ("uid", root.0.to_string()),
            ("gid", root.1.to_string()),
            ("size", size.to_string()),
        ]
    };
    let execute = Access {
        execute: true,
        ..NOTHING
    };
    draft.mount("tmpfs", "/run", execute, owned("0755", RUN_BYTES));
    for (path, mode) in [("/run/proffer", 0o755), ("/run/lock", 0o1777)] {
        let owner = (0, 0);
        let path = PathBuf::from(path);
        draft.root(RootStep::MakeDirectory { path, mode, owner });
    }
    for (tree, target) in [SANDBOX, "/tmp"].into_iter().enumerate() {
        draft.attach(tree, target);
    }
    if config.executor.is_some() {
        let tree = match config.ipc {
            IpcNamespace::New => 2,
            IpcNamespace::Joined { .. } => 3,
        };
        draft.root(RootStep::Attach(Attach {
            read_only: true,
            ..own(tree, EXECUTOR.into())
        }));
    }
}

/// Makes a `/dev` with nothing of the host's.
fn devices(config: &ContainerConfig, host: &HostFacts, opened: Vec<(usize, PathBuf)>, draft: &mut Draft) {
    let access = Access {
        devices: true,
        ..NOTHING
    };
    let options = [("mode", "0755".to_owned()), ("size", DEV_BYTES.to_string())];
    draft.mount("tmpfs", "/dev", access, options.to_vec());
    for (tree, path) in opened {
        draft.root(RootStep::Attach(Attach {
            is_device: true,
            ..own(tree, path)
        }));
    }
    if host.rootless.is_none() {
        nodes(config, draft);
    }
    for (path, target) in LINKS {
        draft.root(RootStep::MakeLink { path, target });
    }
    let group = outside(config, (0, TTY_GROUP)).1.to_string();
    let terminals = [("mode", "0620"), ("ptmxmode", "0666"), ("gid", &group)];
    let terminals = terminals.map(|(key, value)| (key, value.to_owned()));
    draft.mount("devpts", "/dev/pts", access, terminals.to_vec());
    match config.ipc {
        IpcNamespace::New => draft.mount("tmpfs", "/dev/shm", NOTHING, vec![("mode", "1777".to_owned())]),
        IpcNamespace::Joined { .. } => draft.attach(2, "/dev/shm"),
    }
    if host.has_mqueue {
        draft.mount("mqueue", "/dev/mqueue", NOTHING, vec![]);
    }
}

/// Makes the device files.
fn nodes(config: &ContainerConfig, draft: &mut Draft) {
    for (name, major, minor) in DEVICES {
        draft.root(RootStep::MakeNode(Node {
            path: PathBuf::from(format!("/dev/{name}")),
            is_block: false,
            major,
            minor,
            mode: 0o666,
            owner: outside(config, (0, 0)),
        }));
    }
    for device in &config.devices {
        draft.root(RootStep::MakeNode(Node {
            path: device.path.clone(),
            is_block: device.is_block,
            major: device.major,
            minor: device.minor,
            mode: 0o666,
            owner: outside(config, (0, 0)),
        }));
    }
}

/// Hides, or makes read-only, what the kernel shows of the whole host. Before that, sets what a network of its own lets
/// a task do without privileges: listen on any port, and ping.
pub(crate) fn mask(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) {
    if config.network == NetworkNamespace::New {
        draft.init.push(InitStep::LoopbackUp);
    }
    if config.network != NetworkNamespace::Host {
        // What the agent's own user namespace does not have cannot be named.
        let groups = host.rootless.map_or((0, LAST_GROUP), |ids| {
            (ids.first, ids.first.saturating_add(ids.count.saturating_sub(1)))
        });
        for (path, value) in [
            ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0".to_owned()),
            (
                "/proc/sys/net/ipv4/ping_group_range",
                format!("{} {}", groups.0, groups.1.min(LAST_GROUP)),
            ),
        ] {
            draft.root(RootStep::Write { path, value });
        }
    }
    for path in READ_ONLY {
        draft.root(RootStep::ReadOnly(path));
    }
    for path in MASKED {
        draft.root(RootStep::Cover(path.into()));
    }
}

/// Shows the payload its own cgroup. On v1 there is nothing to see, on v2 its own limits.
pub(crate) fn cgroups(host: &HostFacts, draft: &mut Draft) {
    let cover = |filesystem, options| {
        PayloadStep::Mount(Mount {
            filesystem,
            target: PathBuf::from(CGROUPS),
            access: Access {
                read_only: true,
                ..NOTHING
            },
            options,
        })
    };
    draft.payload.push(match host.version {
        Version::V2 => cover("cgroup2", vec![]),
        Version::V1 => cover("tmpfs", vec![("mode", "0555".to_owned())]),
    });
}

impl Draft {
    fn mount(
        &mut self,
        filesystem: &'static str,
        target: &str,
        access: Access,
        options: Vec<(&'static str, String)>,
    ) {
        self.root(RootStep::Mount(Mount {
            filesystem,
            target: target.into(),
            access,
            options,
        }));
    }

    fn attach(&mut self, tree: usize, target: &str) {
        self.root(RootStep::Attach(own(tree, target.into())));
    }
}

/// What only the container sees, and may write to.
fn own(tree: usize, target: PathBuf) -> Attach {
    Attach {
        tree,
        target,
        read_only: false,
        is_device: false,
        propagation: Propagation::Private,
    }
}
