//! The autoscaler of agents: real agents come for what waits, by the provider of the examples, and go when they run nothing.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, built_binary, signal, skipped, text, wait_for};
use serde_json::Value;

/// How long a change may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long what must not happen is waited for.
const HOLDS: Duration = Duration::from_secs(5);

const SHAPES: &str = "poll: 300ms\nscale_up_delay: 1s\nidle: 5s\ncooldown: 1s\nbackoff: 1s\nprovider_timeout: 30s\nshapes:\n  - {name: tiny, resources: 'cpus:0.5;mem:256MiB;disk:256MiB', max: 4}\n  - {name: large, resources: 'cpus:4;mem:512MiB;disk:256MiB', max: 2}\n";

/// An autoscaler of a cluster, and the machines that its provider has.
struct Autoscaler<'a> {
    cluster: &'a Cluster,
    dir: PathBuf,
    provider: PathBuf,
    process: Option<Child>,
}

impl<'a> Autoscaler<'a> {
    /// `script` comes before what the provider of the examples does.
    fn start(cluster: &'a Cluster, script: &str) -> Result<Self> {
        let dir = cluster.scratch().join("autoscaler");
        fs::create_dir_all(&dir)?;
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/autoscaler/provider");
        let provider = dir.join("provider");
        let text = format!(
            "#!/bin/sh\ncd {}\n{script}\nexec {} \"$@\"\n",
            dir.display(),
            example.display()
        );
        fs::write(&provider, text)?;
        fs::set_permissions(&provider, fs::Permissions::from_mode(0o755))?;
        fs::write(dir.join("shapes.yaml"), SHAPES)?;
        let mut this = Self {
            cluster,
            dir,
            provider,
            process: None,
        };
        this.run()?;
        Ok(this)
    }

    fn run(&mut self) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))?;
        let process = Command::new(built_binary()?)
            .args(["autoscaler", "--master", &self.cluster.master()?, "--provider"])
            .arg(&self.provider)
            .arg("--config")
            .arg(self.dir.join("shapes.yaml"))
            .arg("--data-dir")
            .arg(self.dir.join("data"))
            .env("MACHINES", self.machines())
            .env("PROFFER", built_binary()?)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.process = Some(process);
        Ok(())
    }

    fn machines(&self) -> PathBuf {
        self.dir.join("machines")
    }

    fn kill_9(&mut self) -> Result<()> {
        let mut process = self.process.take().context("it does not run")?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    #[track_caller]
    fn says(&self, words: &str) {
        let said = wait_for(PATIENCE, || self.log().contains(words));
        assert!(said, "no `{words}` in:\n{}", self.log());
    }

    /// Those that the provider has.
    fn n_machines(&self) -> usize {
        fs::read_dir(self.machines()).into_iter().flatten().count()
    }
}

impl Drop for Autoscaler<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the autoscaler said:\n{}", self.log());
        }
        if let Some(process) = &mut self.process {
            drop(signal(process.id(), "TERM"));
            drop(process.wait());
        }
        // The agents that are left, by the pids that the provider noted.
        for machine in fs::read_dir(self.machines()).into_iter().flatten().flatten() {
            let pid = fs::read_to_string(machine.path().join("pid")).unwrap_or_default();
            if let Ok(pid) = pid.trim().parse() {
                drop(signal(pid, "TERM"));
                wait_for(PATIENCE, || {
                    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                    command.is_empty()
                });
            }
        }
    }
}

/// One agent, larger than those that can be added, and full.
fn cluster() -> Result<Cluster> {
    let resources = "cpus:5;mem:512MiB;disk:512MiB";
    let cluster = Cluster::start_with(&built_binary()?, &["--resources", resources])?;
    submit(&cluster, "filler", "*", 1, "4.8", 5000)?;
    let full = wait_for(PATIENCE, || n_running(&cluster, "filler") == 1);
    ensure!(full, "{}", cluster.ok(&["job", "status", "filler"])?);
    Ok(cluster)
}

fn submit(cluster: &Cluster, name: &str, role: &str, count: u32, cpus: &str, seconds: u32) -> Result<()> {
    let job = format!(
        "name: {name}\nrole: '{role}'\ntasks:\n  - name: {name}\n    count: {count}\n    cpus: {cpus}\n    mem: 16MiB\n    command: [sleep, '{seconds}']\n"
    );
    let submitted = cluster.run_with_input(&["job", "submit", "-"], &job)?;
    ensure!(submitted.status.success(), "{}", text(&submitted.stderr));
    Ok(())
}

fn list(cluster: &Cluster, what: &[&str]) -> Vec<Value> {
    let listed = cluster.json(what).unwrap_or_default();
    listed.as_array().cloned().unwrap_or_default()
}

fn n_running(cluster: &Cluster, name: &str) -> usize {
    let tasks = list(cluster, &["tasks"]).into_iter();
    let is_there = |task: &Value| {
        let is_its = task["name"].as_str().is_some_and(|of| of.starts_with(name));
        is_its && task["state"] == "running"
    };
    tasks.filter(is_there).count()
}

#[track_caller]
fn comes(what: &str, autoscaler: &Autoscaler<'_>, holds: impl Fn() -> bool) {
    let agents = || autoscaler.cluster.ok(&["agents"]).unwrap_or_default();
    assert!(
        wait_for(PATIENCE, holds),
        "{what}\n{}\n{}",
        agents(),
        autoscaler.log()
    );
}

#[test]
fn an_agent_comes_for_what_waits_and_goes_when_it_runs_nothing_whenever_the_autoscaler_is_killed()
-> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = cluster()?;
    // It comes with each agent, and keeps none.
    let daemon =
        "name: watcher\nmode: daemon\ntask:\n  cpus: 0.05\n  mem: 8MiB\n  command: [sleep, '5000']\n";
    let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], daemon)?;
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    let mut autoscaler = Autoscaler::start(&cluster, "sleep 1")?;
    submit(&cluster, "waits", "*", 2, "2", 15)?;
    // Killed while the provider adds, it neither forgets nor asks again.
    autoscaler.says("adding an agent");
    autoscaler.kill_9()?;
    autoscaler.run()?;
    comes("two tasks of 2 cpus fill one large agent", &autoscaler, || {
        n_running(&cluster, "waits") == 2
    });
    comes("the daemon is there, too", &autoscaler, || {
        n_running(&cluster, "watcher") == 2
    });
    assert_eq!(
        (list(&cluster, &["agents"]).len(), autoscaler.n_machines()),
        (2, 1)
    );
    comes("the tasks end", &autoscaler, || n_running(&cluster, "waits") == 0);
    // Killed while it drains and removes, it goes on.
    autoscaler.says("draining an agent");
    autoscaler.kill_9()?;
    autoscaler.run()?;
    comes("the agent goes", &autoscaler, || {
        list(&cluster, &["agents"]).len() == 1 && autoscaler.n_machines() == 0
    });
    let gone = list(&cluster, &["agents", "--gone"]);
    assert_eq!(
        gone.iter().filter(|agent| agent["state"] == "gone").count(),
        1,
        "{gone:?}"
    );
    let added = autoscaler.log().matches("adding an agent machine").count();
    assert_eq!(added, 1, "{}", autoscaler.log());
    Ok(())
}

#[test]
fn a_provider_that_fails_is_asked_again_and_what_quota_forbids_adds_nothing() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = cluster()?;
    cluster.ok(&["role", "set", "poor", "--limit", "cpus:0.2"])?;
    submit(&cluster, "forbidden", "poor", 1, "0.5", 5000)?;
    submit(&cluster, "huge", "*", 1, "5", 5000)?;
    // Once it refuses, once it hangs, and then it works.
    let script = "[ $1 = add ] && [ ! -e refused ] && touch refused && echo no more machines >&2 && exit 7\n\
                  [ $1 = add ] && [ ! -e hung ] && touch hung && exec sleep 600";
    let autoscaler = Autoscaler::start(&cluster, script)?;
    autoscaler.says("the limit of role poor on cpus keeps 1 of them");
    autoscaler.says("no shape would hold it: tiny: it has cpus 0.5 of 5; large: it has cpus 4 of 5");
    assert!(
        !wait_for(HOLDS, || autoscaler.log().contains("adding an agent")),
        "{}",
        autoscaler.log()
    );
    submit(&cluster, "waits", "*", 1, "0.4", 5000)?;
    autoscaler.says("exit code 7: no more machines");
    autoscaler.says("it took longer than 30 s and was killed");
    comes("the third time it works", &autoscaler, || {
        n_running(&cluster, "waits") == 1
    });
    assert_eq!(autoscaler.n_machines(), 1);
    Ok(())
}
