//! Agents out of use: drained a few at a time, deactivated, gone for good, in maintenance windows, over restarts of the
//! master.

use std::collections::BTreeSet;
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

/// The agents on which tasks run whose ids begin so.
fn agents_of(cluster: &Cluster, prefix: &str) -> Result<Vec<String>> {
    let tasks = cluster.json(&["tasks"])?;
    let tasks = tasks.as_array().context("no list")?.clone();
    let is_meant = |task: &&Value| {
        let is_of = task["task_id"].as_str().is_some_and(|id| id.starts_with(prefix));
        is_of && task["state"] == "running"
    };
    let mut agents: Vec<String> = tasks
        .iter()
        .filter(is_meant)
        .filter_map(|task| Some(task["agent_id"].as_str()?.to_owned()))
        .collect();
    agents.sort();
    Ok(agents)
}

fn run_on(cluster: &Cluster, prefix: &str, agents: &[&String]) -> Result<()> {
    let on = || agents_of(cluster, prefix).unwrap_or_default();
    let settled = wait_for(PATIENCE, || on().iter().eq(agents.iter().copied()));
    ensure!(settled, "{prefix} runs on {:?}, not on {agents:?}", on());
    Ok(())
}

fn schedule(cluster: &Cluster, window: &str, agent: &str, start: &str) -> Result<std::process::Output> {
    cluster.run(&[
        "maintenance",
        "schedule",
        window,
        agent,
        "--start",
        start,
        "--duration",
        "20s",
    ])
}

#[test]
fn an_agent_is_left_before_its_maintenance_window_empty_in_it_and_used_again_after_it() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start_with(&built_binary()?, &["--agents", "2"])?;
    let web = "name: web\nreplicas: 2\ntask:\n  cpus: 0.1\n  mem: 16MiB\n  command: [sleep, '5000']\n";
    let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], web)?;
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    let nap = "name: nap\ntasks:\n  - name: t\n    count: 2\n    max_per_agent: 1\n    cpus: 0.1\n    mem: 16MiB\n    command: [sleep, '5000']\n";
    let submitted = cluster.run_with_input(&["job", "submit", "-"], nap)?;
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let ids: Vec<String> = agents(&cluster)?
        .iter()
        .filter_map(|agent| Some(agent["agent_id"].as_str()?.to_owned()))
        .collect();
    let [first, second] = ids.as_slice() else {
        anyhow::bail!("two agents wanted, {ids:?} are there");
    };
    run_on(&cluster, "nap", &[first, second])?;
    run_on(&cluster, "web", &[first, second])?;

    let refused = schedule(&cluster, "kernel", first, "2020-01-01T00:00:00Z")?;
    assert!(
        text(&refused.stderr).contains("later than now"),
        "{}",
        text(&refused.stderr)
    );
    let scheduled = schedule(&cluster, "kernel", first, "+40s")?;
    assert!(scheduled.status.success(), "{}", text(&scheduled.stderr));
    cluster.kill_9("master")?;

    // The service moves its replica; the job says yes, and runs on until it is killed.
    let has_agreed = || {
        let status = cluster.json(&["maintenance", "status", "kernel"])?;
        let rows = status.as_array().context("no list")?.clone();
        let agrees =
            |row: &Value| row["framework"]["name"] == "batch" && row["framework"]["accepted"] == true;
        Ok::<bool, anyhow::Error>(rows.iter().any(agrees))
    };
    assert!(
        wait_for(PATIENCE, || has_agreed().unwrap_or(false)),
        "{}",
        cluster.ok(&["maintenance", "status"])?
    );
    let refused = schedule(&cluster, "disk", first, "+45s")?;
    assert!(
        text(&refused.stderr).contains("is in maintenance window `kernel`"),
        "{}",
        text(&refused.stderr)
    );
    run_on(&cluster, "web", &[second, second])?;
    let listed = cluster.json(&["maintenance", "list"])?;
    assert_eq!(
        listed[0]["agents"][0]["begun"], false,
        "the replica moved before: {listed}"
    );
    run_on(&cluster, "nap", &[first, second])?;

    phase_is(&cluster, first, "drained")?;
    run_on(&cluster, "nap", &[first, second])?;
    becomes(&cluster, first, |agent| {
        agent["drain"].is_null() && agent["state"] == "active"
    })?;
    assert_eq!(cluster.json(&["maintenance", "list"])?, serde_json::json!([]));
    Ok(())
}

/// Slots of a service with a replica that can be counted on.
fn n_available(cluster: &Cluster, service: &str) -> Result<usize> {
    let status = cluster.json(&["service", "status", service])?;
    let replicas = status["replicas"].as_array().context("no replicas")?;
    let slots: BTreeSet<_> = replicas
        .iter()
        .filter(|replica| replica["available"] == true)
        .map(|replica| replica["slot"].as_u64())
        .collect();
    Ok(slots.len())
}

#[test]
fn a_drained_agent_is_left_by_services_at_once_and_by_the_rest_until_the_deadline() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start_with(&built_binary()?, &["--agents", "2"])?;
    let ids: Vec<String> = agents(&cluster)?
        .iter()
        .filter_map(|agent| Some(agent["agent_id"].as_str()?.to_owned()))
        .collect();
    let [first, second] = ids.as_slice() else {
        anyhow::bail!("two agents wanted, {ids:?} are there");
    };
    cluster.ok(&["agent", "deactivate", second])?;
    let task = "task:\n  cpus: 0.1\n  mem: 16MiB\n  command: [sleep, '5000']\n";
    for service in [
        format!("name: web\nreplicas: 3\nupdate: {{ min_healthy_time: 1s }}\n{task}"),
        format!("name: everywhere\nmode: daemon\n{task}"),
    ] {
        let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], &service)?;
        assert!(applied.status.success(), "{}", text(&applied.stderr));
    }
    let sleeper = |name: &str, seconds: u32| {
        format!(
            "name: {name}\ntasks:\n  - name: t\n    cpus: 0.1\n    mem: 16MiB\n    retries: 0\n    command: [sleep, '{seconds}']\n"
        )
    };
    for job in [sleeper("short", 15), sleeper("long", 5000)] {
        let submitted = cluster.run_with_input(&["job", "submit", "-"], &job)?;
        assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    }
    for (prefix, n) in [("web", 3), ("everywhere", 1), ("short", 1), ("long", 1)] {
        run_on(&cluster, prefix, &vec![first; n])?;
    }
    let all_available = || n_available(&cluster, "web").is_ok_and(|n| n == 3);
    assert!(wait_for(PATIENCE, all_available), "web never was");
    cluster.ok(&["agent", "reactivate", second])?;

    cluster.ok(&["agent", "drain", first, "--deadline", "1h"])?;
    cluster.ok(&["agent", "drain", first, "--deadline", "40s", "--max-grace", "1s"])?;
    let table = cluster.ok(&["agents"])?;
    assert!(
        table.contains("DRAINING") && table.contains("killed in"),
        "{table}"
    );
    let mut least = usize::MAX;
    let has_moved = || {
        least = least.min(n_available(&cluster, "web").unwrap_or(usize::MAX));
        agents_of(&cluster, "web").is_ok_and(|on| on.iter().eq([second; 3]))
    };
    assert!(
        wait_for(PATIENCE, has_moved),
        "web is on {:?}",
        agents_of(&cluster, "web")?
    );
    assert_eq!(least, 3, "fewer were available than wanted");
    run_on(&cluster, "everywhere", &[second])?;

    let has_ended = || {
        let job = cluster.json(&["job", "status", "short"]);
        job.is_ok_and(|job| job["state"] == "finished" && job["tasks"][0]["attempts"] == 1)
    };
    assert!(
        wait_for(PATIENCE, has_ended),
        "{}",
        cluster.ok(&["job", "status", "short"])?
    );
    let status = agent(&cluster, first)?;
    assert!(
        status["drain"]["phase"] == "draining" && status["drain"]["kills_at_ms"].is_u64(),
        "it waits for its deadline: {status}"
    );
    run_on(&cluster, "long", &[first])?;
    // Killed at the deadline, though it may be tried only once.
    phase_is(&cluster, first, "drained")?;
    run_on(&cluster, "long", &[second])?;
    assert_eq!(n_available(&cluster, "web")?, 3);

    cluster.ok(&["agent", "drain", second, "--now"])?;
    phase_is(&cluster, second, "drained")
}
