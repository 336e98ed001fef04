//! Quota, reservations and `why`, by real jobs on a real agent.

use std::time::Duration;

use anyhow::{Context as _, Result};
use proffer_cluster_tests::{Cluster, built_binary, skipped, text, wait_for};
use serde_json::Value;

/// How long a change may take to settle on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long what must not happen is waited for.
const HOLDS: Duration = Duration::from_secs(2);

fn submit(cluster: &Cluster, name: &str, role: &str, count: u32, cpus: &str) -> Result<()> {
    let job = format!(
        "name: {name}\nrole: {role}\ntasks:\n  - name: t\n    count: {count}\n    cpus: {cpus}\n    mem: 16MiB\n    \
         command: [sleep, '5000']\n"
    );
    let submitted = cluster.run_with_input(&["job", "submit", "-"], &job)?;
    anyhow::ensure!(submitted.status.success(), "{}", text(&submitted.stderr));
    Ok(())
}

fn n_running(cluster: &Cluster, role: &str) -> usize {
    let tasks = cluster.json(&["tasks"]).unwrap_or_default();
    let tasks = tasks.as_array().into_iter().flatten();
    tasks
        .filter(|task| task["role"] == role && task["state"] == "running")
        .count()
}

/// So many tasks run in a role, and no more.
#[track_caller]
fn settles_at(cluster: &Cluster, role: &str, n: usize) {
    let settled = wait_for(PATIENCE, || n_running(cluster, role) == n);
    assert!(
        settled,
        "{n} tasks in {role} wanted, {} run",
        n_running(cluster, role)
    );
    let more = wait_for(HOLDS, || n_running(cluster, role) > n);
    assert!(!more, "{} run in {role}, more than {n}", n_running(cluster, role));
}

/// `why` comes to say something.
#[track_caller]
fn says(cluster: &Cluster, name: &str, words: &str) {
    let why = || {
        cluster
            .ok(&["why", name])
            .unwrap_or_else(|error| format!("{error:#}"))
    };
    assert!(
        wait_for(PATIENCE, || why().contains(words)),
        "no `{words}` in:\n{}",
        why()
    );
}

fn role(cluster: &Cluster, name: &str) -> Result<Value> {
    let roles = cluster.json(&["roles"])?;
    let mut roles = roles.as_array().into_iter().flatten();
    let role = roles.find(|role| role["name"] == name);
    role.cloned().with_context(|| format!("no role {name}"))
}

#[test]
fn a_limit_and_a_guarantee_hold_for_real_jobs_and_outlive_the_master() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start_with(&built_binary()?, &["--resources", "cpus:2;mem:1GiB"])?;
    cluster.ok(&["role", "set", "eng", "--weight", "2", "--limit", "cpus:1"])?;
    cluster.ok(&["role", "set", "eng", "--priority", "-3"])?;
    submit(&cluster, "many", "eng/web", 4, "0.5")?;
    settles_at(&cluster, "eng/web", 2);
    says(
        &cluster,
        "many",
        "the limit of role eng on cpus leaves none of the 0.5 needed",
    );
    let eng = role(&cluster, "eng")?;
    assert_eq!(
        (
            &eng["weight"],
            &eng["priority"],
            &eng["limit"]["cpus"],
            &eng["consumed"]["cpus"]
        ),
        (&2.0.into(), &(-3).into(), &1.0.into(), &1.0.into()),
        "{eng}"
    );

    cluster.kill_9("master")?;
    let back = wait_for(PATIENCE, || {
        role(&cluster, "eng").is_ok_and(|eng| eng["limit"]["cpus"] == 1.0 && eng["consumed"]["cpus"] == 1.0)
    });
    assert!(back, "{}", cluster.ok(&["roles"])?);
    settles_at(&cluster, "eng/web", 2);

    cluster.ok(&["role", "set", "ads", "--guarantee", "cpus:0.5"])?;
    cluster.ok(&["role", "set", "eng", "--limit", "none"])?;
    settles_at(&cluster, "eng/web", 3);
    says(
        &cluster,
        "many",
        "the guarantees of other roles on cpus leave none of the 0.5 needed",
    );
    let guaranteed = cluster.run(&["run", "--role", "ads", "--cpus", "0.5", "--", "true"])?;
    assert_eq!(guaranteed.status.code(), Some(0), "{}", text(&guaranteed.stderr));

    cluster.ok(&["role", "set", "ads", "--guarantee", "none"])?;
    settles_at(&cluster, "eng/web", 4);
    Ok(())
}

#[test]
fn why_names_what_stands_in_the_way() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start_with(&built_binary()?, &["--resources", "cpus:2;mem:1GiB"])?;
    let agents = cluster.json(&["agents"])?;
    let agent = agents[0]["agent_id"].as_str().context("no agent")?.to_owned();

    let reservation = "cpus(+ads):1.5;mem(+ads):512MiB";
    cluster.ok(&["role", "reserve", &agent, reservation])?;
    submit(&cluster, "kept-out", "eng", 1, "1")?;
    says(&cluster, "kept-out", "1 agent is reserved for role ads");
    assert_eq!(role(&cluster, "ads")?["consumed"]["cpus"], 1.5);
    cluster.ok(&["role", "unreserve", &agent, reservation])?;
    settles_at(&cluster, "eng", 1);

    let service = "name: web\nreplicas: 1\ntask:\n  cpus: 0.5\n  mem: 16MiB\n  command: [sleep, '5000']\n";
    let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], service)?;
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    settles_at(&cluster, "*", 1);
    submit(&cluster, "beside", "ads", 1, "1")?;
    // Without what the service has there would be room; without its own tasks as well.
    says(&cluster, "beside", "1 task of cpus:1;mem:16MiB in role ads");
    says(&cluster, "beside", "1 agent lacks cpus");
    cluster.ok(&["job", "cancel", "beside"])?;

    // The service's own framework waits for nothing.
    let nothing = |why: &str| why.contains("wants nothing more") || why.contains("suppressed offers");
    let told = wait_for(PATIENCE, || {
        cluster.ok(&["why", "service"]).is_ok_and(|why| nothing(&why))
    });
    assert!(told, "{}", cluster.ok(&["why", "service"])?);

    let frameworks = cluster.json(&["frameworks"])?;
    let frameworks = frameworks.as_array().context("no list")?;
    let service = frameworks.iter().find(|framework| framework["name"] == "service");
    let id = service
        .and_then(|service| service["framework_id"].as_str())
        .context("no service")?;
    cluster.ok(&["framework", "teardown", id])?;
    assert!(
        wait_for(PATIENCE, || n_running(&cluster, "*") == 0),
        "{}",
        cluster.ok(&["tasks"])?
    );
    Ok(())
}

#[test]
fn a_setting_that_cannot_be_is_refused_and_changes_nothing() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start_with(&built_binary()?, &["--resources", "cpus:2;mem:1GiB"])?;
    let refused = |args: &[&str], code: i32, says: &[&str]| -> Result<()> {
        let output = cluster.run(args)?;
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(
            says.iter().all(|say| stderr.contains(say)),
            "{args:?} should say {says:?}:\n{stderr}"
        );
        assert!(!stderr.contains("panicked"), "{stderr}");
        Ok(())
    };
    refused(&["role", "set", "eng"], 2, &["--weight", "--limit"])?;
    refused(
        &["role", "set", "eng", "--limit", "cpus:-1"],
        2,
        &["--limit", "-1"],
    )?;
    refused(&["role", "set", "eng", "--limit", "cpus:1;cpus:2"], 2, &["twice"])?;
    refused(
        &["role", "set", "eng", "--guarantee", "ports:[1-2]"],
        2,
        &["--guarantee", "ports"],
    )?;
    refused(
        &["role", "set", "eng", "--priority", "high"],
        2,
        &["--priority", "high"],
    )?;
    refused(&["role", "set", "e//g", "--weight", "2"], 2, &["role", "e//g"])?;
    refused(
        &["role", "set", "eng", "--guarantee", "cpus:2", "--limit", "cpus:1"],
        2,
        &["eng", "cpus:2", "cpus:1"],
    )?;
    refused(
        &["role", "set", "eng", "--guarantee", "cpus:64"],
        1,
        &["cpus:64", "cpus:2", "force"],
    )?;
    refused(&["role", "reserve", "nobody", "cpus(+eng):1"], 1, &["nobody"])?;
    refused(&["role", "reserve", "nobody", "cpus:1"], 2, &["cpus(+web):2"])?;
    refused(&["framework", "teardown", "nobody"], 1, &["nobody"])?;
    let roles = cluster.json(&["roles"])?;
    let roles = roles.as_array().context("no list")?;
    assert!(roles.iter().all(|role| role["name"] != "eng"), "{roles:?}");
    cluster.ok(&["role", "set", "eng", "--guarantee", "cpus:64", "--force"])?;
    assert_eq!(role(&cluster, "eng")?["guarantee"]["cpus"], 64.0);
    Ok(())
}
