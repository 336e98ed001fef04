//! A host of a test's own: a network namespace with forwarding on, and another host beside it.

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use proffer_linux::netns;
use proffer_network::{Attached, Bandwidth, Config, Mode, Networks, Port, Request, Subnet, Tag, Transport};

/// Packets between namespaces take microseconds; what is not there after this is dropped.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The agent's host, as seen by the other one.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// One test's machines.
pub(crate) struct World {
    dir: PathBuf,
}

/// Runs a test in a network of its own; not at all where that cannot be made.
#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
pub(crate) fn in_own_network<F: Future<Output = ()>>(test: impl FnOnce(World) -> F + Send) {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let missing = ["nft", "ip"]
        .into_iter()
        .find(|program| Command::new(program).arg("-V").output().is_err());
    if !is_root || missing.is_some() {
        println!("skipped: networks need root, nftables and iproute2");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (host, outside) = (dir.path().join("host"), dir.path().join("outside"));
    let ran = netns::create(&host, || {
        netns::create(&outside, || ()).unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            ip(&[
                "link",
                "add",
                "up0",
                "type",
                "veth",
                "peer",
                "name",
                "up1",
                "netns",
                outside.to_str().unwrap(),
            ]);
            ip(&["addr", "add", "192.0.2.1/24", "dev", "up0"]);
            ip(&["link", "set", "up0", "up"]);
            netns::run_in(&outside, || {
                ip(&["addr", "add", "192.0.2.9/24", "dev", "up1"]);
                ip(&["link", "set", "up1", "up"]);
            })
            .unwrap();
            // One thread, so that all that the crate starts is in this network too.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(test(World {
                dir: dir.path().to_owned(),
            }));
        }));
        (caught, netns::remove(&outside))
    });
    for entry in fs::read_dir(&dir).unwrap().flatten() {
        // Of a test that failed half way.
        if entry.file_name().to_string_lossy().starts_with("netns-") {
            let _ = netns::remove(&entry.path());
        }
    }
    netns::remove(&host).unwrap();
    let (caught, removed) = ran.unwrap();
    removed.unwrap();
    if let Err(panic) = caught {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn ip(args: &[&str]) {
    run("ip", args);
}

pub(crate) fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

impl World {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            tag: Tag::new(0xabcd),
            is_rootless: false,
            records: self.path("records"),
            bridge_subnet: Subnet::default(),
            set_ip_forward: false,
            cni_config_dir: self.path("cni"),
            cni_plugin_dirs: vec![self.path("plugins"), "/usr/lib/cni".into()],
        }
    }

    /// An agent that starts and knows these containers.
    pub(crate) async fn networks(&self, known: &[&str]) -> Networks {
        let networks = Networks::open(self.config()).await.unwrap();
        let netns = |id: &str| self.netns(id);
        networks.recover(|member| known.contains(&member), netns).await;
        networks
    }

    /// A container alone.
    pub(crate) fn request(&self, id: &str, mode: Mode, ports: &[Port]) -> Request {
        self.member(id, id, mode, ports)
    }

    /// A container in a group.
    pub(crate) fn member(&self, group: &str, id: &str, mode: Mode, ports: &[Port]) -> Request {
        Request {
            network_id: group.to_owned(),
            member: id.to_owned(),
            namespace: self.netns(group),
            mode,
            ports: ports.to_vec(),
            bandwidth: Bandwidth::default(),
        }
    }

    pub(crate) fn netns(&self, id: &str) -> PathBuf {
        self.path(&format!("netns-{id}"))
    }

    /// Whether a TCP server answers the other host.
    pub(crate) fn outside_reaches(&self, port: u16) -> bool {
        self.reaches("outside", (HOST, port).into())
    }

    /// Whether a TCP server answers whoever is in that namespace.
    pub(crate) fn reaches(&self, namespace: &str, address: SocketAddr) -> bool {
        netns::run_in(&self.path(namespace), || says_hello(address)).unwrap()
    }

    /// What of ours there is: interfaces but loopback and the uplink, tables, records, bound namespaces.
    pub(crate) fn traces(&self) -> BTreeSet<String> {
        let links = run("ip", &["-o", "link"]);
        let links = links.lines().filter_map(|line| line.split_whitespace().nth(1));
        let links = links.map(|name| name.split(['@', ':']).next().unwrap_or_default().to_owned());
        // ifb devices are the kernel's own, where it has the module built in.
        let links = links.filter(|name| !["lo", "up0"].contains(&name.as_str()) && !name.starts_with("ifb"));
        let tables = run("nft", &["list", "tables"]);
        let files = fs::read_dir(self.path("records")).into_iter().flatten().flatten();
        let files = files.map(|entry| entry.file_name().into_string().unwrap());
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let bound = format!("{}/netns-", self.dir.display());
        let mounts = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|path| path.starts_with(&bound));
        let mut traces: BTreeSet<String> = links.chain(files).collect();
        traces.extend(tables.lines().map(str::to_owned));
        traces.extend(mounts.map(|path| Path::new(path).file_name().unwrap().to_str().unwrap().to_owned()));
        traces
    }
}

pub(crate) fn port(host: u16, container: u16, transport: Transport) -> Port {
    Port {
        host,
        container,
        transport,
    }
}

pub(crate) fn address(attached: &Attached) -> IpAddr {
    attached.addresses[0]
}

/// Serves `hello` on a port of a namespace, by TCP, until the process ends.
pub(crate) fn serve(namespace: &Path, port: u16) {
    let listener = netns::run_in(namespace, || TcpListener::bind(("0.0.0.0", port)))
        .unwrap()
        .unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let _ = connection.and_then(|mut connection| connection.write_all(b"hello"));
        }
    });
}

/// Sends back what comes by UDP.
pub(crate) fn echo(namespace: &Path, port: u16) {
    let socket = netns::run_in(namespace, || UdpSocket::bind(("0.0.0.0", port)))
        .unwrap()
        .unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 100];
        while let Ok((n_bytes, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..n_bytes], from);
        }
    });
}

/// Whether a server that says hello is reached from this thread's network.
pub(crate) fn says_hello(address: SocketAddr) -> bool {
    let said = || {
        let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut text = String::new();
        connection.read_to_string(&mut text)?;
        Ok::<_, io::Error>(text)
    };
    said().is_ok_and(|text| text == "hello")
}

/// Whether a datagram comes back to this thread's network.
pub(crate) fn echoes(address: SocketAddr) -> bool {
    let back = || {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(address)?;
        socket.send(b"hello")?;
        let mut bytes = [0; 100];
        let n_bytes = socket.recv(&mut bytes)?;
        Ok::<_, io::Error>(bytes[..n_bytes].to_vec())
    };
    back().is_ok_and(|bytes| bytes == b"hello")
}
