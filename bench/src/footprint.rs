//! Memory as the kernel shares it out (PSS): the idle cluster, and what one running task adds.

use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, text, wait_for};

use crate::reference::{bwrap, children_named, pss_kib};
use crate::report::{Report, Row};

/// How long the cluster idles before it is measured.
const IDLE: Duration = Duration::from_secs(30);
/// Tasks running at once.
const TASKS: u32 = 50;
/// The most a master, an agent and both frameworks may take together.
const AIM_CLUSTER_MIB: f64 = 60.0;
/// The most the helpers of one running task may take.
const AIM_TASK_MIB: f64 = 0.6;
/// Mesos 1.12-dev, master and agent, 70 MB each, on a machine of 2 cores; recorded once, not in this run.
const MESOS_RECORDED_MIB: f64 = 140.0;

pub(crate) fn run(binary: &Path, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start_with(binary, &[])?;
    thread::sleep(IDLE);
    let pids = cluster.pids()?;
    let mut sum = 0.0;
    for (name, pid) in &pids {
        let mib = pss_kib(*pid)? / 1024.0;
        sum += mib;
        report.add(Row::new("footprint", format!("{name}, idle"), mib, "MiB"))?;
    }
    report.add(
        Row::new(
            "footprint",
            "master, agent, batch, service, idle 30 s",
            sum,
            "MiB",
        )
        .beside("Mesos master and agent, recorded", Ok(MESOS_RECORDED_MIB))
        .aim(AIM_CLUSTER_MIB),
    )?;
    report.add(
        Row::new(
            "footprint",
            format!("helpers of a task, {TASKS} running"),
            helpers(&cluster)?,
            "MiB",
        )
        .beside("bwrap's helper of the same task", bwrap_helpers())
        .aim(AIM_TASK_MIB),
    )
}

/// PSS of every `proffer-init`, a running task.
fn helpers(cluster: &Cluster) -> Result<f64> {
    let job = format!(
        "name: sleepers\ntasks:\n  - name: sleep\n    count: {TASKS}\n    cpus: 0.01\n    mem: 8MiB\n    command: [\"sleep\", \"60\"]\n"
    );
    let output = cluster.run_with_input(&["job", "submit", "-"], &job)?;
    ensure!(output.status.success(), "{}", text(&output.stderr));
    let agent = cluster.pid("agent-1")?;
    let inits = || children_named(agent, "proffer-init");
    let running = wait_for(Duration::from_secs(60), || inits().len() >= TASKS as usize);
    ensure!(running, "only {} of {TASKS} tasks run", inits().len());
    // A launch has a second process of that name for a moment.
    thread::sleep(Duration::from_secs(1));
    let kib = inits().into_iter().map(pss_kib).sum::<Result<f64>>()?;
    cluster.ok(&["job", "cancel", "sleepers"])?;
    Ok(kib / 1024.0 / f64::from(TASKS))
}

/// PSS of the bubblewrap processes that stay beside the same number of sleeping commands.
fn bwrap_helpers() -> Result<f64> {
    let mut children: Vec<Child> = Vec::new();
    let measured = (|| {
        for _ in 0..TASKS {
            children.push(bwrap(&["sleep", "60"]).spawn().context("bwrap")?);
        }
        thread::sleep(Duration::from_secs(1));
        let ids = || children.iter().map(Child::id);
        let pids = ids().chain(ids().flat_map(|pid| children_named(pid, "bwrap")));
        let kib = pids.map(pss_kib).sum::<Result<f64>>()?;
        ensure!(kib > 0.0, "no bwrap process stays");
        Ok(kib / 1024.0 / f64::from(TASKS))
    })();
    for mut child in children {
        // The sleeping command ends with bwrap's own child, the pid 1 of its namespace.
        let _ = Command::new("pkill")
            .args(["-KILL", "-P"])
            .arg(child.id().to_string())
            .status();
        let _ = child.kill();
        let _ = child.wait();
    }
    measured
}
