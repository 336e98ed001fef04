//! Whose tasks are whose, when records are lost; and an agent that is started otherwise than before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{built_binary, signal, skipped, text, wait_for};
use serde_json::Value;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Daemons without a supervisor: what ends stays dead. Killed in the order of their names.
struct Daemons {
    binary: PathBuf,
    dir: tempfile::TempDir,
    master: String,
    running: BTreeMap<&'static str, Child>,
}

impl Daemons {
    /// A master and an agent that has `cpus:2`.
    fn start(nth: u8) -> Result<Self> {
        let [.., high, low] = std::process::id().to_be_bytes();
        let mut daemons = Self {
            binary: built_binary()?,
            dir: tempfile::Builder::new().prefix("proffer-owners-").tempdir()?,
            // Loopback has more addresses than this one test of one process.
            master: format!("127.{}.{high}.{low}:5050", 200 + nth),
            running: BTreeMap::new(),
        };
        daemons.start_master()?;
        daemons.start_agent("cpus:2;mem:1GiB", &[])?;
        Ok(daemons)
    }

    fn data(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn spawn(&mut self, name: &'static str, args: &[&str]) -> Result<()> {
        let log = self.dir.path().join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        let child = self.command(args).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.running.insert(name, child);
        Ok(())
    }

    fn start_master(&mut self) -> Result<()> {
        let (address, data) = (self.master.clone(), self.data("master"));
        self.spawn("master", &["master", "--listen", &address, "--data-dir", &data])
    }

    fn start_agent(&mut self, resources: &str, more: &[&str]) -> Result<()> {
        let data = self.data("agent");
        let args = [
            "agent",
            "--data-dir",
            &data,
            "--resources",
            resources,
            "--listen",
            "127.0.0.1:0",
        ];
        self.spawn("agent", &[&args[..], more].concat())
    }

    fn start_framework(&mut self, name: &'static str, data: &str, more: &[&str]) -> Result<()> {
        let data = self.data(data);
        self.spawn(name, &[&["framework", name, "--data-dir", &data], more].concat())
    }

    /// `kill -9`.
    fn kill(&mut self, name: &str) -> Result<()> {
        let mut child = self.running.remove(name).context("it runs")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .env("PROFFER_MASTER", &self.master)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        Ok(self.command(args).output()?)
    }

    fn ok(&self, args: &[&str]) -> Result<()> {
        let output = self.run(args)?;
        ensure!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        Ok(())
    }

    fn rows(&self, listing: &str) -> Vec<Value> {
        let output = self.run(&[listing, "-o", "json"]);
        let listed = output
            .ok()
            .and_then(|output| serde_json::from_slice(&output.stdout).ok());
        listed.unwrap_or_default()
    }

    fn agent(&self) -> Option<Value> {
        let is_active = |agent: &Value| agent["state"] == "active";
        self.rows("agents").into_iter().find(is_active)
    }

    /// State and tasks of a framework.
    fn framework(&self, id: &str) -> Option<(String, u64)> {
        let frameworks = self.rows("frameworks");
        let framework = frameworks
            .iter()
            .find(|framework| framework["framework_id"] == id)?;
        Some((
            framework["state"].as_str()?.to_owned(),
            framework["n_tasks"].as_u64()?,
        ))
    }

    fn id_of(&self, name: &str) -> Option<String> {
        let frameworks = self.rows("frameworks");
        let is_it = |framework: &&Value| framework["name"] == name && framework["state"] == "active";
        Some(
            frameworks.iter().find(is_it)?["framework_id"]
                .as_str()?
                .to_owned(),
        )
    }

    /// The id of a framework that has come up.
    fn framework_id(&self, name: &str) -> Result<String> {
        ensure!(
            wait_for(PATIENCE, || self.id_of(name).is_some()),
            "{name} does not come up"
        );
        self.id_of(name).context("it came up")
    }

    fn becomes(&self, id: &str, state: &str, n_tasks: u64) -> Result<()> {
        let wanted = Some((state.to_owned(), n_tasks));
        let is_so = wait_for(PATIENCE, || self.framework(id) == wanted);
        ensure!(is_so, "{id} is {:?}, not {wanted:?}", self.framework(id));
        Ok(())
    }

    /// Submits what sleeps, one job or one service of the given name.
    fn sleep(&self, what: &[&str], name: &str, spec: &str) -> Result<()> {
        let file = self.dir.path().join(format!("{name}.yaml"));
        fs::write(&file, spec)?;
        let file = file.display().to_string();
        self.ok(&[what, &[file.as_str()]].concat())
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(format!("{name}.log"))).unwrap_or_default()
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        for name in ["master", "agent", "batch", "service"] {
            // Shown by the test runner when the test failed.
            eprintln!("--- {name}:\n{}", self.log(name));
        }
        // So that nothing runs on: the agent's end leaves its tasks alone otherwise.
        drop(self.kill("agent"));
        let data = self.data("agent");
        if let Ok(mut last) = self
            .command(&["agent", "--data-dir", &data, "--listen", "127.0.0.1:0"])
            .args(["--resources", "cpus:9;mem:1GiB", "--kill-tasks-on-stop"])
            .spawn()
        {
            wait_for(PATIENCE, || self.agent().is_some());
            drop(signal(last.id(), "TERM"));
            if !wait_for(PATIENCE, || matches!(last.try_wait(), Ok(Some(_)))) {
                drop(last.kill());
                drop(last.wait());
            }
        }
        for (_, mut child) in std::mem::take(&mut self.running) {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

const JOB: &str =
    "name: long\ntasks:\n  - name: t\n    cpus: 0.1\n    mem: 16MiB\n    command: [sleep, '1000']\n";
const SERVICE: &str =
    "name: web\nreplicas: 1\ntask:\n  cpus: 0.1\n  mem: 16MiB\n  command: [sleep, '1000']\n";

#[test]
fn tasks_of_a_lost_registry_run_on_until_they_are_torn_down_or_adopted() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut daemons = Daemons::start(0)?;
    daemons.start_framework("batch", "batch", &[])?;
    daemons.start_framework("service", "service", &[])?;
    let (batch, service) = (daemons.framework_id("batch")?, daemons.framework_id("service")?);
    daemons.sleep(&["job", "submit"], "job", JOB)?;
    daemons.sleep(&["service", "apply", "-f"], "service", SERVICE)?;
    daemons.becomes(&batch, "active", 1)?;
    daemons.becomes(&service, "active", 1)?;

    for name in ["batch", "service", "master"] {
        daemons.kill(name)?;
    }
    fs::remove_dir_all(daemons.data("master"))?;
    daemons.start_master()?;
    daemons.becomes(&batch, "orphaned", 1)?;
    daemons.becomes(&service, "orphaned", 1)?;

    // One is torn down: its task is killed, and its id is spent.
    daemons.ok(&["framework", "teardown", &service])?;
    let only_batch = |daemons: &Daemons| {
        let tasks = daemons.rows("ps");
        tasks.len() == 1 && tasks[0]["framework_id"] == batch.as_str()
    };
    ensure!(
        wait_for(PATIENCE, || only_batch(&daemons)),
        "{:?}",
        daemons.rows("ps")
    );
    daemons.start_framework("service", "service", &[])?;
    let refused = || daemons.log("service").contains("its id is spent");
    ensure!(wait_for(PATIENCE, refused), "a spent id is taken");

    // The other is taken over by somebody without records, who first lets the task be.
    let more = ["--adopt", &batch, "--unknown-tasks", "keep"];
    daemons.start_framework("batch", "batch-2", &more)?;
    daemons.becomes(&batch, "active", 1)?;
    let kept = || daemons.log("batch").contains("left to run");
    ensure!(wait_for(PATIENCE, kept), "nobody asked for the task");
    ensure!(only_batch(&daemons), "{:?}", daemons.rows("ps"));
    daemons.kill("batch")?;
    daemons.start_framework("batch", "batch-2", &["--unknown-tasks", "kill"])?;
    daemons.becomes(&batch, "active", 0)?;

    // Records of another framework adopt nobody.
    let data = daemons.data("batch-2");
    let other = [
        "framework",
        "batch",
        "--data-dir",
        &data,
        "--adopt",
        "f-1",
        "--unknown-tasks",
        "kill",
    ];
    daemons.kill("batch")?;
    let refused = daemons.run(&other)?;
    let error = text(&refused.stderr);
    assert!(
        error.contains(&batch) && error.contains("cannot adopt `f-1`"),
        "{error}"
    );
    Ok(())
}

#[test]
fn an_agent_comes_back_with_more_and_not_with_less() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut daemons = Daemons::start(1)?;
    daemons.start_framework("batch", "batch", &[])?;
    let batch = daemons.framework_id("batch")?;
    daemons.sleep(&["job", "submit"], "job", JOB)?;
    daemons.becomes(&batch, "active", 1)?;
    let before = daemons.agent().context("there is an agent")?;
    let refused = |daemons: &mut Daemons, difference: &str| -> Result<()> {
        let mut child = daemons.running.remove("agent").context("it was started")?;
        let ended = wait_for(PATIENCE, || matches!(child.try_wait(), Ok(Some(_))));
        if !ended {
            child.kill()?;
        }
        let status = child.wait()?;
        let log = daemons.log("agent");
        ensure!(
            ended && !status.success() && log.contains(difference),
            "{status}: {log}"
        );
        Ok(())
    };

    daemons.kill("agent")?;
    daemons.start_agent("cpus:1;mem:1GiB", &[])?;
    refused(&mut daemons, "`cpus`: `cpus:2` before, `cpus:1` now")?;
    daemons.start_agent("cpus:3;mem:1GiB", &["--reconfiguration-policy", "equal"])?;
    refused(&mut daemons, "`cpus`: `cpus:2` before, `cpus:3` now")?;
    daemons.start_agent("cpus:3;mem:1GiB", &[])?;
    let is_larger = || {
        let agent = daemons.agent();
        agent.is_some_and(|agent| agent["total"]["cpus"].as_f64() == Some(3.0))
    };
    ensure!(wait_for(PATIENCE, is_larger), "{:?}", daemons.rows("agents"));
    let after = daemons.agent().context("it is back")?;
    assert_eq!(after["agent_id"], before["agent_id"]);
    daemons.becomes(&batch, "active", 1)?;
    Ok(())
}
