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

/// The service as `status -o json` shows it.
fn status(cluster: &Cluster) -> Result<serde_json::Value> {
    cluster.json(&["service", "status", "web"])
}

#[test]
fn an_update_runs_beside_the_old_and_a_broken_one_is_taken_back_by_itself() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let service = |command: &str, update: &str| {
        format!(
            "name: web\nreplicas: 2\nupdate: {{ min_healthy_time: 500ms, {update} }}\ntask:\n  cpus: 0.1\n  mem: 16MiB\n  \
             command: [sh, -c, '{command}']\n  readiness: {{ command: [test, -e, /tmp/ready], interval: 200ms }}\n"
        )
    };
    let apply = |spec: &str| -> Result<()> {
        let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], spec)?;
        assert!(applied.status.success(), "{}", text(&applied.stderr));
        Ok(())
    };
    let is_at = |version: u64, deployment: &str| {
        let at = |status: &serde_json::Value| {
            let replicas = status["replicas"].as_array().cloned().unwrap_or_default();
            let all_new = replicas.len() == 2
                && replicas
                    .iter()
                    .all(|replica| replica["version"] == version && replica["available"] == true);
            status["version"] == version && status["deployment"]["state"] == deployment && all_new
        };
        wait_for(PATIENCE, || status(&cluster).is_ok_and(|status| at(&status)))
    };
    let good = "touch /tmp/ready; exec sleep 5000";
    apply(&service(good, "deadline: 60s"))?;
    assert!(is_at(1, "done"), "{}", status(&cluster)?);
    let first = running(&cluster)?;

    // What differs and what would be replaced is told before, and nothing is changed by it.
    let changed = service("touch /tmp/ready; exec sleep 6000", "canary: 1, promote: by_hand");
    let planned = cluster.run_with_input(&["service", "plan", "-f", "-"], &changed)?;
    let plan = text(&planned.stdout);
    assert!(planned.status.success(), "{}", text(&planned.stderr));
    assert!(plan.contains("from version 1 to version 2"), "{plan}");
    assert!(
        plan.contains("sleep 6000") && plan.contains("replaced by version 2"),
        "{plan}"
    );
    assert_eq!(status(&cluster)?["version"], 1);

    // The canary runs beside the old ones until it is promoted, over a restart of the framework too.
    apply(&changed)?;
    let awaits = wait_for(PATIENCE, || {
        status(&cluster).is_ok_and(|status| status["deployment"]["state"] == "awaits_promotion")
    });
    assert!(awaits, "{}", status(&cluster)?);
    cluster.kill_9("service")?;
    let both = wait_for(PATIENCE, || {
        running(&cluster).is_ok_and(|now| now.len() == 3 && first.iter().all(|old| now.contains(old)))
    });
    assert!(both, "{first:?} became {:?}", running(&cluster)?);
    cluster.ok(&["service", "promote", "web"])?;
    assert!(is_at(2, "done"), "{}", status(&cluster)?);
    let second = running(&cluster)?;

    // One that is never ready is taken back at its deadline, and says why; one that ends at once before.
    apply(&service("exec sleep 7000", "deadline: 3s"))?;
    assert!(is_at(2, "done"), "{}", status(&cluster)?);
    let taken_back = wait_for(PATIENCE, || {
        status(&cluster).is_ok_and(|status| status["deployment"]["rolls_back"] == 3)
    });
    assert!(taken_back, "{}", status(&cluster)?);
    apply(&service("exit 3", "deadline: 60s"))?;
    let taken_back = wait_for(PATIENCE, || {
        status(&cluster).is_ok_and(|status| status["deployment"]["rolls_back"] == 4)
    });
    assert!(taken_back, "{}", status(&cluster)?);
    assert!(is_at(2, "done"), "{}", status(&cluster)?);
    let history = cluster.json(&["service", "history", "web"])?;
    let outcomes: Vec<_> = history.as_array().into_iter().flatten().collect();
    let told = |nth: usize, what: &str| {
        outcomes[nth]["message"]
            .as_str()
            .is_some_and(|why| why.contains(what))
    };
    assert!(
        told(0, "crash loop") && told(1, "no progress within 3s"),
        "{history}"
    );
    // No replica of the good version was touched meanwhile.
    assert_eq!(running(&cluster)?, second);

    cluster.ok(&["service", "rollback", "web", "--to", "1"])?;
    assert!(is_at(1, "done"), "{}", status(&cluster)?);
    let refused = cluster.run(&["service", "promote", "web"])?;
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    Ok(())
}

#[test]
fn replicas_that_are_busy_get_company_and_when_they_idle_it_goes() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    // Each is busy for the first 20 s of its life.
    let spec = "name: web\nupdate: { min_healthy_time: 100ms }\nscaling: { min: 1, max: 3, cpu: 50%, stabilise: { down: 10s } }\n\
                task:\n  cpus: 0.1\n  mem: 16MiB\n  command:\n    - sh\n    - -c\n    - \
                'end=$(($(date +%s) + 20)); while [ $(date +%s) -lt $end ]; do :; done; exec sleep 5000'\n";
    let apply = || -> Result<()> {
        let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], spec)?;
        assert!(applied.status.success(), "{}", text(&applied.stderr));
        Ok(())
    };
    apply()?;
    let scaling = || cluster.json(&["service", "scaling", "web"]);
    let grown = wait_for(PATIENCE, || {
        running(&cluster).is_ok_and(|replicas| replicas.len() == 3)
    });
    assert!(grown, "{}", scaling()?);
    // The file says nothing of the number, and applying it again does not change it; nor may people.
    apply()?;
    assert_eq!(status(&cluster)?["replicas_wanted"], 3);
    let refused = cluster.run(&["service", "scale", "web", "1"])?;
    let why = text(&refused.stderr);
    assert!(
        !refused.status.success() && why.contains("scales by itself"),
        "{why}"
    );

    let shrunk = wait_for(2 * PATIENCE, || {
        running(&cluster).is_ok_and(|replicas| replicas.len() == 1)
    });
    assert!(shrunk, "{}", scaling()?);
    let before = scaling()?["decisions"].clone();
    let last = &before[0];
    assert_eq!(last["to"], 1, "{before}");
    let why = last["why"].as_str().unwrap_or_default();
    assert!(
        why.starts_with("cpu ") && why.contains(" of 50% asks for "),
        "{before}"
    );
    cluster.kill_9("service")?;
    let kept = wait_for(PATIENCE, || scaling().is_ok_and(|now| now["decisions"] == before));
    assert!(kept, "{before} became {}", scaling()?);
    Ok(())
}
