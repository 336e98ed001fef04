//! Tasks with a network of their own, on a whole cluster in a network made for the test, beside one more host.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::own_host::{HOST, echoes, on_own_host, says_hello, sh};
use proffer_cluster_tests::{Cluster, built_binary, text, wait_for};
use proffer_linux::netns;

/// How long a change may take to settle on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says hello by TCP, and sends back what comes by UDP.
const SERVER: &str = "
import socket, threading
tcp = socket.create_server(('', 80))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('', 53))
def echo():
    while True:
        data, peer = udp.recvfrom(100)
        udp.sendto(data, peer)
threading.Thread(target=echo, daemon=True).start()
while True:
    connection, _ = tcp.accept()
    connection.sendall(b'hello')
    connection.close()
";

#[test]
fn a_published_port_survives_a_kill_of_the_agent_and_is_gone_with_its_task() -> Result<()> {
    on_own_host(|outside| {
        let mut cluster = Cluster::start_with(&built_binary()?, &[])?;
        let command = serde_json::to_string(&["python3", "-c", SERVER])?;
        let spec = format!(
            "name: net\ntasks:\n  - name: server\n    cpus: 0.1\n    mem: 64MiB\n    network: bridge\n    ports: ['8080:80', '8053:53/udp']\n    command: {command}\n"
        );
        let submitted = cluster.run_with_input(&["job", "submit", "-"], &spec)?;
        ensure!(submitted.status.success(), "{}", text(&submitted.stderr));
        let reached = || netns::run_in(outside, || says_hello((HOST, 8080).into())).unwrap_or(false);
        ensure!(
            wait_for(PATIENCE, reached),
            "the task is not reached from another host"
        );
        ensure!(netns::run_in(outside, || echoes((HOST, 8053).into()))?, "by UDP");
        ensure!(
            says_hello((Ipv4Addr::LOCALHOST, 8080).into()),
            "from its own host"
        );

        let client = "import socket; print(socket.create_connection(('10.88.0.2', 80)).recv(5).decode())";
        let said = cluster.ok(&["run", "--network", "bridge", "--", "python3", "-c", client])?;
        ensure!(said == "hello\n", "a task asks another by address: {said}");

        let before = cluster.pid("agent-1")?;
        cluster.kill_9("agent-1")?;
        ensure!(reached(), "while no agent is there");
        let restarted = || cluster.pid("agent-1").is_ok_and(|pid| pid != before);
        ensure!(wait_for(PATIENCE, restarted), "the agent was not started again");
        ensure!(reached(), "with the next agent");

        cluster.ok(&["job", "cancel", "net"])?;
        let is_withdrawn = || sh("nft list ruleset").is_ok_and(|rules| !rules.contains("8080"));
        ensure!(wait_for(PATIENCE, is_withdrawn), "the port is still published");
        cluster.stop().context("the cluster")?;
        let left = sh("ip -o link | grep -vE ': (lo|up0|ifb[0-9])[@:]' || true; nft list tables")?;
        ensure!(left.is_empty(), "left in the network: {left}");
        Ok(())
    })
}
