//! Several masters on one etcd: one leads, and who is lost is replaced.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::loose::{Loose, no_etcd};
use proffer_cluster_tests::{get, skipped, text, wait_for};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The default lease of a leader is 3 s.
const LEASE: Duration = Duration::from_secs(3);

struct Masters {
    daemons: Loose,
    /// Each is the name of its master, too.
    addresses: Vec<String>,
}

impl Masters {
    /// Three masters, an etcd, an agent and the batch framework.
    fn start() -> Result<Self> {
        let mut daemons = Loose::new()?;
        let addresses: Vec<_> = (5050..5053).map(|port| daemons.address(port)).collect();
        let store = daemons.store();
        for address in &addresses {
            daemons.daemon(address, &["master", "--listen", address, "--store", &store])?;
        }
        // They wait for it.
        daemons.etcd()?;
        let listed = addresses.join(",");
        let (agent, batch, listen) = (
            daemons.path("agent"),
            daemons.path("batch"),
            daemons.address(5060),
        );
        let args = [
            "agent",
            "--master",
            &listed,
            "--listen",
            &listen,
            "--data-dir",
            &agent,
        ];
        daemons.daemon("agent", &args)?;
        let args = ["framework", "batch", "--master", &listed, "--data-dir", &batch];
        daemons.daemon("batch", &args)?;
        let cluster = Self { daemons, addresses };
        ensure!(
            wait_for(PATIENCE, || cluster.is_whole()),
            "the cluster does not come up"
        );
        Ok(cluster)
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        Ok(self.daemons.command(&self.addresses.join(","), args).output()?)
    }

    /// Whether a master leads that has the agent and the framework.
    fn is_whole(&self) -> bool {
        ["agents", "frameworks"].iter().all(|listing| {
            let listed = self.run(&[listing]).map(|output| text(&output.stdout));
            listed.is_ok_and(|listed| listed.contains(" ACTIVE "))
        })
    }

    /// The place of the master that says it is ready.
    fn leader(&self) -> Result<usize> {
        let is_ready =
            |address: &String| get(address, "/readyz").is_ok_and(|(status, _)| status.contains("200"));
        let mut found = None;
        wait_for(PATIENCE, || {
            found = self.addresses.iter().position(is_ready);
            found.is_some()
        });
        found.context("no master leads")
    }
}

#[test]
fn kill_9_of_the_leader_loses_no_task_and_the_next_one_leads_when_its_lease_is_over() -> Result<()> {
    if skipped() || no_etcd() {
        return Ok(());
    }
    let mut cluster = Masters::start()?;
    let listed = cluster.addresses.join(",");
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 1; done; exit 7";
    let run = ["run", "--", "sh", "-c", script];
    let mut run = cluster.daemons.command(&listed, &run);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let runs = || {
        let listed = cluster.run(&["ps"]).map(|output| text(&output.stdout));
        listed.is_ok_and(|listed| listed.contains(" RUNNING "))
    };
    assert!(wait_for(PATIENCE, runs), "the task does not run");
    let framework = cluster.run(&["frameworks", "-o", "json"])?.stdout;

    let first = cluster.leader()?;
    let address = cluster.addresses[first].clone();
    cluster.daemons.kill_9(&address)?;
    let killed = Instant::now();
    let second = cluster.leader()?;
    assert_ne!(first, second);
    // The lease, the time between two looks, and what a busy machine takes.
    assert!(killed.elapsed() < LEASE * 4, "{:?}", killed.elapsed());
    assert!(wait_for(PATIENCE, || cluster.is_whole()), "nobody came back");

    // Whoever stands by says who leads, to a client that knows nobody else.
    let third = 3 - first - second;
    let (status, body) = get(&cluster.addresses[third], "/readyz")?;
    assert!(
        status.contains("503") && body.contains(&cluster.addresses[second]),
        "{body}"
    );
    let through = cluster
        .daemons
        .command(&cluster.addresses[third], &["run", "--", "echo", "hello"])
        .output()?;
    assert_eq!(text(&through.stdout), "hello\n", "{}", text(&through.stderr));

    let ended = run.wait_with_output()?;
    assert_eq!(ended.status.code(), Some(7), "{}", text(&ended.stderr));
    let lines = (1..=10).map(|n| format!("{n}\n")).collect::<String>();
    assert_eq!(text(&ended.stdout), lines);
    let id = |listing: &[u8]| -> Result<String> {
        let listing: serde_json::Value = serde_json::from_slice(listing)?;
        Ok(listing[0]["framework_id"].as_str().context("no id")?.to_owned())
    };
    assert_eq!(
        id(&cluster.run(&["frameworks", "-o", "json"])?.stdout)?,
        id(&framework)?
    );
    Ok(())
}

#[test]
fn a_leader_that_hung_is_deposed_and_stands_by_when_it_goes_on() -> Result<()> {
    if skipped() || no_etcd() {
        return Ok(());
    }
    let cluster = Masters::start()?;
    let first = cluster.leader()?;
    cluster.daemons.signal(&cluster.addresses[first], "STOP")?;
    let second = cluster.leader()?;
    assert_ne!(first, second);
    assert!(
        wait_for(PATIENCE, || cluster.is_whole()),
        "nobody came to the second"
    );
    cluster.daemons.signal(&cluster.addresses[first], "CONT")?;
    let stands_by = || {
        let page = get(&cluster.addresses[first], "/readyz");
        page.is_ok_and(|(status, body)| status.contains("503") && body.contains(&cluster.addresses[second]))
    };
    assert!(wait_for(PATIENCE, stands_by), "the first still thinks it leads");
    assert_eq!(cluster.leader()?, second);
    assert!(cluster.is_whole(), "somebody listened to the first");
    let ran = cluster.run(&["run", "--", "echo", "hello"])?;
    assert_eq!(text(&ran.stdout), "hello\n", "{}", text(&ran.stderr));
    Ok(())
}
