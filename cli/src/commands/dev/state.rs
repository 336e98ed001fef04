//! What a supervisor leaves for others: `dev.json` with addresses and pids, and the lock on its data directory.
//!
//! A pid alone names nobody, as pids are used again: each is written with the start time the kernel gave it, and
//! a signal goes through a pidfd opened before that is compared.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// The state file.
const STATE_FILE: &str = "dev.json";
/// How long a process may take to die of SIGKILL: longer means it hangs in the kernel.
const DEATH_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at a dying process.
const LOOK: Duration = Duration::from_millis(5);

/// The running cluster, as others find it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    /// `host:port` of the master.
    master: String,
    /// Of the supervisor.
    pid: u32,
    children: Vec<ChildState>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ChildState {
    name: String,
    pid: u32,
    /// In clock ticks since boot, as in /proc/PID/stat.
    start_time: u64,
    address: Option<SocketAddr>,
}

/// Holds the data directory against other supervisors for as long as it lives.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would do, but for a child on its way from fork to exec that still has the descriptor.
        let _ = self.0.unlock();
    }
}

impl Lock {
    /// Creates the directory if need be and takes it.
    pub(super) fn take(data_dir: &Path) -> Result<Self> {
        fs::create_dir_all(data_dir).with_context(|| {
            format!(
                "cannot make the data directory {}; give another --data-dir",
                data_dir.display()
            )
        })?;
        let path = data_dir.join("dev.lock");
        let file = File::create(&path)
            .with_context(|| format!("cannot write {}; give another --data-dir", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(fs::TryLockError::WouldBlock) => {
                let who = read(data_dir)
                    .ok()
                    .flatten()
                    .map(|state| format!(" (pid {})", state.pid));
                anyhow::bail!(
                    "another `proffer dev`{} runs on {}; stop it first, or give another --data-dir",
                    who.unwrap_or_default(),
                    data_dir.display()
                )
            }
            Err(fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }
}

/// Keeps `dev.json` up to date. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Board {
    path: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Board {
    pub(super) fn new(data_dir: &Path, master: &SocketAddr) -> Self {
        let state = State {
            master: master.to_string(),
            pid: process::id(),
            children: Vec::new(),
        };
        Self {
            path: data_dir.join(STATE_FILE),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Notes a child's new process, in place of its old one.
    pub(super) fn started(&self, name: &str, pid: u32, address: Option<SocketAddr>) -> Result<()> {
        let child = ChildState {
            name: name.to_owned(),
            pid,
            start_time: start_time(pid).unwrap_or(0),
            address,
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.children.iter_mut().find(|child| child.name == name) {
            Some(old) => *old = child,
            None => state.children.push(child),
        }
        let text = serde_json::to_string_pretty(&*state)? + "\n";
        let new = self.path.with_extension("json.new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &self.path))
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// The children as a person reads them.
    pub(super) fn text(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let mut text = String::new();
        for child in &state.children {
            let address = child
                .address
                .map_or_else(|| "any free port".to_owned(), |address| address.to_string());
            let log = dir.join(format!("{}.log", child.name));
            let _ = writeln!(
                text,
                "{:<10} pid {:<8} {address:<18} log {}",
                child.name,
                child.pid,
                log.display()
            );
        }
        text
    }

    /// Everything is stopped: there is nothing to find any more.
    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            eprintln!("proffer dev: cannot remove {}: {error}", self.path.display());
        }
    }
}

fn read(data_dir: &Path) -> Result<Option<State>> {
    let path = data_dir.join(STATE_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(serde_json::from_str(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// What a killed supervisor left.
#[derive(Debug, Default)]
pub(super) struct Stale {
    pub(super) n_agents: u16,
}

/// Ends the children of a supervisor that was killed. Tasks outlive their agent, and the next one takes them back.
pub(super) async fn stop_stale(data_dir: &Path) -> Result<Stale> {
    let Some(state) = read(data_dir)? else {
        return Ok(Stale::default());
    };
    let mut stale = Stale::default();
    for child in state.children {
        if let Some(n) = child.name.strip_prefix("agent-").and_then(|n| n.parse().ok()) {
            stale.n_agents = stale.n_agents.max(n);
        }
        if kill(child.pid, child.start_time).await? {
            eprintln!(
                "proffer dev: stopped {} (pid {}), which an earlier dev left",
                child.name, child.pid
            );
        }
    }
    Ok(stale)
}

/// Kills one process if it is still the one that was noted; tells whether it was.
async fn kill(pid: u32, noted: u64) -> Result<bool> {
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(false);
    };
    let Ok(pidfd) = pidfd_open(raw, PidfdFlags::empty()) else {
        return Ok(false);
    };
    let is_noted = || start_time(pid) == Some(noted);
    if !is_noted() {
        return Ok(false);
    }
    pidfd_send_signal(&pidfd, Signal::KILL)
        .with_context(|| format!("cannot stop the stale process {pid}"))?;
    let start = Instant::now();
    while is_noted() {
        anyhow::ensure!(
            start.elapsed() < DEATH_TIMEOUT,
            "the stale process {pid} does not die"
        );
        sleep(LOOK).await;
    }
    Ok(true)
}

/// When a process started, in clock ticks since boot; none when it is gone or only waits to be reaped.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; what follows the last one is fields 3 and up (proc(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(start_time)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_second_supervisor_on_the_same_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let refused = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("another `proffer dev`"), "{refused}");
        drop(first);
        Lock::take(dir.path()).unwrap();
    }

    #[tokio::test]
    async fn only_the_process_that_was_noted_is_killed() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let started = start_time(child.id()).unwrap();
        assert!(!kill(child.id(), started + 1).await.unwrap());
        assert!(child.try_wait().unwrap().is_none());
        assert!(kill(child.id(), started).await.unwrap());
        child.wait().unwrap();
        assert!(!kill(child.id(), started).await.unwrap());
    }
}
