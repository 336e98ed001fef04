//! A host dies without a word, and the replica of a service that it had runs on another one.
//!
//! Real agents and a real service. A host that is dead is imitated by SIGSTOP of its agent: the connection stays, and
//! nothing comes; the supervisor sees nothing either. The task itself goes on, which nobody can know. From the signal
//! until the master knows a replica as running elsewhere.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, signal, text, wait_for};
use serde_json::Value;

use crate::report::{Report, Row};

/// Seconds, by default.
const AIM_S: f64 = 15.0;
/// Seconds, where the service says 3 s.
const AIM_SHORT_S: f64 = 5.0;
/// Mesos: until an agent is noticed to be dead, by its defaults.
const MESOS_S: f64 = 75.0;
/// So that what came before is over, and heartbeats are anywhere.
const SETTLE: Duration = Duration::from_millis(3300);
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
const RESOURCES: &str = "cpus:2;mem:1GiB;disk:1GiB;ports:[31000-32000]";

pub(crate) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start_with(binary, &["--agents", "2", "--resources", RESOURCES])?;
    for (name, extra, case, aim) in [
        (
            "short",
            "lost_after: 3s\n",
            "dead agent, its replica elsewhere, lost_after: 3s",
            AIM_SHORT_S,
        ),
        ("long", "", "dead agent, its replica elsewhere, by default", AIM_S),
    ] {
        let took = replaced(&cluster, name, extra)?;
        report.add(
            Row::new("dead-agent", case, took, "s")
                .beside("Mesos, until it is noticed, by its defaults", Ok(MESOS_S))
                .aim(aim),
        )?;
    }
    Ok(())
}

/// Seconds from the death of the agent of a service's only replica until another one runs.
fn replaced(cluster: &Cluster, name: &str, extra: &str) -> Result<f64> {
    let service = format!(
        "name: {name}\nreplicas: 1\n{extra}task: {{ cpus: 0.1, mem: 16MiB, command: [sleep, \"600\"] }}\n"
    );
    let output = cluster.run_with_input(&["service", "apply", "-f", "-"], &service)?;
    ensure!(output.status.success(), "{}", text(&output.stderr));
    let mut first = None;
    let runs = wait_for(PATIENCE, || {
        first = running(cluster, name, None).ok().flatten();
        first.is_some()
    });
    ensure!(runs, "{name} does not start");
    let first = first.context("no replica")?;
    thread::sleep(SETTLE);
    let pid = agent_pid(cluster, &first)?;
    let start = Instant::now();
    signal(pid, "STOP")?;
    let found = loop {
        match running(cluster, name, Some(&first)) {
            Ok(Some(_)) => break Ok(start.elapsed().as_secs_f64()),
            Ok(None) if start.elapsed() < PATIENCE => thread::sleep(LOOK),
            Ok(None) => break Err(anyhow::anyhow!("{name} is not replaced after {PATIENCE:?}")),
            Err(error) => break Err(error),
        }
    };
    signal(pid, "CONT")?;
    cluster.ok(&["service", "delete", name])?;
    let is_gone = || running(cluster, name, None).is_ok_and(|task| task.is_none());
    ensure!(wait_for(PATIENCE, is_gone), "a replica of {name} is left");
    found
}

/// The agent's address of a running replica that is not on a given one.
fn running(cluster: &Cluster, name: &str, not_on: Option<&str>) -> Result<Option<String>> {
    let tasks = cluster.json(&["tasks"])?;
    let is_replica = |task: &&Value| {
        let id = task["task_id"].as_str().unwrap_or_default();
        let state = task["state"].as_str().unwrap_or_default();
        id.starts_with(&format!("{name}.")) && state.eq_ignore_ascii_case("running")
    };
    let addresses = tasks
        .as_array()
        .context("no list of tasks")?
        .iter()
        .filter(is_replica)
        .filter_map(|task| task["agent_address"].as_str())
        .filter(|address| not_on != Some(*address));
    Ok(addresses.map(str::to_owned).next())
}

/// The process of the agent with that address.
fn agent_pid(cluster: &Cluster, address: &str) -> Result<u32> {
    let state = std::fs::read_to_string(cluster.data_dir().join("dev.json"))?;
    let state: Value = serde_json::from_str(&state)?;
    let children = state["children"]
        .as_array()
        .context("dev.json names no children")?;
    let child = children
        .iter()
        .find(|child| child["address"].as_str() == Some(address));
    let pid = child
        .and_then(|child| child["pid"].as_u64())
        .context("no such agent")?;
    Ok(u32::try_from(pid)?)
}
