//! A queue of time slices on real kernels: two users' busy loops take turns on one cpu, over a restart of the whole cluster, and
//! both end; and what is suspended goes on when the queue is set to another policy.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use proffer_cluster_tests::{Cluster, skipped, text, wait_for};
use serde_json::Value;

/// How long what takes seconds may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Steps of each loop, and turns of the inner one that a step takes: a tenth of a second or so.
const STEPS: u64 = 100;
const STEP: u64 = 100_000;

fn submit(cluster: &Cluster, user: &str) -> Result<()> {
    let script = format!(
        "n=0; while [ $n -lt {STEPS} ]; do i=0; while [ $i -lt {STEP} ]; do i=$((i+1)); done; n=$((n+1)); printf . >> {user}; done"
    );
    let job = format!(
        "name: {user}\ntasks:\n  - name: loop\n    cpus: 1\n    mem: 32MiB\n    command: [sh, -c, '{script}']\n"
    );
    let submitted = cluster.run_with_input(&["job", "submit", "--user", user, "-"], &job)?;
    ensure!(submitted.status.success(), "{}", text(&submitted.stderr));
    Ok(())
}

fn counts(cluster: &Cluster, job: &str) -> Result<Value> {
    Ok(cluster.json(&["job", "status", job])?["specs"][0]["counts"].take())
}

fn is(cluster: &Cluster, job: &str, state: &str) -> bool {
    counts(cluster, job).is_ok_and(|counts| counts[state] == 1)
}

fn n_steps(cluster: &Cluster, user: &str) -> u64 {
    let files = cluster.in_sandboxes(user);
    let sizes = files
        .iter()
        .map(|file| fs::metadata(file).map_or(0, |file| file.len()));
    sizes.sum()
}

/// Waits until one of two runs and the other one is suspended.
fn wait_for_turn(cluster: &Cluster, runs: &str, waits: &str) -> Result<()> {
    let holds = || is(cluster, runs, "running") && is(cluster, waits, "suspended");
    ensure!(
        wait_for(PATIENCE, holds),
        "it is not the turn of {runs}: {:?}, of {waits}: {:?}",
        counts(cluster, runs),
        counts(cluster, waits)
    );
    Ok(())
}

/// Waits until both are done with all of their steps.
fn wait_for_ends(cluster: &Cluster) -> Result<()> {
    let users = ["ann", "bob"];
    let settled = wait_for(PATIENCE, || {
        users.iter().all(|user| is(cluster, user, "finished"))
    });
    ensure!(settled, "{:?}", users.map(|user| counts(cluster, user)));
    let steps = users.map(|user| n_steps(cluster, user));
    ensure!(steps == [STEPS; 2], "{steps:?}");
    Ok(())
}

#[test]
fn two_users_busy_loops_take_turns_on_one_cpu_and_both_end() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start_with_env(&[("PROFFER_RESOURCES", "cpus:1;mem:512MiB")])?;
    let queue = ["job", "queue", "set", "*", "--policy"];
    let refused = cluster.run(&[&queue[..], &["fcfs", "--slice", "1s"]].concat())?;
    ensure!(!refused.status.success(), "a slice is of no other policy");
    cluster.ok(&[&queue[..], &["time-slice", "--slice", "1s"]].concat())?;
    submit(&cluster, "ann")?;
    submit(&cluster, "bob")?;

    wait_for_turn(&cluster, "bob", "ann")?;
    let why = cluster.ok(&["why", "ann"])?;
    ensure!(why.contains("suspended"), "{why}");
    wait_for_turn(&cluster, "ann", "bob")?;
    wait_for_turn(&cluster, "bob", "ann")?;
    for user in ["ann", "bob"] {
        let n = n_steps(&cluster, user);
        ensure!(0 < n && n < STEPS, "{user} took {n} steps while both took turns");
    }

    wait_for_ends(&cluster)?;
    let ann = cluster.json(&["job", "status", "ann"])?;
    ensure!(ann["tasks"][0]["attempts"] == 1, "{ann}");
    Ok(())
}

#[test]
fn what_is_suspended_survives_a_restart_of_everything_and_goes_on_under_another_policy() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start_with_env(&[("PROFFER_RESOURCES", "cpus:1;mem:512MiB")])?;
    cluster.ok(&[
        "job",
        "queue",
        "set",
        "*",
        "--policy",
        "time-slice",
        "--slice",
        "2s",
    ])?;
    submit(&cluster, "ann")?;
    submit(&cluster, "bob")?;
    wait_for_turn(&cluster, "bob", "ann")?;
    for daemon in ["agent-1", "batch"] {
        cluster.kill_9(daemon)?;
    }
    wait_for_turn(&cluster, "ann", "bob")?;
    cluster.ok(&["job", "queue", "set", "*", "--policy", "fcfs"])?;
    wait_for_ends(&cluster)
}
