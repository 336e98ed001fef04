//! A switch with machines on it, and what runs on them; clients are at the switch.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::lan::{Lan, SWITCH};
use proffer_cluster_tests::{built_binary, text, wait_for, why_not};
use proffer_privileged_tests::guest::machine::{self, Machine, Parts};
use proffer_privileged_tests::skip;
use serde_json::Value;

/// How long anything may take in a guest on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// So much of a log tells what went wrong.
const MAX_LOG_LINES: usize = 40;

/// What a task needs that is to run though its machine dies.
pub(crate) const RETRIES: &str = "    retries: 20\n";

/// What no daemon may ever say.
const PANIC: &str = "panicked at";

pub(crate) struct Site {
    pub(crate) lan: Lan,
    binary: PathBuf,
    dir: tempfile::TempDir,
    /// Where the master is.
    master: &'static str,
}

/// A daemon that ends with the test.
pub(crate) struct Neighbour(Child);

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Site {
    /// One with its master at an address, and hosts that share this one's kernel; says so where none can be had.
    pub(crate) fn new(master: &'static str, hosts: &[&str]) -> Result<Option<Self>> {
        let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
        let missing = ["ip", "nft", "nsenter"]
            .into_iter()
            .find(|program| !is_there(program));
        let why = missing.map(|program| format!("there is no {program} here"));
        if let Some(why) = why.or_else(machine::lacks).or_else(why_not) {
            skip(&why);
            return Ok(None);
        }
        // A machine finds a memory of its own at `/run` and `/dev/shm`, and this one as it is.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        fs::create_dir(dir.path().join("runs"))?;
        // Root in a task is nobody on the host.
        fs::set_permissions(dir.path().join("runs"), fs::Permissions::from_mode(0o1777))?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Some(Self {
            lan: Lan::new(dir.path().join("hosts"), hosts)?,
            binary: built_binary()?,
            dir,
            master,
        }))
    }

    /// Puts a machine together, which has a name.
    pub(crate) fn machine(&mut self, name: &str, address: &str) -> Result<Parts> {
        let tap = self.lan.tap(address)?;
        let dir = self.dir.path().join(format!("machine-{name}"));
        Parts::new(dir, name, tap, format!("{address}/24"))
    }

    pub(crate) fn boot(&self, parts: &Parts, options: &str) -> Result<Machine> {
        parts.boot(|kernel| self.lan.on(SWITCH, kernel), options)
    }

    /// Starts a daemon of a name on a machine, with its data on the machine's disk; returns its pid there.
    pub(crate) fn daemon(&self, machine: &mut Machine, name: &str, args: &str) -> Result<u32> {
        let binary = self.binary.display();
        machine.start(
            &format!("PROFFER_DATA_DIR=$PWD/{name} RUST_BACKTRACE=0 {binary} {args}"),
            &self.log_of(name),
        )
    }

    /// Starts master, agent and framework on the master's machine; returns their pids there.
    pub(crate) fn start_all(&self, machine: &mut Machine) -> Result<Vec<u32>> {
        let (at, listen) = (self.master, "--insecure-listen --listen");
        let has = format!(
            "--resources 'cpus:4;mem:256MiB;disk:200MiB' --allow-host-path {}",
            self.runs().display()
        );
        let daemons = [
            ("master", format!("master {listen} {at}:5050")),
            (
                "agent",
                format!("agent --master {at}:5050 {listen} {at}:5051 {has}"),
            ),
            (
                "batch",
                format!("framework batch --master {at}:5050 {listen} {at}:0"),
            ),
        ];
        let pids = daemons.map(|(name, args)| self.daemon(machine, name, &args));
        pids.into_iter().collect()
    }

    /// Starts master and frameworks on a host that shares this one's kernel. The master does not wait long for agents, so
    /// that what is cut off is given up within a test.
    pub(crate) fn start_but_agents(&self, host: &str) -> Result<[Neighbour; 3]> {
        let (at, any) = (format!("{host}:5050"), format!("{host}:0"));
        let master = ["master", "--insecure-listen", "--listen", &at];
        let times = ["--heartbeat-interval", "1s", "--agent-reregister-timeout", "6s"];
        let framework = |name| {
            let args = [
                "framework",
                name,
                "--insecure-listen",
                "--listen",
                &any,
                "--master",
                &at,
            ];
            self.neighbour(host, name, &args)
        };
        Ok([
            self.neighbour(host, "master", &[master, times].concat())?,
            framework("batch")?,
            framework("service")?,
        ])
    }

    /// Starts an agent of a name on a machine; returns its pid there.
    pub(crate) fn start_agent(
        &self,
        machine: &mut Machine,
        name: &str,
        master: &str,
        address: &str,
    ) -> Result<u32> {
        let runs = self.runs();
        let args = format!(
            "agent --master {master}:5050 --insecure-listen --listen {address}:5051 --resources \
             'cpus:4;mem:256MiB;disk:200MiB' --allow-host-path {}",
            runs.display()
        );
        self.daemon(machine, name, &args)
    }

    /// Starts a daemon on a host that shares this one's kernel.
    pub(crate) fn neighbour(&self, host: &str, name: &str, args: &[&str]) -> Result<Neighbour> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_of(name))?;
        let mut command = self.lan.on(host, &self.binary);
        command
            .args(args)
            .env("PROFFER_DATA_DIR", self.dir.path().join(name))
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(Neighbour(command.spawn()?))
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.log"))
    }

    /// Where tasks tell that they run.
    pub(crate) fn runs(&self) -> PathBuf {
        self.dir.path().join("runs")
    }

    pub(crate) fn run(&self, args: &[&str]) -> Result<Output> {
        let mut command = self.lan.on(SWITCH, &self.binary);
        let master = format!("{}:5050", self.master);
        command.args(args).env("PROFFER_MASTER", master);
        Ok(command.stdin(Stdio::null()).output()?)
    }

    /// Runs a command that must succeed; returns what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> Result<String> {
        let output = self.run(args)?;
        ensure!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        Ok(text(&output.stdout))
    }

    pub(crate) fn json(&self, args: &[&str]) -> Result<Value> {
        let printed = self.ok(&[args, &["-o", "json"]].concat())?;
        serde_json::from_str(&printed).context(printed)
    }

    pub(crate) fn listed(&self, args: &[&str]) -> Result<Vec<Value>> {
        let listed = self.json(args)?;
        listed.as_array().cloned().context("no list")
    }

    /// Submits an array whose tasks each tell that they run, and then do what the script says. `more`: lines of the
    /// task, and then of the job.
    pub(crate) fn submit(&self, name: &str, n_tasks: usize, then: &str, more: &str) -> Result<()> {
        let file = self.dir.path().join(format!("{name}.yaml"));
        // A file for each run: one that the power went over is of no use to the next.
        let script = format!(": >/tmp/runs/{name}-$PROFFER_TASK_INDEX-$(date +%s%N) && {then}");
        let runs = self.runs();
        let job = format!(
            "name: {name}\ntasks:\n  - name: t\n    count: {n_tasks}\n    cpus: 0.2\n    mem: 16MiB\n    \
             command: [sh, -c, '{script}']\n    volumes: [{{ path: /tmp/runs, host: {} }}]\n{more}",
            runs.display()
        );
        fs::write(&file, job)?;
        self.ok(&["job", "submit", &file.display().to_string()])?;
        Ok(())
    }

    /// How often a task of a job ran.
    pub(crate) fn n_runs(&self, job: &str, index: usize) -> usize {
        let prefix = format!("{job}-{index}-");
        let entries = fs::read_dir(self.runs()).into_iter().flatten().flatten();
        let runs = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        runs.count()
    }

    /// Waits until a job has ended well.
    pub(crate) fn await_end(&self, job: &str) -> Result<()> {
        let has_ended = || {
            self.json(&["job", "status", job])
                .is_ok_and(|job| job["state"] == "finished")
        };
        ensure!(
            wait_for(PATIENCE, has_ended),
            "{job} does not finish: {:?}\n{}",
            self.ok(&["job", "status", job]),
            self.logs()
        );
        Ok(())
    }

    /// Waits until so many agents and frameworks are there.
    pub(crate) fn await_whole(&self, n_agents: usize, n_frameworks: usize) -> Result<()> {
        let n_active = |listing| {
            let listed = self.listed(&[listing]).unwrap_or_default();
            listed.iter().filter(|line| line["state"] == "active").count()
        };
        let is_whole = || n_active("agents") == n_agents && n_active("frameworks") == n_frameworks;
        ensure!(
            wait_for(PATIENCE, is_whole),
            "the cluster does not come up: {}",
            self.logs()
        );
        Ok(())
    }

    /// Fails when a daemon panicked.
    pub(crate) fn check_logs(&self) -> Result<()> {
        let logs = self.logs_of(|line| line.contains(PANIC));
        ensure!(!logs.contains(PANIC), "{logs}");
        Ok(())
    }

    /// How often daemons of a name said a line with a text.
    pub(crate) fn count(&self, name: &str, what: &str) -> usize {
        let log = fs::read(self.log_of(name)).unwrap_or_default();
        text(&log).lines().filter(|line| line.contains(what)).count()
    }

    /// What the daemons said last.
    pub(crate) fn logs(&self) -> String {
        self.logs_of(|_| true)
    }

    fn logs_of(&self, is_wanted: impl Fn(&str) -> bool) -> String {
        let mut all = String::new();
        for entry in fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
            if entry
                .path()
                .extension()
                .is_none_or(|extension| extension != "log")
            {
                continue;
            }
            let log = text(&fs::read(entry.path()).unwrap_or_default());
            let lines: Vec<&str> = log.lines().filter(|line| is_wanted(line)).collect();
            let last = lines[lines.len().saturating_sub(MAX_LOG_LINES)..].join("\n");
            all += &format!("--- {}\n{last}\n", entry.path().display());
        }
        all
    }
}
