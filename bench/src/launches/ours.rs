//! Containers as an agent launches them by default: every namespace, user ids of their own, the default capabilities and
//! seccomp filter.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use proffer_container::seccomp::default_filter;
use proffer_container::{
    ContainerConfig, ContainerId, Files, IdMap, ImageRoot, NetworkNamespace, Root, plan,
};
use proffer_linux::{Config, Containerizer};
use proffer_types::{ContainerSpec, Limit, Limits, Resources, TaskExit};
use rustix::event::{PollFd, PollFlags, poll};

use super::stamp;

/// What a limited container has, and those of other runtimes beside it.
pub(super) const CPU_MILLIS: u64 = 500;
pub(super) const MEM_BYTES: u64 = 64 << 20;
pub(super) const PIDS: u64 = 64;

/// Like an agent's.
const ID_MAP: IdMap = IdMap {
    first: 1_000_000,
    count: 65_536,
};

/// Whose network a container has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Network<'a> {
    #[default]
    Host,
    New,
    Joined(&'a Path),
}

/// One kind of container.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kind<'a> {
    pub(crate) is_limited: bool,
    pub(crate) network: Network<'a>,
    /// Layers, the uppermost first.
    pub(crate) image: Option<&'a [PathBuf]>,
}

/// Milliseconds from the config.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    /// To the return of the launch, which tells that the program has been executed.
    pub(crate) executed: f64,
    /// To the program's own first moment.
    pub(crate) ran: f64,
    /// Of the destruction afterwards.
    pub(crate) destroyed: f64,
}

/// An agent's containerizer, with a cgroup root and a directory of its own.
#[derive(Debug)]
pub(crate) struct Ours {
    containerizer: Containerizer,
    dir: PathBuf,
    stamp: String,
    filter: Vec<u8>,
}

impl Ours {
    pub(crate) fn new(dir: &Path, stamp: &Path) -> Result<Self> {
        let containerizer = Containerizer::new(&Config {
            cgroup_root: format!("proffer-bench-{}", std::process::id()),
            cgroup_mount: PathBuf::from("/sys/fs/cgroup"),
        })?;
        Ok(Self {
            containerizer,
            dir: dir.to_owned(),
            stamp: stamp.display().to_string(),
            filter: default_filter()?,
        })
    }

    /// Launches a container, waits for its end and destroys it.
    pub(crate) fn run(&self, kind: Kind<'_>) -> Result<Took> {
        let dir = self.dir.join("container");
        if dir.exists() {
            // Of a launch that failed.
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir(&dir)?;
        let id = ContainerId::new("container")?;
        let start = stamp::now();
        let config = self.config(id.clone(), &dir, kind)?;
        let plan = plan(&config, self.containerizer.host_facts())?;
        let launched = self.containerizer.launch(&plan)?;
        let executed = stamp::now();
        poll(&mut [PollFd::new(&launched.pidfd, PollFlags::IN)], None)?;
        let record = self.containerizer.exit_record(&dir.join("exit"))?;
        let destroying = stamp::now();
        self.containerizer.destroy(&id)?;
        let destroyed = stamp::now();
        let record = record.context("no exit record")?;
        ensure!(record.exit == TaskExit::Code(0), "{record:?}");
        let ran = stamp::read(&fs::read_to_string(dir.join("stdout"))?)?;
        fs::remove_dir_all(&dir)?;
        Ok(Took {
            executed: stamp::millis(start, executed),
            ran: stamp::millis(start, ran),
            destroyed: stamp::millis(destroying, destroyed),
        })
    }

    fn config(&self, id: ContainerId, dir: &Path, kind: Kind<'_>) -> Result<ContainerConfig> {
        let program = match kind.image {
            Some(_) => format!("/{}", stamp::NAME),
            None => self.stamp.clone(),
        };
        let mut spec = ContainerSpec {
            command: vec![program],
            ..ContainerSpec::default()
        };
        let mut resources = Resources::of(10, 8 << 20, 0);
        let mut limits = Limits {
            cpus: Some(Limit::Infinite),
            mem: Some(Limit::Infinite),
        };
        if kind.is_limited {
            resources = Resources::of(CPU_MILLIS, MEM_BYTES, 0);
            limits = Limits::default();
            spec.pids_limit = Some(PIDS);
        }
        let files = Files {
            sandbox: dir.join("sandbox"),
            tmp: dir.join("tmp"),
            stdout: dir.join("stdout"),
            stderr: dir.join("stderr"),
            attach: dir.join("attach"),
            exit: dir.join("exit"),
        };
        let root = match kind.image {
            Some(lower) => Root::Image(image(lower, dir)?),
            None => Root::Host { hidden: Vec::new() },
        };
        let network = match kind.network {
            Network::Host => NetworkNamespace::Host,
            Network::New => NetworkNamespace::New,
            Network::Joined(path) => NetworkNamespace::Joined(path.to_owned()),
        };
        Ok(ContainerConfig {
            limits,
            root,
            network,
            id_map: Some(ID_MAP),
            seccomp: self.filter.clone(),
            ..ContainerConfig::new(id, spec, resources, files)
        })
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        for id in self.containerizer.list().into_iter().flatten() {
            let _ = self.containerizer.destroy(&id);
        }
        let _ = self.containerizer.remove_root();
    }
}

fn image(lower: &[PathBuf], dir: &Path) -> Result<ImageRoot> {
    let [upper, work, mount_point] = ["upper", "work", "root"].map(|name| dir.join(name));
    for dir in [&upper, &work, &mount_point] {
        fs::create_dir(dir)?;
    }
    Ok(ImageRoot {
        lower: lower.to_vec(),
        upper: Some((upper, work)),
        mount_point,
    })
}

/// Unpacked layers, of which the lowest has the program: those of an image, the uppermost first.
pub(super) fn layers(dir: &Path, stamp: &Path, n_layers: usize) -> Result<Vec<PathBuf>> {
    let mut layers = Vec::new();
    for n in (0..n_layers).rev() {
        let layer = dir.join(format!("layers/{n}"));
        fs::create_dir_all(&layer)?;
        fs::set_permissions(&layer, fs::Permissions::from_mode(0o755))?;
        fs::write(layer.join(format!("of-{n}")), "")?;
        layers.push(layer);
    }
    let lowest = layers.last().context("no layers")?;
    for own in ["proc", "sys", "dev", "tmp", "run"] {
        fs::create_dir(lowest.join(own))?;
    }
    fs::copy(stamp, lowest.join(stamp::NAME))?;
    Ok(layers)
}
