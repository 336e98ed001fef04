//! Daemons of the real binary on one etcd, without a supervisor: what is killed stays dead.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::{built_binary, signal, text, wait_for};

const ETCD: &str = "etcd";
/// How long a daemon may take to end when it is asked to.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Daemons by name, in the order in which they were started.
#[derive(Debug)]
pub struct Loose {
    binary: PathBuf,
    dir: tempfile::TempDir,
    host: String,
    children: Vec<(String, Child)>,
}

/// Whether a test must be skipped for want of etcd; says so.
#[must_use]
#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
pub fn no_etcd() -> bool {
    let found = Command::new(ETCD).arg("--version").output();
    if found.is_err() {
        println!("skipped: there is no etcd here");
    }
    found.is_err()
}

/// An address of loopback's that only one test of one process has: a port of 127.0.0.1 that is free now may be anybody's
/// a moment later, as the near end of a connection.
fn own_host() -> String {
    static N_CLUSTERS: AtomicU8 = AtomicU8::new(64);
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{}.{high}.{low}", N_CLUSTERS.fetch_add(1, Ordering::Relaxed))
}

impl Loose {
    /// Nothing yet, with a directory and an address of its own.
    pub fn new() -> Result<Self> {
        Ok(Self {
            binary: built_binary()?,
            dir: tempfile::Builder::new().prefix("proffer-loose-").tempdir()?,
            host: own_host(),
            children: Vec::new(),
        })
    }

    /// Starts etcd, empty the first time.
    pub fn etcd(&mut self) -> Result<()> {
        let (client, peer) = (self.address(2379), self.address(2380));
        let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
        let (data, members) = (self.path(ETCD), format!("test={peer}"));
        let args = [
            ["--name", "test"],
            ["--log-level", "error"],
            ["--data-dir", &data],
            ["--listen-client-urls", &client],
            ["--advertise-client-urls", &client],
            ["--listen-peer-urls", &peer],
            ["--initial-advertise-peer-urls", &peer],
            ["--initial-cluster", &members],
        ];
        self.spawn(Path::new(ETCD), ETCD, args.as_flattened())
    }

    /// Where etcd is for daemons.
    #[must_use]
    pub fn store(&self) -> String {
        format!("etcd://{}/test", self.address(2379))
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self, port: u16) -> String {
        format!("{}:{port}", self.host)
    }

    /// A place in the directory.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Starts a daemon of the binary.
    pub fn daemon(&mut self, name: &str, args: &[&str]) -> Result<()> {
        let binary = self.binary.clone();
        self.spawn(&binary, name, args)
    }

    fn spawn(&mut self, program: &Path, name: &str, args: &[&str]) -> Result<()> {
        ensure!(self.child(name).is_err(), "{name} runs already");
        let log = self.path(&format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn().with_context(|| program.display().to_string())?;
        self.children.push((name.to_owned(), child));
        Ok(())
    }

    fn child(&self, name: &str) -> Result<usize> {
        let found = self.children.iter().position(|(child, _)| child == name);
        found.with_context(|| format!("no daemon `{name}` was started"))
    }

    /// What a daemon has logged.
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str, signal_name: &str) -> Result<()> {
        let (_, child) = &self.children[self.child(name)?];
        signal(child.id(), signal_name)
    }

    /// Kills with SIGKILL.
    pub fn kill_9(&mut self, name: &str) -> Result<()> {
        let (_, mut child) = self.children.remove(self.child(name)?);
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Ends with SIGTERM, and waits for it.
    pub fn stop(&mut self, name: &str) -> Result<()> {
        let (_, child) = self.children.remove(self.child(name)?);
        end(child)
    }

    /// A command of the binary as a client of masters.
    #[must_use]
    pub fn command(&self, masters: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .env("PROFFER_MASTER", masters)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub fn ok(&self, masters: &str, args: &[&str]) -> Result<String> {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(masters, args).output()?;
        ensure!(status.success(), "{args:?}: {status}: {}", text(&stderr));
        Ok(text(&stdout))
    }
}

/// A stopped one must go on to end.
fn end(mut child: Child) -> Result<()> {
    let _ = signal(child.id(), "CONT");
    let _ = signal(child.id(), "TERM");
    let has_ended = wait_for(END_TIMEOUT, || matches!(child.try_wait(), Ok(Some(_))));
    if !has_ended {
        child.kill()?;
        child.wait()?;
    }
    ensure!(has_ended, "it did not end within {END_TIMEOUT:?}");
    Ok(())
}

impl Drop for Loose {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
            // Shown by the test runner when the test failed.
            if let Ok(log) = std::fs::read_to_string(entry.path()) {
                eprintln!("--- {}:\n{log}", entry.path().display());
            }
        }
        // Those that were started last need the others; an agent ends its containers. All need etcd.
        self.children.sort_by_key(|(name, _)| name != ETCD);
        for (name, child) in self.children.drain(..).rev() {
            if let Err(error) = end(child) {
                eprintln!("{name}: {error:#}");
            }
        }
    }
}
