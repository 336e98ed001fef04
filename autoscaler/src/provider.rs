//! The operator's provider: an executable that adds and removes machines.
//!
//! What it prints goes to a file for each machine, so that nobody waits for a pipe that a machine of this very host keeps open.
//! It runs in a process group of its own, which outlives the autoscaler: the next one finds it by its pid and start time.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use proffer_autoscaler_core::{Action, AgentShape, Ended, membership_attributes};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How much of the end of its output is looked at for what it says last.
const TAIL_BYTES: u64 = 8 << 10;
/// The most of a line that is told.
const MAX_TOLD: usize = 500;
/// How often a run of an earlier autoscaler is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The executable, and what every run of it has.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    pub(crate) program: PathBuf,
    pub(crate) masters: Vec<String>,
    pub(crate) time_limit: Duration,
    /// Where what it prints is kept.
    pub(crate) dir: PathBuf,
}

impl Provider {
    /// Runs it for a machine to its end.
    pub(crate) async fn run(&self, machine: &str, action: &Action, shape: Option<&AgentShape>) -> Ended {
        let command = match self.command(machine, action, shape) {
            Ok(command) => command,
            Err(error) => return Ended::Failed(format!("cannot write to {}: {error}", self.dir.display())),
        };
        let mut command = Command::from(command);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Ended::Failed(format!("cannot start {}: {error}", self.program.display())),
        };
        let group = child.id();
        if let Some(started) = group.and_then(Started::of) {
            // Without it the next autoscaler takes the run to have ended.
            let _ = fs::write(self.pid_file(machine), started.to_string());
        }
        let ended = self.wait(machine, &mut child, group).await;
        let _ = fs::remove_file(self.pid_file(machine));
        if ended == Ended::Done && matches!(action, Action::Remove { .. }) {
            let _ = fs::remove_file(self.log(machine));
        }
        ended
    }

    async fn wait(&self, machine: &str, child: &mut Child, group: Option<u32>) -> Ended {
        let Ok(status) = timeout(self.time_limit, child.wait()).await else {
            kill_group(group);
            let _ = child.wait().await;
            let limit = self.time_limit.as_secs();
            return Ended::Unknown(format!("it took longer than {limit} s and was killed"));
        };
        match status {
            Ok(status) if status.success() => Ended::Done,
            Ok(status) => self.failed(machine, status),
            Err(error) => Ended::Unknown(error.to_string()),
        }
    }

    fn failed(&self, machine: &str, status: ExitStatus) -> Ended {
        let said = last_line(&self.log(machine)).unwrap_or_default();
        let said = match said.is_empty() {
            true => "it said nothing".to_owned(),
            false => said,
        };
        match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Failed(format!("exit code {code}: {said}")),
            (None, signal) => Ended::Unknown(format!("killed by signal {}: {said}", signal.unwrap_or(0))),
        }
    }

    fn command(
        &self,
        machine: &str,
        action: &Action,
        shape: Option<&AgentShape>,
    ) -> io::Result<std::process::Command> {
        let log = File::create(self.log(machine))?;
        let mut command = std::process::Command::new(&self.program);
        // What is set for the autoscaler is not meant for agents that are started from here.
        let own = std::env::vars_os().map(|(name, _)| name);
        for name in own.filter(|name| name.as_encoded_bytes().starts_with(b"PROFFER_")) {
            command.env_remove(name);
        }
        command
            .env("PROFFER_MACHINE", machine)
            .env("PROFFER_MASTER", self.masters.join(","));
        match action {
            Action::Add { shape } => {
                command.args(["add", shape]).env("PROFFER_SHAPE", shape);
            }
            Action::Remove { shape, agent } => {
                let agent = agent.as_deref().unwrap_or("-");
                command.args(["remove", agent]).env("PROFFER_SHAPE", shape);
            }
            Action::Drain { .. } | Action::Undrain { .. } | Action::MarkGone { .. } | Action::Nothing => {}
        }
        if let Some(shape) = shape {
            let mut attributes = shape.attributes.clone();
            attributes.extend(membership_attributes(&shape.name, machine));
            let pairs = attributes
                .iter()
                .map(|attribute| format!("{}:{}", attribute.name, attribute.value));
            command
                .env("PROFFER_RESOURCES", shape.resources.to_string())
                .env("PROFFER_ATTRIBUTES", pairs.collect::<Vec<_>>().join(";"));
            if let Some(domain) = &shape.domain {
                command.env("PROFFER_DOMAIN", format!("{}/{}", domain.region, domain.zone));
            }
        }
        use std::os::unix::process::CommandExt as _;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        Ok(command)
    }

    /// Whether a run of an earlier autoscaler for a machine goes on.
    pub(crate) fn is_running(&self, machine: &str) -> bool {
        self.earlier(machine).is_some()
    }

    fn earlier(&self, machine: &str) -> Option<u32> {
        let noted = fs::read_to_string(self.pid_file(machine)).ok()?;
        let pid = noted.split(' ').next()?.parse().ok()?;
        (Started::of(pid)?.to_string() == noted).then_some(pid)
    }

    /// Waits for such a run. Its exit code is nobody's to know.
    pub(crate) async fn await_earlier(&self, machine: &str) -> Ended {
        let over = async {
            while self.earlier(machine).is_some() {
                sleep(LOOK).await;
            }
        };
        if timeout(self.time_limit, over).await.is_err() {
            kill_group(self.earlier(machine));
        }
        let _ = fs::remove_file(self.pid_file(machine));
        Ended::Unknown("it was started by an earlier autoscaler".to_owned())
    }

    fn log(&self, machine: &str) -> PathBuf {
        self.dir.join(format!("{machine}.log"))
    }

    fn pid_file(&self, machine: &str) -> PathBuf {
        self.dir.join(format!("{machine}.pid"))
    }
}

/// A process: its pid, and when it started, since pids come again.
struct Started {
    pid: u32,
    ticks: u64,
}

impl Started {
    /// Of a process that is not over.
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may have blanks in it; the state is the first field behind it, the start the 20th.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let is_over = matches!(fields.next()?, "Z" | "X");
        let ticks = fields.nth(18)?.parse().ok()?;
        (!is_over).then_some(Self { pid, ticks })
    }
}

impl std::fmt::Display for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.pid, self.ticks)
    }
}

fn kill_group(pid: Option<u32>) {
    let pid = pid
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// The last line of a file that is not empty, of its last 8 KiB.
fn last_line(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))
        .ok()?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    let line = tail.lines().rev().find(|line| !line.trim().is_empty())?;
    let printable = line.trim().chars().filter(|c| !c.is_control());
    Some(printable.take(MAX_TOLD).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Instant;

    use super::*;

    fn provider(dir: &Path, script: &str) -> Provider {
        let program = dir.join("provider");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Provider {
            program,
            masters: vec!["a:1".to_owned(), "b:2".to_owned()],
            time_limit: Duration::from_secs(20),
            dir: dir.to_owned(),
        }
    }

    fn shape() -> AgentShape {
        AgentShape {
            name: "small".to_owned(),
            resources: "cpus:2;mem:4GiB;ports:[31000-31999]".parse().unwrap(),
            attributes: vec![proffer_types::Attribute {
                name: "disk".to_owned(),
                value: "ssd".to_owned(),
            }],
            domain: Some(proffer_types::FaultDomain {
                region: "eu".to_owned(),
                zone: "a".to_owned(),
            }),
            min: 0,
            max: 1,
        }
    }

    fn add() -> Action {
        Action::Add {
            shape: "small".to_owned(),
        }
    }

    #[tokio::test]
    async fn it_is_told_what_to_add_by_arguments_and_environment() {
        let dir = tempfile::tempdir().unwrap();
        let provider = provider(
            dir.path(),
            "echo \"$@\"; env | grep PROFFER_ | sort; exec sleep 0",
        );
        assert_eq!(provider.run("small-1", &add(), Some(&shape())).await, Ended::Done);
        let said = fs::read_to_string(provider.log("small-1")).unwrap();
        let expected = [
            "add small",
            "PROFFER_ATTRIBUTES=disk:ssd;shape:small;machine:small-1",
            "PROFFER_DOMAIN=eu/a",
            "PROFFER_MACHINE=small-1",
            "PROFFER_MASTER=a:1,b:2",
            "PROFFER_RESOURCES=cpus:2;mem:4GiB;ports:[31000-31999]",
            "PROFFER_SHAPE=small",
        ];
        assert_eq!(said.lines().collect::<Vec<_>>(), expected);
        let remove = |agent: Option<&str>| Action::Remove {
            shape: "small".to_owned(),
            agent: agent.map(str::to_owned),
        };
        assert_eq!(
            provider.run("small-1", &remove(Some("m1-A1")), None).await,
            Ended::Done
        );
        assert!(!provider.log("small-1").exists(), "nothing is left of it");
        assert_eq!(provider.run("small-1", &remove(None), None).await, Ended::Done);
    }

    #[tokio::test]
    async fn what_it_said_last_is_told_and_who_keeps_its_output_open_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let provider = provider(dir.path(), "sleep 9 & echo no quota >&2; echo; exit 3");
        let started = Instant::now();
        let ended = provider.run("small-1", &add(), Some(&shape())).await;
        assert_eq!(ended, Ended::Failed("exit code 3: no quota".to_owned()));
        assert!(started.elapsed() < Duration::from_secs(5));
        let gone = Provider {
            program: dir.path().join("nothing"),
            ..provider
        };
        let ended = gone.run("small-1", &add(), Some(&shape())).await;
        assert!(
            matches!(&ended, Ended::Failed(why) if why.starts_with("cannot start")),
            "{ended:?}"
        );
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let mut provider = provider(dir.path(), "sleep 60 & echo $! > $0.pid; sleep 60");
        provider.time_limit = Duration::from_millis(500);
        let ended = provider.run("small-1", &add(), Some(&shape())).await;
        assert!(
            matches!(&ended, Ended::Unknown(why) if why.contains("was killed")),
            "{ended:?}"
        );
        let pid = fs::read_to_string(dir.path().join("provider.pid")).unwrap();
        let started = Instant::now();
        while Started::of(pid.trim().parse().unwrap()).is_some() {
            assert!(started.elapsed() < Duration::from_secs(10), "it is still there");
            sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn a_run_that_outlives_its_autoscaler_is_found_and_awaited() {
        let dir = tempfile::tempdir().unwrap();
        let provider = provider(dir.path(), "sleep 1");
        let running = tokio::spawn({
            let provider = provider.clone();
            async move { provider.run("small-1", &add(), Some(&shape())).await }
        });
        let started = Instant::now();
        while !provider.is_running("small-1") {
            assert!(started.elapsed() < Duration::from_secs(10));
            sleep(Duration::from_millis(10)).await;
        }
        assert!(!provider.is_running("small-2"));
        running.abort();
        let ended = provider.await_earlier("small-1").await;
        assert!(matches!(ended, Ended::Unknown(_)));
        assert!(!provider.is_running("small-1"));
        assert!(
            started.elapsed() >= Duration::from_millis(800),
            "it was waited for"
        );
    }
}
