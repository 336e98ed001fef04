//! Questions to the edge, one after the other, and to dnsmasq.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::wait_for;
use proffer_cluster_tests::web::{dns_question, free_port};

use super::row;
use super::servers::{Edge, PATIENCE, Running};
use crate::report::Report;

const QUESTIONS: usize = 20_000;
/// Milliseconds.
const AIM_MS: f64 = 1.0;

pub(super) fn run(edge: &Edge, report: &mut Report) -> Result<()> {
    let ours = p99_ms(edge.dns, "bench.virtual.proffer")?;
    let port = free_port()?;
    let args = [
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--conf-file=/dev/null",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--pid-file=",
        &format!("--port={port}"),
        "--address=/bench.test/10.0.0.1",
    ];
    let dnsmasq = Running::start("dnsmasq", &args, "").and_then(|_running| p99_ms(port, "bench.test"));
    report.add(row("DNS, p99", ours, "ms").beside("dnsmasq", dnsmasq).aim(AIM_MS))
}

/// Milliseconds, of the slowest in a hundred.
fn p99_ms(port: u16, name: &str) -> Result<f64> {
    let question = dns_question(name)?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut answer = [0; 512];
    let mut ask = || -> Result<Duration> {
        let start = Instant::now();
        socket.send(&question)?;
        let n = socket.recv(&mut answer)?;
        ensure!(
            n > question.len() && answer[3] & 15 == 0 && answer[7] == 1,
            "no address in the answer"
        );
        Ok(start.elapsed())
    };
    ensure!(wait_for(PATIENCE, || ask().is_ok()), "no answer for {name}");
    let mut times = (0..QUESTIONS).map(|_| ask()).collect::<Result<Vec<_>>>()?;
    times.sort_unstable();
    let slow = times.get(QUESTIONS * 99 / 100).context("no question was asked")?;
    Ok(slow.as_secs_f64() * 1e3)
}
