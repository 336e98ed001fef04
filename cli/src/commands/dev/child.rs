//! One child: started, started again when it ends, stopped when asked.

use std::env;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::process::{Child as Process, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::patience;
use super::plan::{Child, Kind};
use super::state::Board;

/// The first wait before a restart: whoever talks to the child tries again in a tenth of a second.
const FIRST_WAIT: Duration = Duration::from_millis(20);
/// The longest wait before a restart of a child that dies again and again.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A child that lived so long did not die of its start.
const LIVED: Duration = Duration::from_secs(10);
/// How often a child may die before the cluster was ever ready; then it cannot start, and the cluster ends.
const MAX_STARTS: u32 = 3;
/// How long an agent that is asked to stop may take to be up at all.
const UP_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a log's end is shown.
const LOG_TAIL_BYTES: u64 = 2048;
/// How many lines of a log's end are shown.
const LOG_TAIL_LINES: usize = 5;

/// A child that cannot start.
#[derive(Debug, Error)]
#[error("{name} does not start: it {status}\n{tail}\nits log is {}", log.display())]
pub(super) struct Trouble {
    name: String,
    status: String,
    tail: String,
    log: PathBuf,
}

/// Starts and watches children.
#[derive(Debug, Clone)]
pub(super) struct Supervisor {
    program: PathBuf,
    board: Board,
    ready: Arc<AtomicBool>,
    trouble: mpsc::Sender<Trouble>,
}

impl Supervisor {
    /// A supervisor that notes pids on `board` and tells `trouble` of children that cannot start.
    pub(super) fn new(board: Board, trouble: mpsc::Sender<Trouble>) -> Result<Self> {
        let program = env::current_exe().context("cannot find this program's own file")?;
        Ok(Self {
            program,
            board,
            ready: Arc::default(),
            trouble,
        })
    }

    /// From now on a child that dies is started again however often it takes.
    pub(super) fn ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Starts a child and keeps it running until `stop`.
    pub(super) fn start(
        &self,
        child: &Child,
        stop: &CancellationToken,
        running: &mut JoinSet<()>,
    ) -> Result<()> {
        let process = self.spawn(child)?;
        let watch = Watch {
            supervisor: self.clone(),
            child: child.clone(),
            stop: stop.clone(),
        };
        running.spawn(watch.run(process));
        Ok(())
    }

    fn spawn(&self, child: &Child) -> Result<Process> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&child.log)
            .with_context(|| format!("cannot write {}", child.log.display()))?;
        let process = Command::new(&self.program)
            .args(&child.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C at the terminal is for the supervisor alone.
            .process_group(0)
            // The daemons run on a thread or two; more arenas would only hold memory.
            .env("MALLOC_ARENA_MAX", "1")
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        // Noted or not, it runs and is watched: an error here would start a second one beside it.
        if let Some(pid) = process.id()
            && let Err(error) = self.board.started(&child.name, pid, child.address)
        {
            eprintln!(
                "proffer dev: {error:#}; a later dev will not know of {} (pid {pid})",
                child.name
            );
        }
        Ok(process)
    }
}

/// One child under watch.
struct Watch {
    supervisor: Supervisor,
    child: Child,
    stop: CancellationToken,
}

impl Watch {
    async fn run(self, mut process: Process) {
        let (mut wait, mut n_starts) = (FIRST_WAIT, 1);
        loop {
            let started = Instant::now();
            let status = tokio::select! {
                status = process.wait() => status,
                () = self.stop.cancelled() => return self.end(process).await,
            };
            let status = words(status);
            if started.elapsed() > LIVED {
                (wait, n_starts) = (FIRST_WAIT, 0);
            }
            if n_starts >= MAX_STARTS && !self.supervisor.ready.load(Ordering::Relaxed) {
                return self.give_up(status).await;
            }
            eprintln!("proffer dev: {} {status}; starting it again", self.child.name);
            process = match self.again(wait).await {
                Some(process) => process,
                None => return,
            };
            (wait, n_starts) = ((wait * 2).min(LONGEST_WAIT), n_starts + 1);
        }
    }

    /// Starts the child again after a wait; none when the cluster stops meanwhile and the child is not needed for it.
    async fn again(&self, mut wait: Duration) -> Option<Process> {
        loop {
            let stopped = timeout(wait, self.stop.cancelled()).await.is_ok();
            // A dead agent's tasks are still there: only an agent can end them.
            if stopped && self.child.kind != Kind::Agent {
                return None;
            }
            match self.supervisor.spawn(&self.child) {
                Ok(process) => {
                    eprintln!(
                        "proffer dev: {} is pid {}",
                        self.child.name,
                        process.id().unwrap_or(0)
                    );
                    return Some(process);
                }
                Err(_) if stopped => return None,
                Err(error) => eprintln!("proffer dev: {error:#}"),
            }
            wait = LONGEST_WAIT;
        }
    }

    async fn give_up(&self, status: String) {
        let trouble = Trouble {
            name: self.child.name.clone(),
            status,
            tail: tail(&self.child.log),
            log: self.child.log.clone(),
        };
        // Only the first trouble is told; the cluster ends with it.
        let _ = self.supervisor.trouble.try_send(trouble);
    }

    /// Stops the child in order, or by force when it takes too long.
    async fn end(&self, mut process: Process) {
        if self.child.kind == Kind::Agent {
            // Before it is up it would not know yet which tasks to end.
            let _ = timeout(UP_TIMEOUT, up(self.child.address, &mut process)).await;
        }
        terminate(&process);
        let name = &self.child.name;
        match timeout(patience(self.child.kind), process.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(status) => eprintln!("proffer dev: {name} {} when asked to stop", words(status)),
            Err(_) => {
                eprintln!("proffer dev: {name} does not stop; killing it");
                if let Err(error) = process.kill().await {
                    eprintln!("proffer dev: cannot kill {name}: {error}");
                }
            }
        }
    }
}

/// Asks a child to stop. It cannot be another process: the pid is ours until we have waited for it.
fn terminate(process: &Process) {
    let pid = process
        .id()
        .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    if let Some(pid) = pid {
        // It may have ended this moment, which is as good.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Waits until a child takes connections, or has ended.
async fn up(address: Option<SocketAddr>, process: &mut Process) {
    let Some(address) = address else { return };
    while TcpStream::connect(address).await.is_err() && matches!(process.try_wait(), Ok(None)) {
        sleep(Duration::from_millis(20)).await;
    }
}

fn words(status: std::io::Result<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => "ended".to_owned(),
        },
        Err(error) => format!("is lost ({error})"),
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len().saturating_sub(LOG_TAIL_LINES);
    lines[last..]
        .iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
