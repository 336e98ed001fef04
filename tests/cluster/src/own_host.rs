//! A host of a test's own, in a network made for it, beside one more host.

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use proffer_linux::netns;

use crate::{skipped, text};

/// Between two hosts of one machine a connection takes microseconds.
const ANSWER: Duration = Duration::from_secs(5);

/// The agent's host, as seen by the other one.
pub const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Runs a test on a host of its own that forwards packets, with another host beside it, whose namespace it is given.
#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
pub fn on_own_host(test: impl FnOnce(&Path) -> Result<()> + Send) -> Result<()> {
    if skipped() {
        return Ok(());
    }
    if let Some(missing) = ["nft", "ip"]
        .into_iter()
        .find(|program| Command::new(program).arg("-V").output().is_err())
    {
        println!("skipped: bridge networks need the program {missing}");
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let (host, outside) = (dir.path().join("host"), dir.path().join("outside"));
    let ran = netns::create(&host, || {
        netns::create(&outside, || ())?;
        let ran = set_up(&outside).and_then(|()| test(&outside));
        netns::remove(&outside)?;
        ran
    });
    netns::remove(&host)?;
    ran?
}

fn set_up(outside: &Path) -> Result<()> {
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    sh(&format!(
        "ip link add up0 type veth peer name up1 netns {}",
        outside.display()
    ))?;
    sh("ip addr add 192.0.2.1/24 dev up0 && ip link set up0 up")?;
    netns::run_in(outside, || {
        sh("ip addr add 192.0.2.9/24 dev up1 && ip link set up1 up")
    })??;
    Ok(())
}

/// Runs a script of the shell; what it says.
pub fn sh(script: &str) -> Result<String> {
    let output = Command::new("sh").args(["-c", script]).output()?;
    ensure!(output.status.success(), "{script}: {}", text(&output.stderr));
    Ok(text(&output.stdout))
}

/// Whether a server greets by TCP.
#[must_use]
pub fn says_hello(address: SocketAddr) -> bool {
    let mut said = String::new();
    let read = TcpStream::connect_timeout(&address, ANSWER).and_then(|mut connection| {
        connection.set_read_timeout(Some(ANSWER))?;
        connection.read_to_string(&mut said)
    });
    read.is_ok() && said == "hello"
}

/// Whether a server sends back what it gets by UDP.
#[must_use]
pub fn echoes(address: SocketAddr) -> bool {
    let exchange = || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(ANSWER))?;
        socket.send_to(b"hello", address)?;
        let mut back = [0; 5];
        socket.recv(&mut back)?;
        Ok::<_, std::io::Error>(back == *b"hello")
    };
    exchange().unwrap_or(false)
}
