//! Network policies: services in several namespaces, on a whole cluster with an edge, in a network made for the test.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::own_host::{HOST, on_own_host, sh};
use proffer_cluster_tests::{Cluster, built_binary, signal, text, wait_for};
use proffer_linux::netns;

/// How long a change may take to settle on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether frames between containers are shown to the rules of IP by the kernel itself, as they are where Docker runs.
const CALL_IPTABLES: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// Greets by TCP and sends back what it is told after that, on 80 and, undeclared, on 99; sends back what comes by UDP.
const SERVER: &str = "
import socket, threading
def serve(port):
    tcp = socket.create_server(('', port), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        threading.Thread(target=talk, args=(tcp.accept()[0],), daemon=True).start()
def talk(connection):
    try:
        connection.sendall(b'hello')
        while data := connection.recv(100):
            connection.sendall(data)
    except OSError:
        pass
def echo():
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(('', 53))
    while True:
        data, peer = udp.recvfrom(100)
        udp.sendto(data, peer)
for target, args in [(serve, (80,)), (serve, (99,)), (echo, ())]:
    threading.Thread(target=target, args=args).start()
";

/// Says of each `protocol/address/port` whether it answers.
const PROBE: &str = "
import socket, sys
def asks(protocol, address, port):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == 'udp' else socket.SOCK_STREAM
    s = socket.socket(family, kind)
    s.settimeout(1.5)
    try:
        s.connect(socket.getaddrinfo(address, int(port), family, kind)[0][4])
        if protocol == 'udp':
            s.send(b'hello')
        return s.recv(5) == b'hello'
    except OSError:
        return False
print(' '.join('yes' if asks(*of.split('/')) else 'no' for of in sys.argv[1:]))
";

struct World<'a> {
    cluster: Cluster,
    edge: Child,
    outside: &'a Path,
    /// Where the server is reached: by the address of the name, by its own, by undeclared ports and protocols there, and by
    /// its host.
    targets: Vec<String>,
}

/// All that a client may reach, in the order of the targets: name, own address, UDP, an undeclared port, IPv6, the host's port,
/// the published port.
const ALL: [&str; 7] = ["yes"; 7];
const NOTHING: [&str; 7] = ["no"; 7];

impl World<'_> {
    fn apply(&self, spec: &str) -> Result<String> {
        let applied = self
            .cluster
            .run_with_input(&["service", "apply", "-f", "-"], spec)?;
        ensure!(applied.status.success(), "{}", text(&applied.stderr));
        Ok(text(&applied.stdout))
    }

    fn task(&self, service: &str) -> Result<String> {
        let mut id = None;
        let is_there = wait_for(PATIENCE, || {
            let status = self
                .cluster
                .json(&["service", "status", service])
                .unwrap_or_default();
            let replica = &status["replicas"][0];
            let runs = replica["state"] == "running";
            id = replica["task_id"]
                .as_str()
                .filter(|_| runs)
                .map(ToOwned::to_owned);
            id.is_some()
        });
        ensure!(is_there, "{}", self.cluster.ok(&["service", "status", service])?);
        id.context("it has no task")
    }

    /// What a service's task reaches.
    fn reaches(&self, service: &str) -> Result<Vec<String>> {
        let task = self.task(service)?;
        let mut args = vec!["exec", &task, "--", "python3", "-c", PROBE];
        args.extend(self.targets.iter().map(String::as_str));
        let said = self.cluster.ok(&args)?;
        Ok(said.split_whitespace().map(ToOwned::to_owned).collect())
    }

    /// Waits until a service's task reaches exactly that.
    fn settles(&self, service: &str, expected: &[&str]) -> Result<()> {
        let mut last = Ok(Vec::new());
        let settled = wait_for(PATIENCE, || {
            last = self.reaches(service);
            last.as_ref().is_ok_and(|last| last == expected)
        });
        ensure!(
            settled,
            "{service} reaches {last:?} of {:?}, not {expected:?}\n{}\n{}",
            self.targets,
            self.cluster.ok(&["service", "policy", "list"])?,
            sh("nft list ruleset")?
        );
        Ok(())
    }

    /// Whether the other host reaches a port of this one.
    fn is_open_to_outside(&self, port: u16) -> bool {
        connects(self.outside, (HOST, port).into()).is_ok()
    }

    fn start_edge(cluster: &Cluster) -> Result<Child> {
        let child = Command::new(built_binary()?)
            .args([
                "edge",
                "--master",
                &cluster.master()?,
                "--dns-listen",
                "127.0.0.1:8053",
            ])
            .stdout(Stdio::null())
            .stderr(fs::File::create(cluster.scratch().join("edge.log"))?)
            .spawn()?;
        Ok(child)
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        // One that ended is nobody's loss.
        let _ = self.edge.kill();
        let _ = self.edge.wait();
    }
}

/// A connection to a server that greets.
fn greeted(address: SocketAddr) -> Result<TcpStream> {
    let patience = Duration::from_millis(700);
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let mut said = [0; 5];
    stream.read_exact(&mut said)?;
    ensure!(said == *b"hello", "{said:?}");
    Ok(stream)
}

/// As [`greeted`], from another host.
fn connects(from: &Path, address: SocketAddr) -> Result<TcpStream> {
    netns::run_in(from, || greeted(address))?
}

fn says_back(stream: &mut TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"again")?;
    let mut said = [0; 5];
    stream.read_exact(&mut said)?;
    ensure!(said == *b"again", "{said:?}");
    Ok(())
}

fn service(name: &str, fields: &str, ports: &str, program: &str) -> Result<String> {
    let command = serde_json::to_string(&["python3", "-u", "-c", program])?;
    Ok(format!(
        "name: {name}\n{fields}task:\n  cpus: 0.1\n  mem: 64MiB\n  network: bridge\n{ports}  command: {command}\n"
    ))
}

fn start(outside: &Path) -> Result<World<'_>> {
    let cluster = Cluster::start_with(&built_binary()?, &[])?;
    let edge = World::start_edge(&cluster)?;
    let mut world = World {
        cluster,
        edge,
        outside,
        targets: Vec::new(),
    };
    let sleep = "import time; time.sleep(100000)";
    world.apply(&service(
        "polweb.front",
        "labels: { app: web, tier: front }\n",
        "",
        sleep,
    )?)?;
    world.apply(&service("polother.ops", "labels: { app: other }\n", "", sleep)?)?;
    world.apply(&service(
        "poldb.shop",
        "labels: { app: db }\nexpose: [{ port: 80, to: http, publish: 8080 }]\n",
        "  ports: [{ name: http, container: 80, host: 8081 }, { name: dns, container: 53, host: 8054, protocol: udp }]\n",
        SERVER,
    )?)?;
    let exposed = world.cluster.json(&["service", "endpoints", "poldb.shop"])?;
    let name = exposed["address"]
        .as_str()
        .context("it has no address")?
        .to_owned();
    let task = world.task("poldb.shop")?;
    let own = world
        .cluster
        .ok(&["exec", &task, "--", "sh", "-c", "echo $PROFFER_ADDRESS"])?;
    let own: Ipv4Addr = own.trim().parse()?;
    // The link-local address that goes with its hardware address.
    let [a, b, c, d] = own.octets();
    let v6 = format!("fe80::50:{a:02x}ff:fe{b:02x}:{c:02x}{d:02x}%eth0");
    world.targets = vec![
        format!("tcp/{name}/80"),
        format!("tcp/{own}/80"),
        format!("udp/{own}/53"),
        format!("tcp/{own}/99"),
        format!("tcp/{v6}/80"),
        format!("tcp/{HOST}/8081"),
        format!("tcp/{HOST}/8080"),
    ];
    Ok(world)
}

const DENY: &str = "policy: nobody\nnamespace: shop\n";

#[test]
fn who_may_not_reach_a_service_does_not_by_any_way() -> Result<()> {
    on_own_host(|outside| {
        let mut world = start(outside)?;
        for service in ["polweb.front", "polother.ops"] {
            world.settles(service, &ALL)?;
        }
        ensure!(world.is_open_to_outside(8080) && world.is_open_to_outside(8081));
        let mut earlier = connects(outside, (HOST, 8081).into())?;

        // A namespace that accepts nothing, at once, by all ways.
        let asked = Instant::now();
        let said = world.apply(DENY)?;
        ensure!(
            said == "policy nobody.shop created, selects poldb.shop\n",
            "{said}"
        );
        ensure!(
            wait_for(PATIENCE, || !world.is_open_to_outside(8081)),
            "{}",
            world.cluster.ok(&["service", "policy", "list"])?
        );
        eprintln!("closed {} ms after it was asked for", asked.elapsed().as_millis());
        let calls_before = fs::read_to_string(CALL_IPTABLES).ok();
        for calls in ["0", "1"] {
            if calls_before.is_some() {
                fs::write(CALL_IPTABLES, calls)?;
            }
            for service in ["polweb.front", "polother.ops"] {
                world.settles(service, &NOTHING)?;
            }
        }
        ensure!(!world.is_open_to_outside(8080), "the published port is open");
        says_back(&mut earlier).context("a connection that was there before")?;
        greeted((HOST, 8081).into()).context("the host itself is shut out")?;

        // By labels of services of a namespace, at a port by its name.
        world.apply(
            "policy: web\nnamespace: shop\nselector: { app: db }\ningress: [{ from: [{ services: { app: web }, namespace: front }], \
             ports: [http] }]\n",
        )?;
        for calls in ["0", "1"] {
            if calls_before.is_some() {
                fs::write(CALL_IPTABLES, calls)?;
            }
            world.settles("polweb.front", &["yes", "yes", "no", "no", "no", "yes", "yes"])?;
            world.settles("polother.ops", &NOTHING)?;
        }
        ensure!(!world.is_open_to_outside(8081) && !world.is_open_to_outside(8080));

        // By address.
        world.apply(
            "policy: outside\nnamespace: shop\ningress: [{ from: [{ addresses: 192.0.2.0/24, except: [192.0.2.128/25] }] }]\n",
        )?;
        ensure!(
            wait_for(PATIENCE, || world.is_open_to_outside(8081)
                && world.is_open_to_outside(8080)),
            "not by address"
        );
        world.settles("polother.ops", &NOTHING)?;

        // Nothing opens while there is no edge, and the next one goes on.
        world
            .cluster
            .ok(&["service", "policy", "delete", "outside.shop"])?;
        ensure!(
            wait_for(PATIENCE, || !world.is_open_to_outside(8081)),
            "still by address"
        );
        world.edge.kill()?;
        world.edge.wait()?;
        thread::sleep(Duration::from_secs(1));
        ensure!(!world.is_open_to_outside(8081), "it is open without an edge");
        world.edge = World::start_edge(&world.cluster)?;
        // What somebody else removed is made again.
        world.settles("polweb.front", &["yes", "yes", "no", "no", "no", "yes", "yes"])?;
        sh("nft delete table inet proffer_policy")?;
        ensure!(
            wait_for(PATIENCE, || !world.is_open_to_outside(8081)),
            "it stays open"
        );

        for policy in ["nobody.shop", "web.shop"] {
            world.cluster.ok(&["service", "policy", "delete", policy])?;
        }
        world.settles("polother.ops", &ALL)?;
        let tables = sh("nft list tables")?;
        ensure!(!tables.contains("proffer_policy"), "{tables}");
        signal(world.edge.id(), "TERM")?;
        world.edge.wait()?;
        for service in ["polweb.front", "polother.ops", "poldb.shop"] {
            world.cluster.ok(&["service", "delete", service])?;
        }
        world.cluster.stop()
    })
}
