//! Agents out of use: drained a few at a time, deactivated, gone for good, over restarts of the master.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, built_binary, skipped, text, wait_for};
use serde_json::Value;

/// How long a change may take to settle on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

fn agents(cluster: &Cluster) -> Result<Vec<Value>> {
    let listed = cluster.json(&["agents", "--gone"])?;
    Ok(listed.as_array().with_context(|| format!("{listed}"))?.clone())
}

fn agent(cluster: &Cluster, id: &str) -> Result<Value> {
    let mut agents = agents(cluster)?.into_iter();
    agents
        .find(|agent| agent["agent_id"] == id)
        .context("no such agent")
}

/// Waits until an agent is as it should be.
fn becomes(cluster: &Cluster, id: &str, is_so: impl Fn(&Value) -> bool) -> Result<()> {
    let settled = wait_for(PATIENCE, || agent(cluster, id).is_ok_and(|agent| is_so(&agent)));
    ensure!(settled, "it is {}", agent(cluster, id)?);
    Ok(())
}

fn phase_is(cluster: &Cluster, id: &str, phase: &str) -> Result<()> {
    becomes(cluster, id, |agent| agent["drain"]["phase"] == phase)
}

/// Waits until all replicas run, none of them on the agents named.
fn runs_elsewhere(cluster: &Cluster, ids: &[&str]) -> Result<()> {
    let elsewhere = || -> Result<bool> {
        let tasks = cluster.json(&["tasks"])?;
        let tasks = tasks.as_array().context("no list")?.clone();
        let is_good =
            |task: &Value| task["state"] == "running" && !ids.iter().any(|id| task["agent_id"] == *id);
        Ok(tasks.len() == 3 && tasks.iter().all(is_good))
    };
    let settled = wait_for(PATIENCE, || elsewhere().unwrap_or(false));
    ensure!(settled, "{}", cluster.json(&["tasks"])?);
    Ok(())
}

#[test]
fn agents_are_drained_within_the_budget_and_gone_for_good_over_restarts_of_the_master() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start_with(&built_binary()?, &["--agents", "3"])?;
    let web = "name: web\nreplicas: 3\ntask:\n  cpus: 0.1\n  mem: 16MiB\n  command: [sleep, '5000']\n";
    let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], web)?;
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    runs_elsewhere(&cluster, &[])?;
    let ids: Vec<String> = agents(&cluster)?
        .iter()
        .filter_map(|agent| Some(agent["agent_id"].as_str()?.to_owned()))
        .collect();
    let [first, second, third] = ids.as_slice() else {
        anyhow::bail!("three agents wanted, {ids:?} are there");
    };

    cluster.ok(&[
        "agent",
        "drain",
        first,
        second,
        "--at-once",
        "1",
        "--max-grace",
        "1s",
    ])?;
    phase_is(&cluster, first, "drained")?;
    phase_is(&cluster, second, "waiting")?;
    cluster.kill_9("master")?;
    phase_is(&cluster, second, "waiting")?;
    phase_is(&cluster, first, "drained")?;
    runs_elsewhere(&cluster, &[first])?;

    cluster.ok(&["agent", "reactivate", first])?;
    phase_is(&cluster, second, "drained")?;
    runs_elsewhere(&cluster, &[second])?;

    cluster.ok(&["agent", "deactivate", third])?;
    cluster.ok(&["agent", "gone", second])?;
    cluster.kill_9("master")?;
    becomes(&cluster, second, |agent| agent["state"] == "gone")?;
    becomes(&cluster, third, |agent| {
        agent["state"] == "active" && agent["deactivated_since_ms"].is_u64()
    })?;
    becomes(&cluster, first, |agent| agent["state"] == "active")?;
    let table = cluster.ok(&["agents", "--gone"])?;
    assert!(table.contains("DEACTIVATED") && table.contains("GONE"), "{table}");
    // Its process is started again and again, and refused.
    let is_told = || {
        let mut logs = (1..=3).map(|n| cluster.data_dir().join(format!("agent-{n}.log")));
        logs.any(|log| {
            std::fs::read_to_string(log).is_ok_and(|log| log.contains("remove its data directory"))
        })
    };
    assert!(wait_for(PATIENCE, is_told), "no agent was told that it is gone");
    runs_elsewhere(&cluster, &[second])
}
