//! A dev cluster of the real binary on loopback, for tests and benchmarks.
//!
//! A [`Cluster`] owns its data directory and its supervisor process; dropping it stops the supervisor, which ends the
//! tasks and cleans up. Only processes it started are ever signalled, by pid.

pub mod chronos;
pub mod lan;
pub mod loose;
pub mod own_host;
pub mod web;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context as _, Result, bail, ensure};

/// How long a cluster may take to be ready; generous, because machines that run tests are busy.
const READY_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a cluster may take to end its tasks and clean up.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a page may take; a process that was stopped never answers.
const HTTP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a condition is looked at while waiting for it.
const LOOK: Duration = Duration::from_millis(50);

/// A running `proffer dev`.
#[derive(Debug)]
pub struct Cluster {
    binary: PathBuf,
    dir: tempfile::TempDir,
    data_dir: PathBuf,
    dev: Option<Child>,
    /// What the daemons are told by their environment.
    env: Vec<(String, String)>,
    /// Children that were killed; their pids stay noted until they are started again.
    killed: Mutex<BTreeSet<u32>>,
}

/// The binary that was built beside the running test.
pub fn built_binary() -> Result<PathBuf> {
    let test = env::current_exe()?;
    let profile = test
        .parent()
        .and_then(Path::parent)
        .context("no target directory above the test")?;
    let binary = profile.join("proffer");
    ensure!(
        binary.exists(),
        "{} is not there: build it first with `make build`",
        binary.display()
    );
    Ok(binary)
}

/// Why a cluster cannot run here, if so; printed as `skipped: why`.
#[must_use]
pub fn why_not() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let uid = status.lines().find(|line| line.starts_with("Uid:"))?;
    let effective = uid.split_whitespace().nth(2)?;
    (effective != "0").then(|| "the agent needs root to make namespaces and cgroups".to_owned())
}

/// Whether a test must be skipped here; says why.
#[must_use]
#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
pub fn skipped() -> bool {
    let why = why_not();
    if let Some(why) = &why {
        println!("skipped: {why}");
    }
    why.is_some()
}

impl Cluster {
    /// Starts a cluster of the built binary with one agent.
    pub fn start() -> Result<Self> {
        Self::start_with(&built_binary()?, &[])
    }

    /// Starts a cluster of a given binary with further `dev` arguments.
    pub fn start_with(binary: &Path, args: &[&str]) -> Result<Self> {
        let dir = scratch_dir()?;
        let data_dir = dir.path().join("data");
        Self::new(binary, dir, data_dir).started(args)
    }

    /// Starts a cluster that keeps its data below a directory of the caller's.
    pub fn start_at(binary: &Path, below: &Path, args: &[&str]) -> Result<Self> {
        let (dir, data_dir) = (scratch_dir()?, below.join("data"));
        Self::new(binary, dir, data_dir).started(args)
    }

    /// Starts a cluster of the built binary whose daemons have these variables.
    pub fn start_with_env(env: &[(&str, &str)]) -> Result<Self> {
        Self::start_of(&built_binary()?, env)
    }

    /// Starts a cluster of a given binary whose daemons have these variables.
    pub fn start_of(binary: &Path, env: &[(&str, &str)]) -> Result<Self> {
        let dir = scratch_dir()?;
        let data_dir = dir.path().join("data");
        let mut cluster = Self::new(binary, dir, data_dir);
        cluster.env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        cluster.started(&[])
    }

    fn new(binary: &Path, dir: tempfile::TempDir, data_dir: PathBuf) -> Self {
        Self {
            binary: binary.to_owned(),
            dir,
            data_dir,
            dev: None,
            env: Vec::new(),
            killed: Mutex::default(),
        }
    }

    fn started(mut self, args: &[&str]) -> Result<Self> {
        self.start_dev(args)?;
        Ok(self)
    }

    /// Starts the supervisor on the data directory, and waits until the cluster is ready.
    pub fn start_dev(&mut self, args: &[&str]) -> Result<()> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("dev.out"))?;
        let child = Command::new(&self.binary)
            .args(["dev", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(self.data_dir())
            .args(args)
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        self.dev = Some(child);
        let ready = wait_for(READY_TIMEOUT, || {
            self.output().lines().any(|line| line.starts_with("ready"))
        });
        ensure!(
            ready,
            "the cluster is not ready after {READY_TIMEOUT:?}:\n{}",
            self.output()
        );
        Ok(())
    }

    /// What the supervisor printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read_to_string(self.dir.path().join("dev.out")).unwrap_or_default()
    }

    /// Where the cluster keeps everything.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A directory for a test's own files, gone with the cluster.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// The files of a name that tasks of the first agent have in their sandboxes, one a task at most.
    #[must_use]
    pub fn in_sandboxes(&self, name: &str) -> Vec<PathBuf> {
        let entries = |dir: &Path| {
            let read = fs::read_dir(dir).into_iter().flatten().flatten();
            read.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let frameworks = entries(&self.data_dir().join("agent-1/sandboxes"));
        let tasks = frameworks.iter().flat_map(|framework| entries(framework));
        let files = tasks.map(|task| task.join("sandbox").join(name));
        files.filter(|file| file.exists()).collect()
    }

    fn state(&self) -> Result<serde_json::Value> {
        let path = self.data_dir().join("dev.json");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The master's `host:port`.
    pub fn master(&self) -> Result<String> {
        let state = self.state()?;
        Ok(state["master"]
            .as_str()
            .context("dev.json names no master")?
            .to_owned())
    }

    /// The pid of a child by its name: `master`, `agent-1`, `batch`, `service`.
    pub fn pid(&self, name: &str) -> Result<u32> {
        let pids = self.pids()?;
        pids.get(name)
            .copied()
            .with_context(|| format!("no child `{name}` among {pids:?}"))
    }

    /// The pids of all children by name.
    pub fn pids(&self) -> Result<BTreeMap<String, u32>> {
        let state = self.state()?;
        let children = state["children"]
            .as_array()
            .context("dev.json names no children")?;
        children
            .iter()
            .map(|child| {
                let name = child["name"].as_str().context("a child without a name")?;
                let pid = child["pid"].as_u64().context("a child without a pid")?;
                Ok((name.to_owned(), u32::try_from(pid)?))
            })
            .collect()
    }

    /// Kills a child with SIGKILL; the supervisor starts it again. One that was killed before is waited for first.
    pub fn kill_9(&self, name: &str) -> Result<()> {
        let mut killed = self.killed.lock().unwrap_or_else(PoisonError::into_inner);
        let lives = || self.pid(name).is_ok_and(|pid| !killed.contains(&pid));
        ensure!(wait_for(READY_TIMEOUT, lives), "{name} was not started again");
        let pid = self.pid(name)?;
        killed.insert(pid);
        signal(pid, "KILL")
    }

    /// Kills the supervisor itself with SIGKILL; its children go on.
    pub fn kill_9_dev(&mut self) -> Result<()> {
        let mut dev = self.dev.take().context("no supervisor runs")?;
        dev.kill()?;
        dev.wait()?;
        fs::remove_file(self.dir.path().join("dev.out"))?;
        Ok(())
    }

    /// A command of the binary against this cluster.
    #[must_use]
    pub fn command<S: AsRef<str>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(args.iter().map(AsRef::as_ref))
            .env("PROFFER_MASTER", self.master().unwrap_or_default());
        command
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<str>>(&self, args: &[S]) -> Result<Output> {
        Ok(self.command(args).stdin(Stdio::null()).output()?)
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub fn ok<S: AsRef<str>>(&self, args: &[S]) -> Result<String> {
        let output = self.run(args)?;
        if !output.status.success() {
            let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
            bail!("{args:?} ended with {}:\n{}", output.status, text(&output.stderr));
        }
        Ok(text(&output.stdout))
    }

    /// Runs a list command with `-o json`.
    pub fn json(&self, args: &[&str]) -> Result<serde_json::Value> {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        let printed = self.ok(&args)?;
        serde_json::from_str(&printed).with_context(|| printed)
    }

    /// Runs a command with a text as its standard input.
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Result<Output> {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child
            .stdin
            .take()
            .context("no stdin")?
            .write_all(input.as_bytes())?;
        Ok(child.wait_with_output()?)
    }

    /// Stops the cluster as Ctrl-C would, and checks that the supervisor ended well.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut dev) = self.dev.take() else {
            return Ok(());
        };
        signal(dev.id(), "TERM")?;
        let start = Instant::now();
        while start.elapsed() < STOP_TIMEOUT {
            if let Some(status) = dev.try_wait()? {
                ensure!(status.success(), "dev ended with {status}:\n{}", self.output());
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        dev.kill()?;
        dev.wait()?;
        bail!("dev did not stop within {STOP_TIMEOUT:?}:\n{}", self.output())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- dev printed:\n{}", self.output());
            for entry in fs::read_dir(self.data_dir()).into_iter().flatten().flatten() {
                if entry
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "log")
                {
                    let log = fs::read_to_string(entry.path()).unwrap_or_default();
                    let tail: Vec<&str> = log.lines().rev().take(40).collect();
                    eprintln!("--- the end of {}:", entry.path().display());
                    tail.iter().rev().for_each(|line| eprintln!("{line}"));
                }
            }
        }
        if let Err(error) = self.stop() {
            eprintln!("{error:#}");
        }
    }
}

fn scratch_dir() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("proffer-cluster-").tempdir()?)
}

/// Sends a signal by name to a process that a test started.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()?;
    ensure!(status.success(), "kill -{name} {pid}: {status}");
    Ok(())
}

/// Looks at a condition until it holds or the time is over; tells whether it held.
pub fn wait_for(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < limit {
        if holds() {
            return true;
        }
        thread::sleep(LOOK);
    }
    holds()
}

/// Bytes a program printed, as text.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A plain HTTP/1.1 GET of a server that answers within seconds: the status line and the body.
pub fn get(address: &str, path: &str) -> Result<(String, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(HTTP_TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").context("no end of the head")?;
    Ok((
        head.lines().next().unwrap_or_default().to_owned(),
        body.to_owned(),
    ))
}
