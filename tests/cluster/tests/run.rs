//! `proffer run`: a command on the cluster behaves like a command at home.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result};
use proffer_cluster_tests::{Cluster, signal, skipped, text, wait_for};

/// How long a short task may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn run_streams_both_outputs_and_exits_with_the_tasks_own_code() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;

    let done = cluster.run(&["run", "--", "sh", "-c", "echo out; echo err >&2; exit 3"])?;
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stderr));
    assert_eq!(text(&done.stdout), "out\n");
    assert!(text(&done.stderr).contains("err\n"), "{}", text(&done.stderr));

    let killed = cluster.run(&["run", "--", "sh", "-c", "kill -KILL $$"])?;
    assert_eq!(killed.status.code(), Some(137), "{}", text(&killed.stderr));

    let ended = cluster.run(&["run", "--", "true"])?;
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));

    let missing = cluster.run(&["run", "--", "no-such-command-anywhere"])?;
    assert_eq!(missing.status.code(), Some(127));
    assert!(
        text(&missing.stderr).contains("no-such-command-anywhere"),
        "{}",
        text(&missing.stderr)
    );

    // More than any buffer on the way holds, and every byte of it.
    let long = cluster.run(&["run", "--mem", "64MiB", "--", "seq", "1", "400000"])?;
    assert_eq!(long.status.code(), Some(0), "{}", text(&long.stderr));
    let lines: Vec<u32> = text(&long.stdout)
        .lines()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    assert!(
        lines.iter().copied().eq(1..=400_000),
        "{} lines came",
        lines.len()
    );
    Ok(())
}

#[test]
fn a_task_over_its_memory_limit_is_killed_and_run_says_so() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let eaten = cluster.run(&["run", "--mem", "32MiB", "--", "tail", "/dev/zero"])?;
    assert_eq!(eaten.status.code(), Some(137), "{}", text(&eaten.stderr));
    assert!(
        text(&eaten.stderr).contains("memory limit"),
        "{}",
        text(&eaten.stderr)
    );
    Ok(())
}

#[test]
fn ctrl_c_reaches_the_task_which_may_end_in_its_own_way() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let script = "trap 'echo caught; exit 7' TERM INT; echo up; while :; do sleep 0.1; done";
    let mut run = cluster
        .command(&["run", "--", "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdout = run.stdout.take().context("no stdout")?;
    let mut seen = [0; 3];
    stdout.read_exact(&mut seen)?;
    assert_eq!(&seen, b"up\n");
    signal(run.id(), "INT")?;
    let mut rest = String::new();
    stdout.read_to_string(&mut rest)?;
    assert_eq!(rest, "caught\n");
    assert_eq!(run.wait()?.code(), Some(7));
    Ok(())
}

/// Starts a run that counts for some seconds, does something to the cluster meanwhile, and expects
/// every line once and the task's own code.
fn survives(disturb: impl FnOnce(&Cluster) -> Result<()>) -> Result<()> {
    let cluster = Cluster::start()?;
    let script = "touch started; for i in $(seq 60); do echo $i; sleep 0.1; done; exit 5";
    let run = cluster
        .command(&["run", "--cpus", "0.5", "--mem", "64MiB", "--", "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let has_started = || !cluster.in_sandboxes("started").is_empty();
    assert!(wait_for(PATIENCE, has_started), "the task never started");
    disturb(&cluster)?;
    let done = run.wait_with_output()?;
    let counted: Vec<u32> = text(&done.stdout)
        .lines()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    assert!(
        counted.iter().copied().eq(1..=60),
        "{counted:?}\n{}",
        text(&done.stderr)
    );
    assert_eq!(done.status.code(), Some(5), "{}", text(&done.stderr));
    Ok(())
}

#[test]
fn a_run_in_flight_survives_kill_9_of_the_master() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    survives(|cluster| cluster.kill_9("master"))
}

#[test]
fn a_run_in_flight_survives_kill_9_of_the_agent() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    survives(|cluster| cluster.kill_9("agent-1"))
}

#[test]
fn a_run_in_flight_survives_kill_9_of_everything_but_its_own_container() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    survives(|cluster| {
        for child in ["agent-1", "batch", "master", "service"] {
            cluster.kill_9(child)?;
        }
        Ok(())
    })
}

#[test]
fn a_task_that_ends_while_its_agent_is_down_still_gives_its_code() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let script = "touch started; sleep 0.5; echo late; exit 9";
    let run = cluster
        .command(&["run", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let has_started = || !cluster.in_sandboxes("started").is_empty();
    assert!(wait_for(PATIENCE, has_started), "the task never started");
    // Stopped first, so that the restart cannot win the race against the end of the task.
    let agent = cluster.pid("agent-1")?;
    signal(agent, "STOP")?;
    thread::sleep(Duration::from_secs(1));
    signal(agent, "KILL")?;
    let start = Instant::now();
    let done = run.wait_with_output()?;
    assert_eq!(
        done.status.code(),
        Some(9),
        "after {:?}: {}",
        start.elapsed(),
        text(&done.stderr)
    );
    assert_eq!(text(&done.stdout), "late\n");
    Ok(())
}

#[test]
fn a_task_lives_in_its_own_namespaces_and_cannot_gain_privileges() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let script = "readlink /proc/self/ns/pid /proc/self/ns/mnt /proc/self/ns/uts /proc/self/ns/ipc /proc/self/ns/cgroup; \
                  grep NoNewPrivs /proc/self/status; ls -d /proc/[0-9]* | wc -l; pwd";
    let printed = cluster.ok(&["run", "--", "sh", "-c", script])?;
    let lines: Vec<&str> = printed.lines().collect();
    for (line, name) in lines.iter().zip(["pid", "mnt", "uts", "ipc", "cgroup"]) {
        let outside = fs::read_link(format!("/proc/self/ns/{name}"))?;
        assert_ne!(*line, outside.to_string_lossy(), "{name} is shared with the host");
    }
    assert_eq!(lines[5], "NoNewPrivs:\t1");
    assert!(lines[6].trim().parse::<u32>()? <= 6, "{printed}");
    assert!(lines[7].contains("sandbox"), "{printed}");
    Ok(())
}
