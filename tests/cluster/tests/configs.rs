//! `proffer service config`: files and variables of running tasks, over changes, kill -9 and restarts.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use proffer_cluster_tests::{Cluster, skipped, text, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// Writes what it sees: at its start, and when it is told to read again. What it is configured with lies where every host has a
/// directory.
const SERVICE: &str = r#"
name: configured
update: { min_healthy_time: 100ms }
task:
  cpus: 0.1
  mem: 16MiB
  command:
    - sh
    - -c
    - |
      trap 'echo again $(cat /mnt/level) >> seen' HUP
      echo start ${PASSWORD#hidden-} $MODE $(cat /mnt/level) >> seen
      while :; do sleep 0.1; done
  volumes: [{ path: /mnt, config: live }]
  config_env: { PASSWORD: key/password }
  env_from: [settings]
  on_change: { live: SIGHUP, settings: keep }
"#;

/// The values of the password, of which a task writes what follows `hidden-`.
const SECRETS: [&str; 2] = ["hidden-one", "hidden-two"];

/// All that the service's tasks wrote, in order of their starts.
fn seen(cluster: &Cluster) -> Vec<String> {
    let mut paths = cluster.in_sandboxes("seen");
    paths.sort();
    let read = paths.iter().filter_map(|path| fs::read_to_string(path).ok());
    read.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn comes(cluster: &Cluster, line: &str) {
    let found = wait_for(PATIENCE, || seen(cluster).iter().any(|found| found == line));
    assert!(
        found,
        "`{line}` does not come: {:?}\n{}",
        seen(cluster),
        cluster.output()
    );
}

/// Whether a file below a directory holds a text.
fn holds(dir: &Path, needle: &str) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => holds(&entry.path(), needle),
        Ok(kind) if kind.is_file() => {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            let mut windows = bytes.windows(needle.len());
            windows.any(|window| window == needle.as_bytes())
        }
        Ok(_) | Err(_) => false,
    })
}

/// What lies in memory for configs, of whichever agent.
fn in_memory() -> Vec<String> {
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("proffer-")).collect()
}

#[test]
fn a_running_task_is_configured_anew_and_secrets_are_on_no_disk_of_the_agent() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let before = in_memory();
    let mut cluster = Cluster::start()?;
    let set = |args: &[&str]| cluster.ok(&[&["service", "config", "set"], args].concat());
    set(&["live", "level=1"])?;
    set(&["settings", "MODE=fast", "not.a-variable=x"])?;
    let created = set(&["key", "--secret", "password=hidden-one"])?;
    ensure!(created == "key created, revision 1\n", "{created}");
    let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], SERVICE)?;
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    comes(&cluster, "start one fast 1");

    // Files of a task that goes on; and what is kept until another one starts.
    set(&["settings", "MODE=slow"])?;
    set(&["live", "level=2"])?;
    comes(&cluster, "again 2");
    cluster.kill_9("agent-1")?;
    set(&["live", "level=3"])?;
    comes(&cluster, "again 3");
    cluster.kill_9("service")?;
    wait_for(PATIENCE, || {
        cluster
            .run(&["service", "list"])
            .is_ok_and(|listed| listed.status.success())
    });
    set(&["live", "level=4"])?;
    comes(&cluster, "again 4");
    let starts = || {
        seen(&cluster)
            .iter()
            .filter(|line| line.starts_with("start"))
            .count()
    };
    assert_eq!(starts(), 1, "{:?}", seen(&cluster));

    // A variable takes a new version.
    let changed = set(&["key", "--secret", "password=hidden-two"])?;
    ensure!(
        changed == "key applied, revision 2, deploys configured\n",
        "{changed}"
    );
    comes(&cluster, "start two slow 4");

    // What is used stays, and nobody is shown a secret.
    let refused = cluster.run(&["service", "config", "set", "live", "other=1"])?;
    // All keys are files here, so none is missed.
    assert!(refused.status.success(), "{}", text(&refused.stderr));
    let refused = cluster.run(&["service", "config", "set", "--secret", "key", "other=1"])?;
    let error = text(&refused.stderr);
    assert!(
        error.contains("service `configured` uses the key `password`"),
        "{error}"
    );
    let refused = cluster.run(&["service", "config", "delete", "key"])?;
    let error = text(&refused.stderr);
    assert!(
        error.contains("service `configured` uses the config `key`"),
        "{error}"
    );
    for args in [
        &["service", "config", "show", "key"][..],
        &["service", "config", "show", "key", "-o", "json"],
        &["service", "config", "list", "-o", "json"],
        &["service", "status", "configured", "-o", "json"],
        &["ps", "-o", "json"],
    ] {
        let shown = cluster.ok(args)?;
        assert!(SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
    }
    let shown = cluster.run(&["service", "config", "show", "key", "password"])?;
    assert!(
        text(&shown.stderr).contains("its values are not shown"),
        "{}",
        text(&shown.stderr)
    );
    assert_eq!(
        cluster.ok(&["service", "config", "show", "settings", "MODE"])?,
        "slow"
    );
    let agent = cluster.data_dir().join("agent-1");
    assert!(
        SECRETS.iter().all(|secret| !holds(&agent, secret)),
        "the agent wrote a secret"
    );

    cluster.ok(&["service", "delete", "configured"])?;
    let is_gone = || in_memory().iter().all(|name| before.contains(name));
    assert!(wait_for(PATIENCE, is_gone), "{:?}", in_memory());
    for name in ["key", "live", "settings"] {
        cluster.ok(&["service", "config", "delete", name])?;
    }
    cluster.stop()
}
