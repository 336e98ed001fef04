//! `proffer service`: N replicas are kept alive.

use std::time::Duration;

use anyhow::{Context as _, Result};
use proffer_cluster_tests::{Cluster, skipped, text, wait_for};

/// How long a change may take to settle on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The task ids of the running replicas, by slot.
fn running(cluster: &Cluster) -> Result<Vec<String>> {
    let service = cluster.json(&["service", "status", "web"])?;
    let replicas = service["replicas"]
        .as_array()
        .with_context(|| format!("{service}"))?;
    Ok(replicas
        .iter()
        .filter(|replica| replica["state"] == "running")
        .filter_map(|replica| Some(replica["task_id"].as_str()?.to_owned()))
        .collect())
}

fn settles_at(cluster: &Cluster, n: usize) -> Result<Vec<String>> {
    let settled = wait_for(PATIENCE, || {
        running(cluster).is_ok_and(|replicas| replicas.len() == n)
    });
    let replicas = running(cluster)?;
    assert!(settled, "{n} replicas wanted, {replicas:?} run");
    Ok(replicas)
}

#[test]
fn a_service_keeps_its_replicas_through_kills_scaling_and_delete() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let service = |replicas: u32, seconds: u32| {
        format!(
            "name: web\nreplicas: {replicas}\ntask:\n  cpus: 0.1\n  mem: 16MiB\n  command: [sleep, '{seconds}']\n"
        )
    };
    let apply = |spec: &str| -> Result<()> {
        let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], spec)?;
        assert!(applied.status.success(), "{}", text(&applied.stderr));
        Ok(())
    };

    apply(&service(3, 5000))?;
    let first = settles_at(&cluster, 3)?;

    cluster.ok(&["kill", &first[0]])?;
    let replaced = wait_for(PATIENCE, || {
        running(&cluster).is_ok_and(|now| now.len() == 3 && !now.contains(&first[0]))
    });
    assert!(
        replaced,
        "the killed replica was not replaced: {:?}",
        running(&cluster)?
    );
    let second = running(&cluster)?;
    assert!(
        first[1..].iter().all(|kept| second.contains(kept)),
        "{first:?} became {second:?}"
    );

    cluster.ok(&["service", "scale", "web", "5"])?;
    settles_at(&cluster, 5)?;
    cluster.ok(&["service", "scale", "web", "1"])?;
    settles_at(&cluster, 1)?;

    // The service framework itself dies: its replicas do not.
    let before = running(&cluster)?;
    cluster.kill_9("service")?;
    assert!(
        wait_for(PATIENCE, || running(&cluster).is_ok_and(|now| now == before)),
        "replicas changed"
    );

    apply(&service(2, 6000))?;
    let changed = settles_at(&cluster, 2)?;
    let all_new = wait_for(PATIENCE, || {
        running(&cluster).is_ok_and(|now| now.len() == 2 && !now.contains(&before[0]))
    });
    assert!(all_new, "the old version still runs: {before:?}, {changed:?}");

    cluster.ok(&["service", "delete", "web"])?;
    let gone = wait_for(PATIENCE, || {
        cluster
            .json(&["service", "list"])
            .is_ok_and(|list| list.as_array().is_some_and(Vec::is_empty))
    });
    assert!(gone, "{:?}", cluster.json(&["service", "list"]));
    let tasks = cluster.json(&["tasks"])?;
    assert_eq!(tasks.as_array().map(Vec::len), Some(0), "{tasks}");
    Ok(())
}
