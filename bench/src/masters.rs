//! Masters by themselves: no supervisor starts them again, so the benchmark says when.
//!
//! They listen on an address of loopback that only this process has, so that ports stay theirs while they are away.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{get, wait_for};

use crate::agents::now_us;
use crate::fleet::cpu_ms;

/// How long a daemon may take to be there.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a master is asked whether it leads.
const LOOK: Duration = Duration::from_millis(5);

/// A process that dies with its owner.
#[derive(Debug)]
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn start(program: &Path, args: &[&str], log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| program.display().to_string())?;
        Ok(Self(child))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn kill_9(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.kill_9();
    }
}

/// One master on RocksDB, or three on one etcd.
#[derive(Debug)]
pub(crate) struct Masters {
    binary: PathBuf,
    dir: tempfile::TempDir,
    pub(crate) addresses: Vec<String>,
    masters: Vec<Option<Daemon>>,
    etcd: Option<(String, Daemon)>,
}

/// An address of loopback's: by the process, and by the case within it.
pub(crate) fn own_host(case: u8) -> String {
    let [.., high, low] = id().to_be_bytes();
    format!("127.{case}.{high}.{low}")
}

impl Masters {
    pub(crate) fn rocksdb(binary: &Path) -> Result<Self> {
        let mut masters = Self::new(binary, vec![format!("{}:5050", own_host(90))])?;
        masters.start(0)?;
        masters.wait_leader()?;
        Ok(masters)
    }

    pub(crate) fn etcd(binary: &Path) -> Result<Self> {
        let host = own_host(91);
        let addresses = (5050..5053).map(|port| format!("{host}:{port}")).collect();
        let mut masters = Self::new(binary, addresses)?;
        let (client, peer) = (format!("{host}:2379"), format!("http://{host}:2380"));
        let url = format!("http://{client}");
        let data = masters.path("etcd");
        let args = ["--name", "bench", "--log-level", "error", "--data-dir", &data];
        let urls = ["--listen-client-urls", &url, "--advertise-client-urls", &url];
        let peers = [
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ];
        let members = format!("bench={peer}");
        let args = [&args[..], &urls, &peers, &["--initial-cluster", &members]].concat();
        let etcd = Daemon::start(Path::new("etcd"), &args, &masters.dir.path().join("etcd.log"))?;
        let is_up = wait_for(PATIENCE, || TcpStream::connect(&client).is_ok());
        ensure!(is_up, "etcd does not start");
        masters.etcd = Some((client, etcd));
        for n in 0..masters.addresses.len() {
            masters.start(n)?;
        }
        masters.wait_leader()?;
        Ok(masters)
    }

    fn new(binary: &Path, addresses: Vec<String>) -> Result<Self> {
        Ok(Self {
            binary: binary.to_owned(),
            dir: tempfile::Builder::new().prefix("proffer-bench-").tempdir()?,
            masters: addresses.iter().map(|_| None).collect(),
            addresses,
            etcd: None,
        })
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Starts a master; returns when, in microseconds since the Unix epoch.
    pub(crate) fn start(&mut self, n: usize) -> Result<u64> {
        let address = self.addresses.get(n).context("no such master")?;
        let (data, log) = (
            self.path("master"),
            self.dir.path().join(format!("master-{n}.log")),
        );
        let store = self
            .etcd
            .as_ref()
            .map(|(client, _)| format!("etcd://{client}/bench"));
        let mut args = vec!["master", "--listen", address];
        match &store {
            Some(store) => args.extend(["--store", store]),
            None => args.extend(["--data-dir", &data]),
        }
        let started = now_us();
        let master = Daemon::start(&self.binary, &args, &log)?;
        *self.masters.get_mut(n).context("no such master")? = Some(master);
        Ok(started)
    }

    /// Waits until a master leads; returns which one, and when that was seen.
    pub(crate) fn wait_leader(&self) -> Result<(usize, u64)> {
        let end = now_us() + u64::try_from(PATIENCE.as_micros())?;
        while now_us() < end {
            for (n, address) in self.addresses.iter().enumerate() {
                let runs = self.masters.get(n).is_some_and(Option::is_some);
                if runs && get(address, "/readyz").is_ok_and(|(head, _)| head.contains(" 200")) {
                    return Ok((n, now_us()));
                }
            }
            thread::sleep(LOOK);
        }
        anyhow::bail!(
            "no master leads after {PATIENCE:?}; see {}",
            self.dir.path().display()
        )
    }

    pub(crate) fn kill_9(&mut self, n: usize) -> Result<()> {
        let master = self.masters.get_mut(n).and_then(Option::take);
        master.context("no such master runs")?.kill_9()
    }

    /// Milliseconds of processor time of one of them.
    pub(crate) fn cpu_ms(&self, n: usize) -> Result<f64> {
        let master = self.masters.get(n).and_then(Option::as_ref);
        cpu_ms(master.context("no such master runs")?.pid())
    }
}
