//! A thousand containers alive on one agent at once, and all of them gone again.
//!
//! From the submission of a job to the moment the master knows its last task as running; then from the cancellation until
//! it knows none and no cgroup of a container is left. So it has master and framework in it, which a bare runtime has not.
//! What looks on costs little: not the agent's metrics, for which it reads ten files a container.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, text, wait_for};
use rustix::process::{Pid, Signal, kill_process};

use crate::fleet::cpu_ms_of_all;
use crate::reference::{bwrap, children_named};
use crate::report::{Report, Row};

/// Alive at once.
const CONTAINERS: usize = 1000;
/// What they ask for is more than a small machine has; asleep they use next to nothing of it.
const RESOURCES: &str = "cpus:32;mem:16GiB;disk:1GiB;ports:[31000-32000]";
/// Seconds, each way.
const AIM_S: f64 = 2.0;
/// Mesos 1.5, the same number on one agent of 8 cores, published once (its blog of 2018-10-08).
const MESOS_PUBLISHED_S: f64 = 30.6;
const MOUNT: &str = "/sys/fs/cgroup";
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start_with(binary, &["--resources", RESOURCES])?;
    let master = cluster.master()?;
    let job = format!(
        "name: crowd\ntasks:\n  - name: sleep\n    count: {CONTAINERS}\n    cpus: 0.01\n    mem: 8MiB\n    command: [\"sleep\", \"600\"]\n"
    );
    // What other agents left is not ours to count.
    let before = n_cgroups(Path::new(MOUNT));
    let cpu = cpu_ms(&cluster)?;
    let start = Instant::now();
    let output = cluster.run_with_input(&["job", "submit", "-"], &job)?;
    ensure!(output.status.success(), "{}", text(&output.stderr));
    let all = wait_for(PATIENCE, || {
        n_tasks(&master, &["RUNNING"]).unwrap_or(0) >= CONTAINERS
    });
    let alive = start.elapsed().as_secs_f64();
    ensure!(
        all,
        "{} of {CONTAINERS} are running",
        n_tasks(&master, &["RUNNING"])?
    );
    let alive_cpu = cpu_ms(&cluster)? - cpu;
    let cpu = cpu_ms(&cluster)?;
    let start = Instant::now();
    cluster.ok(&["job", "cancel", "crowd"])?;
    let none = wait_for(PATIENCE, || {
        n_tasks(&master, &["RUNNING", "KILLING"]).is_ok_and(|n| n == 0)
            && n_cgroups(Path::new(MOUNT)) <= before
    });
    let gone = start.elapsed().as_secs_f64();
    ensure!(none, "containers are left");
    let gone_cpu = cpu_ms(&cluster)? - cpu;
    drop(cluster);
    let (bwrap_alive, bwrap_gone) = match bwrap_crowd() {
        Ok((alive, gone)) => (Ok(alive), Ok(gone)),
        Err(error) => (Err(anyhow::anyhow!("{error:#}")), Err(error)),
    };
    let row = |case: &str, value| {
        let case = format!("{CONTAINERS} containers on one agent, {case}");
        Row::new("containers", case, value, "s").aim(AIM_S)
    };
    report.add(row("submitted to all alive", alive).beside("bwrap in a loop, no cgroups", bwrap_alive))?;
    report.add(row("submitted to all alive", alive).beside("Mesos, published", Ok(MESOS_PUBLISHED_S)))?;
    report.add(row("cancelled to all gone", gone).beside("bwrap, killed in turn", bwrap_gone))?;
    for (case, ms) in [("come alive", alive_cpu), ("be gone", gone_cpu)] {
        let case = format!("processor time of all daemons for each container to {case}");
        report.add(Row::new("containers", case, ms / CONTAINERS as f64, "ms"))?;
    }
    Ok(())
}

/// Milliseconds of processor time that the cluster's daemons, and what the agent started and reaped, have spent.
pub(crate) fn cpu_ms(cluster: &Cluster) -> Result<f64> {
    cluster.pids()?.into_values().map(cpu_ms_of_all).sum()
}

/// Tasks the master knows in some states.
fn n_tasks(master: &str, states: &[&str]) -> Result<usize> {
    let mut stream = TcpStream::connect(master)?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {master}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let counts = states.iter().map(|state| {
        let name = format!("proffer_master_tasks{{state=\"{state}\"}} ");
        let line = answer.lines().find_map(|line| line.strip_prefix(&name));
        Ok(line.context("no count of tasks")?.trim().parse::<usize>()?)
    });
    counts.sum()
}

/// Container groups below any `proffer` group of a hierarchy. As the kernel counts them: to list them would hold it up.
fn n_cgroups(mount: &Path) -> u64 {
    let below = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir())
    };
    let roots = below(mount)
        .map(|top| top.join("proffer"))
        .chain([mount.join("proffer")]);
    roots
        .flat_map(|root| below(&root))
        .filter_map(|agent| fs::metadata(agent).ok())
        .map(|agent| agent.nlink().saturating_sub(2))
        .sum()
}

/// The same number of bubblewrap's, one after the other: seconds until all commands run, and until all are dead.
fn bwrap_crowd() -> Result<(f64, f64)> {
    let mut children: Vec<Child> = Vec::new();
    let start = Instant::now();
    let started = (|| {
        for _ in 0..CONTAINERS {
            children.push(bwrap(&["sleep", "600"]).spawn().context("bwrap")?);
        }
        let last = children.last().map_or(0, Child::id);
        // The last one has its sandbox once the helper inside it is there.
        let ready = wait_for(PATIENCE, || !children_named(last, "bwrap").is_empty());
        ensure!(ready, "bwrap does not come up");
        Ok(start.elapsed().as_secs_f64())
    })();
    let start = Instant::now();
    for child in &mut children {
        for pid in children_of(child.id()) {
            if let Some(pid) = Pid::from_raw(pid) {
                // It may have ended with its parent.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = child.kill();
    }
    for child in &mut children {
        let _ = child.wait();
    }
    Ok((started?, start.elapsed().as_secs_f64()))
}

/// The direct children of a process, by the kernel's own list.
fn children_of(pid: u32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}
