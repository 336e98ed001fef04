//! Several masters on one etcd: one leads, and who is lost is replaced.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{built_binary, get, signal, skipped, text, wait_for};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The default lease of a leader is 3 s.
const LEASE: Duration = Duration::from_secs(3);

/// A cluster without a supervisor: what is killed stays dead.
struct Masters {
    binary: PathBuf,
    dir: tempfile::TempDir,
    addresses: Vec<String>,
    masters: Vec<Child>,
    others: Vec<Child>,
}

#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
fn no_etcd() -> bool {
    let found = Command::new("etcd").arg("--version").output();
    if found.is_err() {
        println!("skipped: there is no etcd here");
    }
    found.is_err()
}

/// An address of loopback's that only one test of one process has: a port of 127.0.0.1 that is free now may be anybody's
/// a moment later, as the near end of a connection.
fn own_host() -> String {
    static N_CLUSTERS: AtomicU8 = AtomicU8::new(64);
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{}.{high}.{low}", N_CLUSTERS.fetch_add(1, Ordering::Relaxed))
}

fn spawn(program: &Path, args: &[&str], log: &Path) -> Result<Child> {
    let log = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    command.spawn().with_context(|| program.display().to_string())
}

impl Masters {
    /// An etcd, three masters, an agent and the batch framework.
    fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("proffer-masters-").tempdir()?;
        let host = own_host();
        let address = |port: u16| format!("{host}:{port}");
        let (client, peer) = (address(2379), address(2380));
        let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
        let data = dir.path().join("etcd").display().to_string();
        let members = format!("test={peer_url}");
        let etcd = ["--name", "test", "--log-level", "error", "--data-dir", &data];
        let urls = [
            "--listen-client-urls",
            &client_url,
            "--advertise-client-urls",
            &client_url,
        ];
        let peers = [
            "--listen-peer-urls",
            &peer_url,
            "--initial-advertise-peer-urls",
            &peer_url,
        ];
        let args = [&etcd[..], &urls, &peers, &["--initial-cluster", &members]].concat();
        let mut cluster = Self {
            binary: built_binary()?,
            addresses: (5050..5053).map(address).collect(),
            masters: Vec::new(),
            others: Vec::new(),
            dir,
        };
        let store = format!("etcd://{client}/test");
        for address in cluster.addresses.clone() {
            let master = cluster.daemon(&address, &["master", "--listen", &address, "--store", &store])?;
            cluster.masters.push(master);
        }
        // They wait for it.
        let log = cluster.dir.path().join("etcd.log");
        cluster.others.push(spawn(Path::new("etcd"), &args, &log)?);
        let listed = cluster.addresses.join(",");
        let data = |name: &str| cluster.dir.path().join(name).display().to_string();
        let (agent, batch, listen) = (data("agent"), data("batch"), address(5060));
        let args = [
            "agent",
            "--master",
            &listed,
            "--listen",
            &listen,
            "--data-dir",
            &agent,
        ];
        let agent = cluster.daemon("agent", &args)?;
        let args = ["framework", "batch", "--master", &listed, "--data-dir", &batch];
        let batch = cluster.daemon("batch", &args)?;
        cluster.others.extend([agent, batch]);
        ensure!(
            wait_for(PATIENCE, || cluster.is_whole()),
            "the cluster does not come up"
        );
        Ok(cluster)
    }

    fn daemon(&self, name: &str, args: &[&str]) -> Result<Child> {
        spawn(&self.binary, args, &self.dir.path().join(format!("{name}.log")))
    }

    fn command(&self, masters: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .env("PROFFER_MASTER", masters)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        Ok(self.command(&self.addresses.join(","), args).output()?)
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

impl Drop for Masters {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
            // Shown by the test runner when the test failed.
            let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
            eprintln!("--- {}:\n{log}", entry.path().display());
        }
        // The agent before its etcd and masters: it ends its containers. Stopped ones must go on to be killed.
        let ordered = self
            .others
            .drain(1..)
            .chain(self.masters.drain(..))
            .collect::<Vec<_>>();
        for mut child in ordered.into_iter().chain(self.others.drain(..)) {
            let _ = signal(child.id(), "CONT");
            let _ = signal(child.id(), "TERM");
            if !wait_for(Duration::from_secs(10), || {
                matches!(child.try_wait(), Ok(Some(_)))
            }) {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
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
    let mut run = cluster.command(&listed, &run);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let runs = || {
        let listed = cluster.run(&["ps"]).map(|output| text(&output.stdout));
        listed.is_ok_and(|listed| listed.contains(" RUNNING "))
    };
    assert!(wait_for(PATIENCE, runs), "the task does not run");
    let framework = cluster.run(&["frameworks", "-o", "json"])?.stdout;

    let first = cluster.leader()?;
    cluster.masters[first].kill()?;
    cluster.masters[first].wait()?;
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
    let pid = cluster.masters[first].id();
    signal(pid, "STOP")?;
    let second = cluster.leader()?;
    assert_ne!(first, second);
    assert!(
        wait_for(PATIENCE, || cluster.is_whole()),
        "nobody came to the second"
    );
    signal(pid, "CONT")?;
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
