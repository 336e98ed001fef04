//! Nothing lost, nothing twice: processes of the cluster die in the middle of work.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use proffer_cluster_tests::{Cluster, skipped, text, wait_for};

/// How long a job of short tasks may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The ids in one column of a listing.
fn ids(cluster: &Cluster, listing: &str, field: &str) -> Result<BTreeSet<String>> {
    let listed = cluster.json(&[listing])?;
    let rows = listed.as_array().with_context(|| format!("{listed}"))?;
    rows.iter()
        .map(|row| Ok(row[field].as_str().with_context(|| format!("{row}"))?.to_owned()))
        .collect()
}

#[test]
fn kill_9_of_the_master_in_the_middle_of_a_job_loses_and_repeats_no_task() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let job = "name: crash\ntasks:\n  - name: map\n    count: 30\n    cpus: 0.1\n    mem: 16MiB\n    \
         command: [sh, -c, 'echo $PROFFER_TASK_INDEX >> ran; sleep 0.3']\n  - name: sum\n    after: [map]\n    \
         cpus: 0.1\n    mem: 16MiB\n    command: [echo, summed]\n";
    let agents = ids(&cluster, "agents", "agent_id")?;
    let frameworks = ids(&cluster, "frameworks", "framework_id")?;
    let submitted = cluster.run_with_input(&["job", "submit", "-"], job)?;
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let log = || {
        let files = cluster.in_sandboxes("ran").into_iter();
        files
            .map(|file| fs::read_to_string(file).unwrap_or_default())
            .collect::<String>()
    };
    let lines = || log().lines().count();

    assert!(wait_for(PATIENCE, || lines() >= 5), "no task ran");
    cluster.kill_9("master")?;
    assert!(
        wait_for(PATIENCE, || lines() >= 15),
        "nothing went on after the master: {} ran",
        lines()
    );
    cluster.kill_9("master")?;
    cluster.kill_9("batch")?;

    let ended = || {
        cluster
            .json(&["job", "status", "crash"])
            .is_ok_and(|job| job["state"] == "finished")
    };
    assert!(
        wait_for(PATIENCE, ended),
        "{:?}",
        cluster.json(&["job", "status", "crash"])
    );
    let ran: Vec<u32> = log().lines().map(str::parse).collect::<Result<_, _>>()?;
    let mut sorted = ran.clone();
    sorted.sort_unstable();
    assert!(
        sorted.iter().copied().eq(0..30),
        "each index once, but these ran: {ran:?}"
    );
    assert_eq!(
        cluster.ok(&["job", "logs", "crash", "--task", "sum"])?.trim(),
        "summed"
    );
    assert_eq!(
        ids(&cluster, "agents", "agent_id")?,
        agents,
        "agents keep their ids"
    );
    assert_eq!(
        ids(&cluster, "frameworks", "framework_id")?,
        frameworks,
        "frameworks keep their ids"
    );
    Ok(())
}

#[test]
fn a_new_dev_takes_over_what_a_killed_one_left() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut cluster = Cluster::start()?;
    let job = "name: outlives\ntasks:\n  - name: only\n    cpus: 0.1\n    mem: 16MiB\n    \
         command: [sh, -c, 'sleep 5; echo $$ >> ended']\n";
    let submitted = cluster.run_with_input(&["job", "submit", "-"], job)?;
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let running = || {
        cluster
            .json(&["job", "status", "outlives"])
            .is_ok_and(|job| job["state"] == "running")
    };
    assert!(wait_for(PATIENCE, running));
    let old = cluster.pids()?;
    cluster.kill_9_dev()?;
    cluster.start_dev(&[])?;
    for (name, pid) in old {
        assert_ne!(
            cluster.pid(&name)?,
            pid,
            "{name} of the old supervisor is still there"
        );
    }
    let finished = || {
        cluster
            .json(&["job", "status", "outlives"])
            .is_ok_and(|job| job["state"] == "finished")
    };
    assert!(
        wait_for(PATIENCE, finished),
        "{:?}",
        cluster.json(&["job", "status", "outlives"])
    );
    let [ended] = cluster.in_sandboxes("ended").try_into().expect("one task ran");
    assert_eq!(fs::read_to_string(ended)?.lines().count(), 1, "the task ran once");
    Ok(())
}

/// Directories under any cgroup hierarchy that belong to Proffer.
fn cgroups() -> BTreeSet<String> {
    let find = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-path", "*/proffer/*"])
        .output();
    find.map(|found| text(&found.stdout).lines().map(str::to_owned).collect())
        .unwrap_or_default()
}

#[test]
fn a_stop_leaves_no_process_cgroup_or_mount() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut cluster = Cluster::start()?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let marker = format!("{}", 86_000 + std::process::id() % 1000);
    let job = format!(
        "name: left\ntasks:\n  - name: sleep\n    count: 3\n    cpus: 0.1\n    mem: 16MiB\n    \
         command: [sh, -c, 'sleep {marker} & sleep {marker} & wait']\n"
    );
    let submitted = cluster.run_with_input(&["job", "submit", "-"], &job)?;
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let sleepers = || {
        fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| {
                fs::read(entry.path().join("cmdline"))
                    .is_ok_and(|cmdline| cmdline.starts_with(b"sleep\0") && text(&cmdline).contains(&marker))
            })
            .count()
    };
    assert!(
        wait_for(PATIENCE, || sleepers() == 6),
        "{} of 6 sleep",
        sleepers()
    );
    let before = cgroups();
    let ours = cluster.pids()?;
    cluster.stop()?;
    assert_eq!(sleepers(), 0, "tasks outlived the stop");
    for (name, pid) in ours {
        assert!(
            !std::path::Path::new(&format!("/proc/{pid}")).exists(),
            "{name} outlived the stop"
        );
    }
    // Other clusters may run beside this one: only ours must be gone.
    let gone = before.difference(&cgroups()).count();
    assert!(gone >= 3, "cgroups of the tasks are still there: {:?}", cgroups());
    assert_eq!(fs::read_to_string("/proc/self/mounts")?, mounts);
    Ok(())
}
