//! The cluster of an ordinary user: the real binary, without root, in a guest with cgroup v2 where the user has a delegated
//! group and a range of ids.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, built_binary, text, wait_for};
use proffer_privileged_tests::rootless::{self, FIRST_ID, PLACE, TREE, USER, as_user};
use proffer_privileged_tests::{guest, skip};

/// How long anything here may take in a guest.
const PATIENCE: Duration = Duration::from_secs(120);

const IN_GUEST: &str = "a_user_without_root_runs_a_cluster_in_a_guest";

/// Whether this process is not in the guest, where the other tests of this file are.
fn is_outside() -> bool {
    !guest::is_inside()
}

#[test]
fn a_user_without_root_runs_a_cluster_in_a_guest() -> Result<()> {
    let tools = ["/usr/bin/umoci", "/bin/busybox"];
    let missing = tools.iter().find(|path| !Path::new(path).exists());
    if let Some(why) = rootless::lacks().or(missing.map(|tool| format!("{tool} is missing"))) {
        skip(&why);
        return Ok(());
    }
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    guest::run_tests(&std::env::current_exe()?, IN_GUEST, tmp)
}

/// A program that is the user's `proffer`; a supervisor starts in the delegated group.
fn wrapper() -> Result<PathBuf> {
    let binary = built_binary()?;
    let programs = binary.parent().context("no directory of programs")?;
    rootless::prepare(programs)?;
    let path = Path::new(PLACE).join("proffer");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" != dev ] || echo 0 >{TREE}/cgroup.procs\nexec {} PROFFER_ALLOW_IMAGE_PATH={PLACE}/home {PLACE}/bin/proffer \"$@\"\n",
        as_user()
    );
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn umoci(dir: &Path, args: &[&str]) -> Result<()> {
    let output = Command::new("umoci").args(args).current_dir(dir).output()?;
    ensure!(
        output.status.success(),
        "umoci {args:?}: {}",
        text(&output.stderr)
    );
    Ok(())
}

/// A layout with an image of two layers: busybox, a user and a file of its own; and a file that the second takes away.
fn layout(dir: &Path) -> Result<()> {
    let root = dir.join("root");
    for name in ["bin", "etc", "srv/old"] {
        fs::create_dir_all(root.join(name))?;
    }
    fs::write(root.join("etc/passwd"), "app:x:1234:1234::/:/bin/sh\n")?;
    fs::write(root.join("etc/gone"), "")?;
    fs::write(root.join("etc/own"), "")?;
    std::os::unix::fs::chown(root.join("etc/own"), Some(1234), Some(1234))?;
    fs::copy("/bin/busybox", root.join("bin/busybox"))?;
    for name in ["sh", "id", "stat", "ls", "cat", "mkdir", "rm"] {
        symlink("busybox", root.join("bin").join(name))?;
    }
    umoci(dir, &["init", "--layout", "layout"])?;
    umoci(dir, &["new", "--image", "layout:1"])?;
    umoci(dir, &["insert", "--image", "layout:1", "root", "/"])?;
    umoci(dir, &["insert", "--image", "layout:1", "--whiteout", "/etc/gone"])?;
    umoci(dir, &["config", "--image", "layout:1", "--config.user", "app"])?;
    let opened = Command::new("chmod")
        .args(["-R", "a+rX", "layout"])
        .current_dir(dir)
        .status()?;
    ensure!(opened.success(), "chmod: {opened}");
    Ok(())
}

/// The processes of the user and of its tasks.
fn processes() -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_theirs = |path: &PathBuf| {
        let owner = fs::metadata(path.join("stat")).map_or(0, |found| found.uid());
        let name = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok());
        name && (owner == USER || (FIRST_ID..FIRST_ID + 65536).contains(&owner))
    };
    let theirs = entries.map(|entry| entry.path()).filter(is_theirs);
    theirs
        .map(|path| fs::read_to_string(path.join("comm")).unwrap_or_default())
        .collect()
}

/// Runs a command line of a task, and fails unless it ended with that code; returns all it printed.
fn run(cluster: &Cluster, code: i32, args: &[&str]) -> Result<String> {
    let output = cluster.run(&[&["run"], args].concat())?;
    let said = text(&output.stdout) + &text(&output.stderr);
    ensure!(
        output.status.code() == Some(code),
        "{args:?}: {}: {said}",
        output.status
    );
    Ok(said)
}

/// Starts a task that goes on, and returns its id.
fn start(cluster: &Cluster, args: &[&str]) -> Result<(Child, String)> {
    let mut command = cluster.command(&[&["run"], args].concat());
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut id = None;
    let runs = wait_for(PATIENCE, || {
        let tasks = cluster.json(&["tasks"]).unwrap_or_default();
        let mut running = tasks
            .as_array()
            .into_iter()
            .flatten()
            .filter(|task| task["state"] == "running");
        id = running.find_map(|task| task["task_id"].as_str().map(str::to_owned));
        id.is_some()
    });
    ensure!(runs, "{}", cluster.ok(&["tasks", "--all"])?);
    Ok((child, id.context("no id")?))
}

#[test]
fn what_a_task_may_have_it_has_without_root_and_nothing_is_left() -> Result<()> {
    if is_outside() {
        return Ok(());
    }
    let home = Path::new(PLACE).join("home");
    let binary = wrapper()?;
    layout(&home)?;
    let without = Command::new(&binary)
        .args(["agent", "--data-dir", "/mnt/home/none"])
        .output()?;
    let said = text(&without.stderr);
    ensure!(
        !without.status.success() && said.contains("is not delegated to user 54321"),
        "{said}"
    );

    let mut cluster = Cluster::start_at(&binary, &home, &[])?;
    let agents = cluster.ok(&["agents"])?;
    ensure!(agents.contains("cgroup v2 (rootless)"), "{agents}");
    limits(&cluster)?;
    images(&cluster)?;
    refusals(&cluster)?;
    restart(&cluster)?;
    cluster.stop()?;
    let left = processes();
    ensure!(left.is_empty(), "{left:?}");
    ensure!(!Path::new(TREE).join("proffer").exists(), "cgroups are left");
    Ok(())
}

fn limits(cluster: &Cluster) -> Result<()> {
    let said = run(
        cluster,
        137,
        &[
            "--mem",
            "16MiB",
            "--",
            "sh",
            "-c",
            "head -c 64m /dev/zero | tail -c 64m",
        ],
    )?;
    ensure!(said.contains("CONTAINER_LIMITATION_MEMORY"), "{said}");
    let forks = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait";
    let said = run(cluster, 2, &["--pids", "4", "--", "sh", "-c", forks])?;
    ensure!(said.contains("fork"), "{said}");
    let spin = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; cat /sys/fs/cgroup/cpu.max; grep nr_throttled /sys/fs/cgroup/cpu.stat";
    let said = run(cluster, 0, &["--cpus", "0.1", "--", "sh", "-c", spin])?;
    ensure!(
        said.starts_with("10000 100000\n") && !said.contains("nr_throttled 0\n"),
        "{said}"
    );
    let script = "id -u; cat /proc/self/uid_map; touch mine /tmp/mine; stat -c %u mine /; echo x >/dev/null; \
                  head -c 1 /dev/zero | wc -c; cat /etc/shadow";
    let said = run(cluster, 1, &["--", "sh", "-c", script])?;
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(
        words.starts_with("0 0 1 65536 0 65534 1 ") && words.contains("Permission denied"),
        "{words}"
    );
    Ok(())
}

fn images(cluster: &Cluster) -> Result<()> {
    let image = format!("oci:{PLACE}/home/layout:1");
    let script = "id -u; stat -c %u /bin/busybox /etc/own /etc; ls /etc; echo x >/cache/x && cat /cache/x; \
                  echo y >/tmp/y && cat /tmp/y /etc/own; echo z >/etc/new";
    let said = run(
        cluster,
        1,
        &[
            "--image",
            &image,
            "--tmpfs",
            "/cache:1MiB",
            "--",
            "sh",
            "-c",
            script,
        ],
    )?;
    let expected = "1234\n0\n1234\n0\nhosts\nown\npasswd\nresolv.conf\nx\ny\n";
    ensure!(
        said.starts_with(expected) && said.contains("Permission denied"),
        "{said}"
    );
    // What a layer below has goes and comes again: overlayfs has to write down that it is another one.
    let script =
        "id -u; echo z >/etc/new && cat /etc/new; rm -r /srv && mkdir /srv && ls -A /srv; stat -c %u /srv";
    let args = [
        "--image",
        &image,
        "--user",
        "0",
        "--network",
        "none",
        "--",
        "sh",
        "-c",
        script,
    ];
    let said = run(cluster, 0, &args)?;
    ensure!(said == "0\nz\n0\n", "{said}");
    let job = format!(
        "name: volumes\ntasks:\n  - name: one\n    image: {image}\n    mem: 32MiB\n    \
         command: [sh, -c, 'echo kept >/keep/file; cat /keep/file']\n    volumes: [{{ path: /keep, sandbox: work }}]\n"
    );
    let path = format!("{PLACE}/job.yaml");
    fs::write(&path, job)?;
    let output = cluster.run(&["job", "submit", &path, "--wait"])?;
    ensure!(output.status.success(), "{}", text(&output.stderr));
    let logs = cluster.ok(&["job", "logs", "volumes"])?;
    ensure!(logs.contains("kept"), "{logs}");
    Ok(())
}

fn refusals(cluster: &Cluster) -> Result<()> {
    let said = run(cluster, 1, &["--publish", "8080:80", "--", "true"])?;
    ensure!(
        said.contains("rootless") && said.contains("`host` or `none`"),
        "{said}"
    );
    let said = run(
        cluster,
        0,
        &["--network", "none", "--", "sh", "-c", "grep -c : /proc/net/dev"],
    )?;
    ensure!(said == "1\n", "{said}");
    Ok(())
}

/// Executes in a task, kills the agent, and executes in it again; then kills the task.
fn restart(cluster: &Cluster) -> Result<()> {
    let (mut client, id) = start(cluster, &["--mem", "32MiB", "--", "sleep", "1000"])?;
    let script = "id -u; grep -c sleep /proc/2/cmdline; cat /sys/fs/cgroup/memory.max";
    let inside = || cluster.ok(&["exec", &id, "--", "sh", "-c", script]);
    let first = inside()?;
    ensure!(first == "0\n1\n33554432\n", "{first}");
    cluster.kill_9("agent-1")?;
    let mut again = String::new();
    let returned = wait_for(PATIENCE, || {
        again = inside().unwrap_or_else(|error| error.to_string());
        again == first
    });
    ensure!(returned, "{again}");
    cluster.ok(&["kill", &id])?;
    let status = client.wait()?;
    ensure!(!status.success());
    let said = run(cluster, 0, &["--", "echo", "again"])?;
    ensure!(said == "again\n", "{said}");
    Ok(())
}
