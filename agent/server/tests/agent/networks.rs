//! Tasks with a network of their own. The whole agent runs in a network made for the test, beside one more host, so that
//! nothing reaches this host's.

use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use proffer_agent::Config;
use proffer_linux::netns;
use proffer_types::container::{NetworkMode, NetworkSpec, PortMapping, Protocol};
use proffer_types::{Ranges, ResourceName, StatusReason, TaskExit, TaskInfo, TaskState, TaskStatus};

use super::master::{Master, Stream};
use super::{Agent, can_run, shell};

/// Between two hosts of one machine a connection takes microseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// The agent's host, as seen by the other one.
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Answers `hello` to whoever connects, and sends back what comes by UDP.
const SERVER: &str = r#"exec python3 -c "
import os, socket, sys, threading
tcp = socket.create_server(('', int(os.environ['PROFFER_PORT_WEB'])))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('', 53))
print(os.environ['PROFFER_ADDRESS'], os.environ['PROFFER_PORT_WEB'], socket.gethostbyname(socket.gethostname()), socket.gethostbyname('db'), open('/etc/resolv.conf').read().split()[:2], flush=True)
def echo():
    while True:
        data, peer = udp.recvfrom(100)
        udp.sendto(data, peer)
threading.Thread(target=echo, daemon=True).start()
while True:
    connection, _ = tcp.accept()
    connection.sendall(b'hello')
    connection.close()
""#;

/// Runs a test as on a host of its own that forwards packets, with another host beside it, whose path it is given.
fn on_own_host(test: impl AsyncFnOnce(&Path, &Path) + Send) {
    if !can_run() {
        return;
    }
    let missing = ["nft", "ip"]
        .into_iter()
        .find(|program| Command::new(program).arg("-V").output().is_err());
    if let Some(program) = missing {
        println!("skipped: bridge networks need the program {program}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (host, outside, data) = (
        dir.path().join("host"),
        dir.path().join("outside"),
        dir.path().join("data"),
    );
    let ran = netns::create(&host, || {
        netns::create(&outside, || ()).unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            sh(&format!(
                "ip link add up0 type veth peer name up1 netns {}",
                outside.display()
            ));
            sh("ip addr add 192.0.2.1/24 dev up0 && ip link set up0 up");
            netns::run_in(&outside, || {
                sh("ip addr add 192.0.2.9/24 dev up1 && ip link set up1 up")
            })
            .unwrap();
            // One thread, so that all that the agent starts is in this network too.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(test(&data, &outside));
        }));
        (caught, netns::remove(&outside))
    });
    netns::remove(&host).unwrap();
    let (caught, removed) = ran.unwrap();
    removed.unwrap();
    if let Err(panic) = caught {
        std::panic::resume_unwind(panic);
    }
}

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What of the agent's is in the kernel: interfaces, tables, and namespaces bound below its directory.
fn traces(data: &Path) -> String {
    let bound = format!(
        "grep -F ' {}/' /proc/self/mounts | grep ' nsfs ' || true",
        data.display()
    );
    sh("ip -o link | grep -vE ': (lo|up0|ifb[0-9])[@:]' || true; nft list tables") + &sh(&bound)
}

fn says_hello(address: SocketAddr) -> bool {
    let mut text = String::new();
    let read = TcpStream::connect_timeout(&address, PATIENCE).and_then(|mut connection| {
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.read_to_string(&mut text)
    });
    read.is_ok() && text == "hello"
}

fn echoes(address: SocketAddr) -> bool {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut back = [0; 5];
    let received = socket
        .send_to(b"hello", address)
        .and_then(|_| socket.recv(&mut back));
    received.is_ok() && &back == b"hello"
}

fn config(config: Config) -> Config {
    Config {
        resources: "cpus:2;mem:512MiB;disk:1GiB;ports:[31000-31009]".parse().unwrap(),
        ..config
    }
}

fn networked(id: &str, script: &str, spec: NetworkSpec, ports: Option<(u64, u64)>) -> TaskInfo {
    let mut info = shell(id, script);
    info.container.network = spec;
    if let Some(ports) = ports {
        info.resources = info
            .resources
            .with_ranges(ResourceName::Ports, Ranges::new([ports]));
    }
    info
}

/// A server that is reached by TCP port 80 and UDP port 53.
fn server(id: &str) -> TaskInfo {
    let mapping = |name: &str, container_port, protocol| PortMapping {
        name: name.to_owned(),
        container_port,
        host_port: 0,
        protocol,
    };
    let spec = NetworkSpec {
        mode: NetworkMode::Bridge,
        ports: vec![
            mapping("web", 80, Protocol::Tcp),
            mapping("dns", 53, Protocol::Udp),
        ],
        hosts: vec![("10.9.9.9".to_owned(), "db".to_owned())],
        dns: vec!["10.1.1.1".to_owned()],
        ..NetworkSpec::default()
    };
    networked(id, SERVER, spec, Some((31002, 31003)))
}

fn on_bridge() -> NetworkSpec {
    NetworkSpec {
        mode: NetworkMode::Bridge,
        ..NetworkSpec::default()
    }
}

async fn running(stream: &mut Stream) -> TaskStatus {
    loop {
        let status = stream.status().await;
        assert!(!status.state.is_terminal(), "{status:?}");
        if status.state == TaskState::Running {
            return status;
        }
    }
}

/// Waits for what the kernel or a task does in its own time.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain for {what}");
}

const CLIENT: &str =
    r#"exec python3 -c "import socket; print(socket.create_connection(('10.88.0.2', 80)).recv(5))""#;

#[test]
fn a_task_on_the_bridge_is_reached_by_its_ports_whatever_becomes_of_the_agent_and_leaves_nothing() {
    on_own_host(async |data, outside| {
        let mut master = Master::start().await;
        let agent = Agent::start_with(&master, data, false, config).await;
        let (mut stream, _) = master.register(1).await;
        stream.run(server("server")).await;
        let status = running(&mut stream).await;
        assert_eq!(status.condition.addresses, [IpAddr::from([10, 88, 0, 2])]);
        let reached = |port| netns::run_in(outside, || says_hello((HOST, port).into())).unwrap();
        eventually("the task to listen", || says_hello(([10, 88, 0, 2], 80).into())).await;
        assert!(reached(31002), "from another host");
        assert!(
            netns::run_in(outside, || echoes((HOST, 31003).into())).unwrap(),
            "by UDP"
        );
        assert!(
            says_hello((Ipv4Addr::LOCALHOST, 31002).into()),
            "from its own host"
        );
        let output = data
            .join("sandboxes")
            .join(super::framework_id().as_str())
            .join("server/stdout");
        let said = fs::read_to_string(output).unwrap();
        assert_eq!(
            said,
            "10.88.0.2 80 10.88.0.2 10.9.9.9 ['nameserver', '10.1.1.1']\n"
        );

        stream.run(networked("client", CLIENT, on_bridge(), None)).await;
        let end = stream.end_of("client").await;
        assert_eq!(
            end.exit,
            Some(TaskExit::Code(0)),
            "a task that asks another by address: {end:?}"
        );

        agent.stop().await;
        assert!(reached(31002), "while no agent is there");
        let agent = Agent::start_with(&master, data, true, config).await;
        let (mut stream, _) = master.register(2).await;
        assert!(reached(31002), "with the next agent");
        stream.kill("server").await;
        assert_eq!(stream.end_of("server").await.state, TaskState::Killed);
        eventually("its port to be withdrawn", || {
            !sh("nft list ruleset").contains("31002")
        })
        .await;
        agent.stop().await;
        assert_eq!(traces(data), "");
    });
}

#[test]
fn the_tasks_of_a_group_share_a_network_and_their_loopback() {
    on_own_host(async |data, _| {
        let mut master = Master::start().await;
        let agent = Agent::start_with(&master, data, true, config).await;
        let (mut stream, _) = master.register(1).await;
        // A group shares what all of its members ask for.
        let tasks = vec![
            server("server"),
            networked("client", BY_LOOPBACK, on_bridge(), None),
        ];
        stream.run_group(tasks).await;
        let end = stream.end_of("client").await;
        assert_eq!(end.exit, Some(TaskExit::Code(0)), "{end:?}");
        stream.kill("server").await;
        stream.end_of("server").await;
        agent.stop().await;
        assert_eq!(traces(data), "");
    });
}

const BY_LOOPBACK: &str = r#"exec python3 -c "
import socket, time
for _ in range(500):
    try:
        assert socket.create_connection(('127.0.0.1', 80)).recv(5) == b'hello'
        break
    except ConnectionRefusedError:
        time.sleep(0.02)
else:
    raise SystemExit(1)
""#;

#[test]
fn a_port_that_is_taken_fails_the_task_before_it_starts() {
    on_own_host(async |data, _| {
        let mut master = Master::start().await;
        let agent = Agent::start_with(&master, data, true, config).await;
        let (mut stream, _) = master.register(1).await;
        let taken = std::net::TcpListener::bind("0.0.0.0:31002").unwrap();
        stream.run(server("server")).await;
        let end = stream.end_of("server").await;
        assert!(
            end.message.contains("tcp port 31002 of the host is in use"),
            "{end:?}"
        );
        assert_ne!(end.reason, Some(StatusReason::CommandFailed));
        drop(taken);
        agent.stop().await;
        assert_eq!(traces(data), "");
    });
}
