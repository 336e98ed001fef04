//! A host of a test's own: a network and a mount namespace, and a directory with what tasks may have.
//!
//! What runs in it is started from one thread, which is the only one of the test's that is in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use proffer_privileged_tests::skip;
use proffer_types::container::{
    Fetch, ImageSpec, NetworkMode, NetworkSpec, PortMapping, Propagation, Protocol, PullPolicy, RestartOn,
    RestartPolicy, VolumeSource, VolumeSpec,
};
use proffer_types::{
    Ranges, Reservation, ResourceChange, ResourceName, Resources, Role, TaskId, TaskInfo, Volume, VolumeId,
};

use crate::master::agent_id;

/// Where Debian's busybox-static puts it.
const BUSYBOX: &str = "/bin/busybox";

/// Not to be found on any disk.
pub(crate) const SECRET: &str = "correct-horse-battery-staple";

/// What programs a world needs, and the packages that bring them.
const NEEDED: [(&str, &str); 5] = [
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("umoci", "umoci"),
    ("busybox", "busybox-static"),
];

/// So many lines of the agents' log tell what went wrong.
const MAX_LOG_LINES: usize = 60;

pub(crate) struct World {
    pub(crate) dir: PathBuf,
}

/// Runs a test as on a host of its own; says so where none can be had.
pub(crate) fn in_own_world(test: impl AsyncFnOnce(&World) -> Result<()> + Send) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        skip("containers need root");
        return Ok(());
    }
    let has = |program: &str| {
        let found = Command::new("sh")
            .args(["-c", "command -v \"$1\"", "sh", program])
            .output();
        found.is_ok_and(|output| output.status.success())
    };
    if let Some((_, package)) = NEEDED.iter().find(|(program, _)| !has(program)) {
        skip(&format!("the package {package} is not installed"));
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let world = World {
        dir: dir.path().canonicalize()?,
    };
    thread::scope(|scope| {
        let run = || {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
            run("ip", &["link", "set", "lo", "up"])?;
            fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            world.furnish()?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let tested = runtime.block_on(test(&world));
            tested.with_context(|| world.log())
        };
        scope
            .spawn(run)
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub(crate) fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .context(program.to_owned())?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {args:?}: {complaint}");
    Ok(String::from_utf8(output.stdout)?)
}

impl World {
    /// What the agents said last.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.dir.join("agent.log")).unwrap_or_default();
        let lines = log.lines().collect::<Vec<_>>();
        lines[lines.len().saturating_sub(MAX_LOG_LINES)..].join("\n")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Where the plugins keep which address is whose.
    pub(crate) fn addresses(&self) -> PathBuf {
        self.dir.join("addresses")
    }

    /// Tells what the kernel has of this agent.
    pub(crate) fn tag(&self) -> String {
        let path = self.data();
        format!("{:08x}", crc32fast::hash(path.as_os_str().as_encoded_bytes()))
    }

    fn furnish(&self) -> Result<()> {
        for name in ["open", "secrets", "cni", "mnt"] {
            fs::create_dir(self.dir.join(name))?;
        }
        fs::write(self.dir.join("open/file"), "of the host\n")?;
        let addresses = self.addresses();
        let addresses = addresses.display();
        fs::write(
            self.dir.join("cni/net.conflist"),
            format!(
                r#"{{"cniVersion": "1.0.0", "name": "net", "plugins": [{{"type": "ptp", "ipam": {{
                    "type": "host-local", "dataDir": "{addresses}", "ranges": [[{{"subnet": "10.77.0.0/24"}}]]}}}}]}}"#
            ),
        )?;
        fs::write(self.dir.join("secrets/key"), SECRET)?;
        let layout = self.dir.join("layout").display().to_string();
        let image = format!("{layout}:1");
        run("umoci", &["init", "--layout", &layout])?;
        run("umoci", &["new", "--image", &image])?;
        run("umoci", &["insert", "--image", &image, BUSYBOX, "/bin/busybox"])?;
        let file = self.dir.join("open/file").display().to_string();
        run("umoci", &["insert", "--image", &image, &file, "/srv/file"])?;
        Ok(())
    }

    fn image(&self) -> ImageSpec {
        ImageSpec {
            reference: format!("oci:{}:1", self.dir.join("layout").display()),
            pull: PullPolicy::IfMissing,
        }
    }

    /// What has to be done once for the tasks' persistent volume.
    pub(crate) fn changes(&self) -> Result<[ResourceChange; 2]> {
        let reserve = ResourceChange::Reserve {
            resources: "disk:64MiB".parse()?,
            reservation: Reservation::dynamic(Role::new("prod")?),
        };
        let create = ResourceChange::Create {
            disk: "disk(+prod):64MiB".parse()?,
            volume: Volume {
                id: VolumeId::new("v")?,
                container_path: "/mnt".to_owned(),
                shared: false,
            },
        };
        Ok([reserve, create])
    }

    /// A task with everything a task can have.
    pub(crate) fn rich(&self) -> Result<TaskInfo> {
        let mut info = task("rich", &["/bin/busybox", "sleep", "1000"])?;
        info.resources.add(&"disk(+prod)[v:/mnt]:64MiB".parse()?);
        info.resources.add(&"logs:1".parse()?);
        info.resources = info
            .resources
            .with_ranges(ResourceName::Ports, Ranges::new([(31000, 31000)]));
        let container = &mut info.container;
        container.image = Some(self.image());
        container.network = NetworkSpec {
            egress_kbps: Some(10_000),
            ingress_kbps: Some(10_000),
            ..bridge("web")
        };
        let host = self.dir.join("open").display().to_string();
        let propagation = Propagation::Private;
        let name = "key".to_owned();
        container.volumes = [
            (
                "/v/host",
                VolumeSource::HostPath {
                    path: host,
                    propagation,
                },
            ),
            (
                "/v/own",
                VolumeSource::Sandbox {
                    path: "a/b".to_owned(),
                },
            ),
            ("/v/group", VolumeSource::Group { name: "q".to_owned() }),
            ("/v/memory", VolumeSource::Tmpfs { size: Some(1 << 20) }),
            ("/v/key", VolumeSource::Secret { name: name.clone() }),
            ("/v/image", VolumeSource::Image(self.image())),
        ]
        .map(|(path, source)| volume(path, source))
        .into();
        container.secret_env.insert("KEY".to_owned(), name);
        container.fetch.push(Fetch {
            uri: format!("file://{}", self.dir.join("open/file").display()),
            sha256: None,
            destination: Some("in/file".to_owned()),
            executable: false,
            extract: false,
            cache: false,
        });
        Ok(info)
    }

    /// One of many tasks: with what is shared with others, or taken back in a way of its own.
    pub(crate) fn lane(&self, lane: u32, round: u32) -> Result<TaskInfo> {
        // Every other one ends by itself.
        let seconds = if round.is_multiple_of(2) { "0" } else { "1000" };
        let name = format!("lane-{lane}");
        let mut info = task(&name, &["/bin/busybox", "sleep", seconds])?;
        let port = u64::from(31000 + lane);
        info.resources = info
            .resources
            .with_ranges(ResourceName::Ports, Ranges::new([(port, port)]));
        info.container.image = Some(self.image());
        info.container.network = bridge("web");
        let name = "key".to_owned();
        info.container.volumes = vec![
            volume("/v/key", VolumeSource::Secret { name }),
            volume("/v/image", VolumeSource::Image(self.image())),
        ];
        Ok(info)
    }

    /// Two tasks with one network and one volume.
    pub(crate) fn group(&self) -> Result<Vec<TaskInfo>> {
        let member = |id: &str, network| -> Result<TaskInfo> {
            let mut info = task(id, &["sleep", "1000"])?;
            info.container.network = network;
            let shared = VolumeSource::Group { name: "q".to_owned() };
            info.container.volumes.push(volume("/run/q", shared));
            Ok(info)
        };
        let mut first = member("first", bridge("db"))?;
        first.resources = first
            .resources
            .with_ranges(ResourceName::Ports, Ranges::new([(31001, 31001)]));
        let second = NetworkSpec {
            ports: Vec::new(),
            ..bridge("")
        };
        Ok(vec![first, member("second", second)?])
    }

    /// A task in a network of plugins that fails at first, and is started again in its place.
    pub(crate) fn again(&self) -> Result<TaskInfo> {
        let script = "test -e x && exec sleep 1000; echo >x; exit 1";
        let mut info = task("again", &["/bin/sh", "-c", script])?;
        info.container.network.mode = NetworkMode::Cni("net".to_owned());
        info.container.restart = RestartPolicy {
            on: RestartOn::Failure,
            max: None,
            backoff: Some(std::time::Duration::from_millis(100)),
        };
        Ok(info)
    }
}

/// A task with little.
pub(crate) fn task(id: &str, command: &[&str]) -> Result<TaskInfo> {
    let resources = Resources::of(100, 64 << 20, 0);
    let command = command.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    Ok(TaskInfo::new(TaskId::new(id)?, agent_id()?, resources, command))
}

pub(crate) fn volume(path: &str, source: VolumeSource) -> VolumeSpec {
    VolumeSpec {
        container_path: path.to_owned(),
        read_only: matches!(source, VolumeSource::Image(_) | VolumeSource::Secret { .. }),
        source,
    }
}

/// A network on the bridge, with one port of the host's.
fn bridge(name: &str) -> NetworkSpec {
    NetworkSpec {
        mode: NetworkMode::Bridge,
        ports: vec![PortMapping {
            name: name.to_owned(),
            container_port: 80,
            host_port: 0,
            protocol: Protocol::Tcp,
        }],
        ..NetworkSpec::default()
    }
}

/// The files and directories below one, itself not.
pub(crate) fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(tree(&path));
        }
        found.push(path);
    }
    found
}
