//! Hosts of their own, each a network namespace, with a switch between them whose cables can be cut, one way or both: what
//! is acknowledged stays so, what runs goes on, and everybody finds together again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::lan::{Cut, Lan, SWITCH};
use proffer_cluster_tests::{built_binary, signal, skipped, text, wait_for};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const MASTERS: [&str; 3] = ["10.78.0.1", "10.78.0.2", "10.78.0.3"];
const AGENTS: [&str; 2] = ["10.78.0.11", "10.78.0.12"];
const FRAMEWORK: &str = "10.78.0.21";

/// Three hosts with an etcd and a master each, two agents and the batch framework.
struct Hosts {
    lan: Lan,
    binary: PathBuf,
    dir: tempfile::TempDir,
    etcds: BTreeMap<&'static str, Child>,
    masters: BTreeMap<&'static str, Child>,
    others: Vec<Child>,
}

#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
fn is_impossible() -> bool {
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let missing = ["etcd", "ip", "nft", "nsenter", "curl"]
        .into_iter()
        .find(|program| !is_there(program));
    if let Some(missing) = missing {
        println!("skipped: there is no {missing} here");
    }
    missing.is_some() || skipped()
}

impl Hosts {
    fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("proffer-lan-").tempdir()?;
        let runs = dir.path().join("runs");
        fs::create_dir(&runs)?;
        // Root in a task is nobody on the host.
        fs::set_permissions(&runs, fs::Permissions::from_mode(0o1777))?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let all: Vec<_> = MASTERS
            .iter()
            .chain(&AGENTS)
            .chain([&FRAMEWORK])
            .copied()
            .collect();
        let mut hosts = Self {
            lan: Lan::new(dir.path().join("hosts"), &all)?,
            binary: built_binary()?,
            dir,
            etcds: BTreeMap::new(),
            masters: BTreeMap::new(),
            others: Vec::new(),
        };
        for host in MASTERS {
            let etcd = hosts.etcd(host)?;
            hosts.etcds.insert(host, etcd);
        }
        ensure!(
            wait_for(PATIENCE, || hosts.etcd_leader().is_ok()),
            "etcd does not start"
        );
        for host in MASTERS {
            let master = hosts.master(host)?;
            hosts.masters.insert(host, master);
        }
        for host in AGENTS {
            let agent = hosts.agent(host)?;
            hosts.others.push(agent);
        }
        let masters = masters();
        let args = ["framework", "batch", "--master", &masters, "--insecure-listen"];
        let listen = format!("{FRAMEWORK}:0");
        let batch = hosts.daemon(FRAMEWORK, "batch", &[&args[..], &["--listen", &listen]].concat())?;
        hosts.others.push(batch);
        ensure!(
            wait_for(PATIENCE, || hosts.is_whole()),
            "the cluster does not come up"
        );
        Ok(hosts)
    }

    fn spawn(&self, mut command: Command, name: &str) -> Result<Child> {
        let log = self.dir.path().join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        command.stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| name.to_owned())
    }

    fn daemon(&self, host: &str, name: &str, args: &[&str]) -> Result<Child> {
        let mut command = self.lan.on(host, &self.binary);
        command.args(args);
        if !name.starts_with("master") {
            command.env("PROFFER_DATA_DIR", self.dir.path().join(name));
        }
        self.spawn(command, name)
    }

    fn etcd(&self, host: &str) -> Result<Child> {
        let (client, peer) = (format!("http://{host}:2379"), format!("http://{host}:2380"));
        let members = MASTERS.map(|host| format!("{host}=http://{host}:2380")).join(",");
        let mut command = self.lan.on(host, Path::new("etcd"));
        command
            .args([
                "--name",
                host,
                "--log-level",
                "error",
                "--initial-cluster",
                &members,
            ])
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .arg("--data-dir")
            .arg(self.dir.path().join(format!("etcd-{host}")));
        self.spawn(command, &format!("etcd-{host}.out"))
    }

    fn master(&self, host: &str) -> Result<Child> {
        let (listen, store) = (format!("{host}:5050"), etcds());
        let args = [
            "master",
            "--listen",
            &listen,
            "--insecure-listen",
            "--store",
            &store,
        ];
        // Short, so that what is cut off is noticed within the test.
        let times = ["--heartbeat-interval", "1s", "--agent-reregister-timeout", "4s"];
        self.daemon(host, &format!("master-{host}"), &[&args[..], &times].concat())
    }

    fn agent(&self, host: &str) -> Result<Child> {
        let (listen, masters) = (format!("{host}:5051"), masters());
        let runs = self.dir.path().join("runs").display().to_string();
        let args = [
            "agent",
            "--master",
            &masters,
            "--listen",
            &listen,
            "--insecure-listen",
        ];
        let has = [
            "--resources",
            "cpus:4;mem:1GiB;disk:1GiB",
            "--allow-host-path",
            &runs,
        ];
        self.daemon(host, &format!("agent-{host}"), &[&args[..], &has].concat())
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        let mut command = self.lan.on(SWITCH, &self.binary);
        Ok(command.args(args).env("PROFFER_MASTER", masters()).output()?)
    }

    fn listed(&self, args: &[&str]) -> Result<Vec<serde_json::Value>> {
        let output = self.run(&[args, &["-o", "json"]].concat())?;
        ensure!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Whether a master leads that has all agents and the framework.
    fn is_whole(&self) -> bool {
        let n_active = |listing| {
            let listed = self.listed(&[listing]).unwrap_or_default();
            listed.iter().filter(|line| line["state"] == "active").count()
        };
        n_active("agents") == AGENTS.len() && n_active("frameworks") == 1
    }

    /// The master that says it is ready, if the switch reaches one.
    fn leader(&self) -> Option<&'static str> {
        MASTERS.into_iter().find(|host| {
            let mut ask = self.lan.on(SWITCH, Path::new("curl"));
            ask.args(["-sf", "--max-time", "1", &format!("http://{host}:5050/readyz")]);
            ask.output().is_ok_and(|answer| answer.status.success())
        })
    }

    fn led(&self) -> Result<&'static str> {
        let mut found = None;
        wait_for(PATIENCE, || {
            found = self.leader();
            found.is_some()
        });
        found.context("no master leads")
    }

    /// The etcd that leads the others.
    fn etcd_leader(&self) -> Result<&'static str> {
        let leads = |host: &&str| {
            let mut ask = self.lan.on(SWITCH, Path::new("curl"));
            ask.args(["-s", "--max-time", "1", &format!("http://{host}:2379/metrics")]);
            let answer = ask
                .output()
                .map(|answer| text(&answer.stdout))
                .unwrap_or_default();
            answer.contains("etcd_server_is_leader 1")
        };
        MASTERS.into_iter().find(leads).context("no etcd leads")
    }

    /// Submits an array whose tasks each say that they run, and take a while.
    fn submit(&self, name: &str, n_tasks: usize) -> Result<()> {
        let runs = self.dir.path().join("runs");
        let file = self.dir.path().join(format!("{name}.yaml"));
        let script = format!("echo run >> /tmp/runs/{name}-$PROFFER_TASK_INDEX; sleep 2");
        let job = format!(
            "name: {name}\ntasks:\n  - name: t\n    count: {n_tasks}\n    cpus: 0.5\n    mem: 16MiB\n    retries: 20\n    \
             command: [sh, -c, '{script}']\n    volumes: [{{ path: /tmp/runs, host: {} }}]\n",
            runs.display()
        );
        fs::write(&file, job)?;
        let submitted = self.run(&["job", "submit", &file.display().to_string()])?;
        ensure!(submitted.status.success(), "{}", text(&submitted.stderr));
        Ok(())
    }

    fn job(&self, name: &str) -> Option<serde_json::Value> {
        let output = self.run(&["job", "status", name, "-o", "json"]).ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    /// How often each task ran; fails unless all have finished.
    fn runs(&self, name: &str, n_tasks: usize) -> Result<Vec<usize>> {
        let has_ended = || self.job(name).is_some_and(|job| job["state"] == "finished");
        ensure!(
            wait_for(PATIENCE, has_ended),
            "the job does not finish: {:?}",
            self.job(name)
        );
        let count = |n| {
            let file = self.dir.path().join(format!("runs/{name}-{n}"));
            Ok(fs::read_to_string(file)?.lines().count())
        };
        (0..n_tasks).map(count).collect()
    }
}

fn masters() -> String {
    MASTERS.map(|host| format!("{host}:5050")).join(",")
}

fn etcds() -> String {
    format!("etcd://{}", MASTERS.map(|host| format!("{host}:2379")).join(","))
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
            if entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "log")
            {
                // Shown by the test runner when the test failed.
                let log = fs::read_to_string(entry.path()).unwrap_or_default();
                eprintln!("--- {}:\n{log}", entry.path().display());
            }
        }
        let masters = std::mem::take(&mut self.masters).into_values();
        let etcds = std::mem::take(&mut self.etcds).into_values();
        // The agents first: they end their containers.
        for mut child in self.others.drain(..).chain(masters).chain(etcds) {
            let _ = signal(child.id(), "TERM");
            let ended = wait_for(Duration::from_secs(10), || {
                matches!(child.try_wait(), Ok(Some(_)))
            });
            if !ended {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

#[test]
fn masters_and_etcds_that_die_or_are_cut_off_cost_no_task_and_repeat_none() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let mut hosts = Hosts::start()?;
    hosts.submit("load", 120)?;

    let etcd = hosts.etcd_leader()?;
    let mut killed = hosts.etcds.remove(etcd).context("it runs")?;
    killed.kill()?;
    killed.wait()?;
    ensure!(
        wait_for(PATIENCE, || hosts.is_whole()),
        "lost with the leader of etcd"
    );
    let again = hosts.etcd(etcd)?;
    hosts.etcds.insert(etcd, again);

    let first = hosts.led()?;
    hosts.lan.cut(first, Cut::Both)?;
    let second = hosts.led()?;
    assert_ne!(first, second);
    ensure!(
        wait_for(PATIENCE, || hosts.is_whole()),
        "not everybody left the master that was cut off"
    );
    hosts.lan.mend(first)?;

    for host in MASTERS {
        let mut stopped = hosts.masters.remove(host).context("it runs")?;
        signal(stopped.id(), "TERM")?;
        stopped.wait()?;
        let again = hosts.master(host)?;
        hosts.masters.insert(host, again);
        ensure!(
            wait_for(PATIENCE, || hosts.is_whole()),
            "lost with the restart of {host}"
        );
    }

    // No agent was cut off, so there was no reason to run anything again.
    assert_eq!(hosts.runs("load", 120)?, vec![1; 120]);
    Ok(())
}

#[test]
fn whoever_cannot_hear_comes_back_when_it_can_and_what_ran_meanwhile_counts() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let hosts = Hosts::start()?;
    hosts.submit("load", 60)?;
    let leader = hosts.led()?;
    let [deaf, alone] = AGENTS;

    // It is heard, and does not hear.
    hosts.lan.cut(deaf, Cut::From(leader))?;
    let is_missed = || {
        let agents = hosts.listed(&["agents"]).unwrap_or_default();
        agents.iter().any(|agent| agent["state"] != "active")
    };
    ensure!(wait_for(PATIENCE, is_missed), "nobody noticed that it is deaf");
    hosts.lan.mend(deaf)?;
    ensure!(
        wait_for(PATIENCE, || hosts.is_whole()),
        "the deaf one does not come back"
    );

    // Away for longer than the cluster waits.
    hosts.lan.cut(alone, Cut::Both)?;
    let is_given_up = || {
        let agents = hosts.listed(&["agents"]).unwrap_or_default();
        agents.iter().any(|agent| agent["state"] == "unreachable")
    };
    ensure!(wait_for(PATIENCE, is_given_up), "it is waited for for ever");
    hosts.lan.mend(alone)?;
    ensure!(
        wait_for(PATIENCE, || hosts.is_whole()),
        "the lonely one does not come back"
    );

    // The framework hears nothing of what its tasks do.
    hosts.lan.cut(FRAMEWORK, Cut::From(hosts.led()?))?;
    let is_away = || {
        let frameworks = hosts.listed(&["frameworks"]).unwrap_or_default();
        frameworks.iter().any(|framework| framework["state"] != "active")
    };
    ensure!(wait_for(PATIENCE, is_away), "nobody noticed that it is deaf");
    hosts.lan.mend(FRAMEWORK)?;

    let runs = hosts.runs("load", 60)?;
    assert!(runs.iter().all(|n_runs| *n_runs >= 1), "{runs:?}");
    ensure!(wait_for(PATIENCE, || hosts.is_whole()), "not whole at the end");
    let left = hosts.listed(&["ps"])?;
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}
