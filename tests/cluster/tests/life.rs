//! What a task goes through: preparation, checks, restarts, and what is counted of it.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result};
use proffer_cluster_tests::{Cluster, skipped, text, wait_for};
use serde_json::Value;

/// How long a change may take to settle on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A web server that is well for some seconds.
const FALLS_ILL: &str = "import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    n = 0
    def do_GET(self):
        Handler.n += 1
        self.send_response(200 if Handler.n <= 20 else 503)
        self.end_headers()
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()";

fn submit(cluster: &Cluster, spec: &str) -> Result<()> {
    let submitted = cluster.run_with_input(&["job", "submit", "-"], spec)?;
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    Ok(())
}

/// A task of a job.
fn task(cluster: &Cluster, name: &str) -> Result<Value> {
    let tasks = cluster.json(&["tasks", "--all"])?;
    let tasks = tasks.as_array().context("a list")?;
    let is_it = |task: &&Value| {
        task["name"]
            .as_str()
            .is_some_and(|it| it.ends_with(&format!(".{name}")))
    };
    let found = tasks.iter().find(is_it);
    Ok(found.cloned().unwrap_or_default())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[test]
fn a_replica_whose_http_check_fails_is_killed_and_replaced() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let port = free_port()?;
    let spec = format!(
        "name: web\nreplicas: 1\ntask:\n  cpus: 0.1\n  mem: 64MiB\n  command: [python3, -c, {}, '{port}']\n  \
         health: {{http: {{port: {port}}}, interval: 200ms, timeout: 5s, grace: 60s, failures: 2}}\n",
        serde_json::to_string(FALLS_ILL)?,
    );
    let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], &spec)?;
    assert!(applied.status.success(), "{}", text(&applied.stderr));

    let replica = || -> Result<Value> {
        let service = cluster.json(&["service", "status", "web"])?;
        Ok(service["replicas"][0].clone())
    };
    let is_well = || replica().is_ok_and(|it| it["latest_status"]["healthy"] == true);
    assert!(wait_for(PATIENCE, is_well), "{:?}", replica());
    let first = replica()?["task_id"].clone();

    let ended = || -> Result<Value> {
        let tasks = cluster.json(&["tasks", "--all"])?;
        let mut tasks = tasks.as_array().context("a list")?.iter();
        let found = tasks.find(|task| task["task_id"] == first);
        Ok(found.context("the first task")?["latest_status"].clone())
    };
    assert!(
        wait_for(PATIENCE, || ended().is_ok_and(|it| it["state"] == "failed")),
        "{:?}",
        ended()
    );
    let status = ended()?;
    assert_eq!(status["reason"], "TASK_UNHEALTHY", "{status}");
    let message = "its health check failed 2 times in a row: it answered with status 503 Service Unavailable";
    assert_eq!(status["message"], message);
    let is_replaced = || replica().is_ok_and(|it| it["task_id"] != first && it["state"] == "running");
    assert!(wait_for(PATIENCE, is_replaced), "{:?}", replica());
    Ok(())
}

#[test]
fn checks_over_tcp_and_grpc_in_a_network_of_its_own_and_by_a_command_find_a_task_well() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    // In the host's network, the master's own port is as good as one of the task's.
    let master = cluster.master()?;
    let port = master.rsplit(':').next().context("a port")?;
    let checks = [
        ("tcp", "sleep, '1000'", format!("{{tcp: {port}}}")),
        ("grpc", "sleep, '1000'", format!("{{grpc: {{port: {port}}}}}")),
        (
            "command",
            "sleep, '1000'",
            "{command: [sh, -c, 'test \"$PROFFER_TASK_ID\"']}".to_owned(),
        ),
        (
            "own",
            "python3, -m, http.server, '8080'",
            "{http: {port: 8080}, interval: 500ms}".to_owned(),
        ),
    ];
    let tasks = checks.iter().map(|(name, command, check)| {
        let network = if *name == "own" { "none" } else { "host" };
        format!(
            "  - {{name: {name}, cpus: 0.1, mem: 64MiB, command: [{command}], network: {network}, readiness: {check}}}\n"
        )
    });
    let tasks: String = tasks.collect();
    submit(&cluster, &format!("name: checked\ntasks:\n{tasks}"))?;
    for (name, ..) in checks {
        let status = || task(&cluster, name).map(|task| task["latest_status"].clone());
        let is_ready = || status().is_ok_and(|status| status["ready"] == true);
        assert!(wait_for(PATIENCE, is_ready), "{name}: {:?}", status());
    }
    let listed = cluster.ok(&["ps"])?;
    assert!(listed.contains("HEALTH") && listed.contains("ready"), "{listed}");
    Ok(())
}

#[test]
fn a_task_is_restarted_in_place_as_often_as_its_policy_says_and_keeps_its_sandbox() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    submit(
        &cluster,
        "name: again\ntasks:\n  - name: fails\n    cpus: 0.1\n    mem: 32MiB\n    restart: {on: failure, max: 2, backoff: 100ms}\n    \
         command: [sh, -c, 'echo run >> runs; cat runs; exit 3']\n",
    )?;
    let status = || task(&cluster, "fails").map(|task| task["latest_status"].clone());
    assert!(
        wait_for(PATIENCE, || status().is_ok_and(|it| it["state"] == "failed")),
        "{:?}",
        status()
    );
    let status = status()?;
    assert_eq!(
        (&status["restarts"], &status["exit_code"]),
        (&2.into(), &3.into()),
        "{status}"
    );
    let printed = cluster.ok(&["job", "logs", "again", "--task", "fails"])?;
    assert_eq!(printed, "run\n".repeat(1 + 2 + 3));
    Ok(())
}

#[test]
fn a_task_killed_while_its_container_is_prepared_never_runs() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    // Takes requests, and never answers.
    let server = TcpListener::bind("127.0.0.1:0")?;
    let uri = format!("http://{}/file", server.local_addr()?);
    thread::spawn(move || {
        for stream in server.incoming().flatten() {
            thread::spawn(move || (&stream).read_to_end(&mut Vec::new()));
        }
    });
    submit(
        &cluster,
        &format!(
            "name: slow\ntasks:\n  - {{name: waits, cpus: 0.1, mem: 32MiB, command: ['true'], fetch: [{{uri: '{uri}'}}]}}\n"
        ),
    )?;
    let status = || task(&cluster, "waits").map(|task| task["latest_status"].clone());
    let is_prepared = || status().is_ok_and(|it| it["reason"] == "CONTAINER_PREPARING");
    assert!(wait_for(PATIENCE, is_prepared), "{:?}", status());
    assert_eq!(status()?["state"], "starting");
    let id = task(&cluster, "waits")?["task_id"].clone();
    cluster.ok(&["kill", id.as_str().context("an id")?])?;
    let is_killed = || status().is_ok_and(|it| it["reason"] == "TASK_KILLED_DURING_LAUNCH");
    assert!(wait_for(PATIENCE, is_killed), "{:?}", status());
    assert_eq!(status()?["state"], "killed");
    Ok(())
}

/// A file of the controller that the process is in, on whichever version of cgroups.
fn counter(pid: &str, controller: &str, v1: &str, v2: &str) -> Result<u64> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let mut groups = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let of_v1 = groups
        .clone()
        .find(|(names, _)| names.split(',').any(|name| name == controller));
    let path = match of_v1 {
        Some((names, path)) => {
            let mount = format!("/sys/fs/cgroup/{names}");
            let mount = if fs::exists(&mount)? {
                mount
            } else {
                format!("/sys/fs/cgroup/{controller}")
            };
            format!("{mount}{path}/{v1}")
        }
        None => {
            let (_, path) = groups.next().context("no cgroup")?;
            format!("/sys/fs/cgroup{path}/{v2}")
        }
    };
    let text = fs::read_to_string(&path).context(path)?;
    let number = text.split_whitespace().find_map(|word| word.parse().ok());
    number.context("no number")
}

#[test]
fn what_stats_shows_is_what_the_kernel_counts() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let mark = format!("{}", 100_000 + std::process::id());
    submit(
        &cluster,
        &format!(
            "name: busy\ntasks:\n  - {{name: spins, cpus: 0.5, mem: 64MiB, command: [sh, -c, 'while :; do :; done & exec sleep {mark}']}}\n"
        ),
    )?;
    let is_it = |pid: &str| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command == format!("sleep\0{mark}\0").into_bytes()
    };
    let pid = || {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().into_string().ok());
        pids.find(|pid| is_it(pid))
    };
    assert!(wait_for(PATIENCE, || pid().is_some()), "the task does not run");
    let pid = pid().context("the task has ended")?;
    let usage_us = || {
        // v1 counts nanoseconds; the first number of v2's file is `usage_usec`.
        let counted = counter(&pid, "cpuacct", "cpuacct.usage", "cpu.stat")?;
        let is_v1 = fs::read_to_string(format!("/proc/{pid}/cgroup"))?.contains("cpuacct");
        anyhow::Ok(if is_v1 { counted / 1000 } else { counted })
    };
    let before = usage_us()?;
    let rows = cluster.json(&["stats"])?;
    let after = usage_us()?;
    let row = &rows[0];
    let counted = row["cpu"]["usage_us"].as_u64().context("cpu")?;
    assert!(
        (before..=after).contains(&counted),
        "{counted} is not in {before}..={after}"
    );
    assert!(
        row["cpu_percent"].as_f64().is_some_and(|percent| percent > 0.0),
        "{row}"
    );
    let limit = counter(&pid, "memory", "memory.limit_in_bytes", "memory.max")?;
    assert_eq!(row["memory"]["limit_bytes"].as_u64(), Some(limit));
    assert_eq!(
        row["pids"]["current"].as_u64(),
        Some(counter(&pid, "pids", "pids.current", "pids.current")?)
    );

    let shown = cluster.ok(&["stats"])?;
    assert!(shown.contains("CPU %") && shown.contains("64MiB"), "{shown}");
    let none = cluster.run(&["stats", "none"])?;
    assert!(!none.status.success());
    Ok(())
}
