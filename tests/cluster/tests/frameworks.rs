//! Several processes of the batch framework on one etcd: one leads, and who is lost is replaced.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::loose::{Loose, no_etcd};
use proffer_cluster_tests::{skipped, text, wait_for};
use serde_json::Value;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The default lease of a leader is 3 s.
const LEASE: Duration = Duration::from_secs(3);
const PROCESSES: [&str; 2] = ["batch-1", "batch-2"];
const N_TASKS: usize = 24;

/// An etcd, a master, an agent, and the batch framework twice.
struct Frameworks {
    daemons: Loose,
    master: String,
}

impl Frameworks {
    fn start(more: &[&str]) -> Result<Self> {
        let mut daemons = Loose::new()?;
        daemons.etcd()?;
        let (master, agent) = (daemons.address(5050), daemons.address(5051));
        // The same for all of them.
        let store = daemons.store();
        daemons.daemon("master", &["master", "--listen", &master, "--store", &store])?;
        let (data, out) = (daemons.path("agent"), daemons.path("out"));
        fs::create_dir(&out)?;
        fs::set_permissions(&out, fs::Permissions::from_mode(0o1777))?;
        let args = ["agent", "--listen", &agent, "--data-dir", &data];
        let args = [&args[..], &["--allow-host-path", &out, "--master", &master]].concat();
        daemons.daemon("agent", &args)?;
        for name in PROCESSES {
            let args = ["framework", "batch", "--master", &master, "--store", &store];
            daemons.daemon(name, &[&args[..], more].concat())?;
        }
        let cluster = Self { daemons, master };
        let is_whole = || {
            ["agents", "frameworks"].iter().all(|listing| {
                let listed = cluster.ok(&[listing]);
                listed.is_ok_and(|listed| listed.contains(" ACTIVE "))
            })
        };
        ensure!(wait_for(PATIENCE, is_whole), "the cluster does not come up");
        Ok(cluster)
    }

    fn ok(&self, args: &[&str]) -> Result<String> {
        self.daemons.ok(&self.master, args)
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(
            &self.ok(&[args, &["-o", "json"]].concat())?,
        )?)
    }

    /// Whether a process said last that it leads.
    fn leads(&self, name: &str) -> bool {
        let log = self.daemons.log(name);
        log.rfind("elected") > log.rfind("standing by")
    }

    /// Who leads, and who stands by.
    fn roles(&self) -> Result<[&'static str; 2]> {
        let [one, other] = PROCESSES;
        let mut found = None;
        wait_for(PATIENCE, || {
            found = match (self.leads(one), self.leads(other)) {
                (true, false) => Some([one, other]),
                (false, true) => Some([other, one]),
                _ => None,
            };
            found.is_some()
        });
        found.context("not one of the two leads")
    }

    /// Submits a job whose tasks write when they start, each time a file of its own.
    fn submit(&self, name: &str, more: &str, mark: &str) -> Result<()> {
        let out = self.daemons.path("out");
        let script = format!("date > /tmp/out/{name},{mark},$(date +%s%N); sleep 1");
        let file = format!(
            "name: {name}\n{more}\n    cpus: 0.05\n    mem: 16MiB\n    command: [sh, -c, '{script}']\n    \
             volumes: [{{ path: /tmp/out, host: {out} }}]\n"
        );
        let path = self.daemons.path(&format!("{name}.yaml"));
        fs::write(&path, file)?;
        self.ok(&["job", "submit", &path]).map(drop)
    }

    fn submit_array(&self, name: &str) -> Result<()> {
        let tasks = format!("tasks:\n  - name: t\n    count: {N_TASKS}\n    max_running: 4");
        self.submit(name, &tasks, "$PROFFER_TASK_INDEX")
    }

    /// How often what was started of a job, by its marks.
    fn starts(&self, job: &str) -> Result<BTreeMap<String, usize>> {
        let mut starts = BTreeMap::new();
        for entry in fs::read_dir(PathBuf::from(self.daemons.path("out")))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let [of, mark, _] = name.split(',').collect::<Vec<_>>()[..] else {
                anyhow::bail!("{name} is no file of a task");
            };
            if of == job {
                *starts.entry(mark.to_owned()).or_default() += 1;
            }
        }
        Ok(starts)
    }

    fn has_started(&self, job: &str, n: usize) -> bool {
        wait_for(PATIENCE, || {
            self.starts(job).is_ok_and(|starts| starts.len() >= n)
        })
    }

    /// Waits for the end of an array, of which each task must have run once.
    fn ran_once(&self, job: &str) -> Result<()> {
        let mut seen = Value::Null;
        let has_finished = || {
            if let Ok(now) = self.json(&["job", "status", job]) {
                seen = now;
            }
            seen["state"] == "finished"
        };
        ensure!(wait_for(PATIENCE, has_finished), "{job} does not finish: {seen}");
        let starts = self.starts(job)?;
        let is_whole = starts.len() == N_TASKS && starts.values().all(|n| *n == 1);
        ensure!(is_whole, "{job} has not run once: {starts:?}");
        Ok(())
    }

    /// The id of the only framework there is.
    fn id(&self) -> Result<String> {
        let listed = self.json(&["frameworks"])?;
        ensure!(listed.as_array().is_some_and(|all| all.len() == 1), "{listed}");
        Ok(listed[0]["framework_id"].as_str().context("no id")?.to_owned())
    }

    fn is_served(&self) -> bool {
        self.ok(&["job", "list"]).is_ok()
    }
}

#[test]
fn kill_9_of_the_leader_loses_no_task_and_repeats_none_and_the_other_one_serves() -> Result<()> {
    if skipped() || no_etcd() {
        return Ok(());
    }
    let mut cluster = Frameworks::start(&[])?;
    let id = cluster.id()?;
    cluster.submit_array("array")?;
    let every = "schedule:\n  every: 2s\ntasks:\n  - name: t";
    cluster.submit("again", every, "$PROFFER_WINDOW")?;
    assert!(cluster.has_started("array", 3) && cluster.has_started("again", 1));
    let [first, second] = cluster.roles()?;
    // Who stands by looks every second, and may have looked before anybody led.
    let names_leader = || {
        let log = cluster.daemons.log(second);
        log.contains("leader=") && log.contains("pid")
    };
    let log = || cluster.daemons.log(second);
    assert!(wait_for(PATIENCE, names_leader), "it names no leader: {}", log());

    cluster.daemons.kill_9(first)?;
    let killed = Instant::now();
    assert!(wait_for(PATIENCE, || cluster.leads(second)), "nobody leads");
    assert!(wait_for(PATIENCE, || cluster.is_served()), "nobody serves");
    // The lease, and what a busy machine takes.
    assert!(killed.elapsed() < LEASE * 4, "{:?}", killed.elapsed());
    assert!(
        cluster.starts("array")?.len() < N_TASKS,
        "the array has ended too early"
    );
    let n_windows = cluster.starts("again")?.len();
    cluster.ran_once("array")?;
    assert!(
        cluster.has_started("again", n_windows + 3),
        "it is not due any more"
    );
    let windows = cluster.starts("again")?;
    assert!(windows.values().all(|n| *n == 1), "{windows:?}");
    assert_eq!(cluster.id()?, id);
    Ok(())
}

#[test]
fn a_leader_that_hung_finds_the_lead_lost_and_does_no_harm() -> Result<()> {
    if skipped() || no_etcd() {
        return Ok(());
    }
    let cluster = Frameworks::start(&[])?;
    let id = cluster.id()?;
    cluster.submit_array("before")?;
    assert!(cluster.has_started("before", 3));
    let [first, second] = cluster.roles()?;
    cluster.daemons.signal(first, "STOP")?;
    assert!(wait_for(PATIENCE, || cluster.leads(second)), "nobody leads");
    assert!(wait_for(PATIENCE, || cluster.is_served()), "nobody serves");
    cluster.submit_array("meanwhile")?;
    assert!(cluster.has_started("meanwhile", 3));

    cluster.daemons.signal(first, "CONT")?;
    assert!(
        wait_for(PATIENCE, || !cluster.leads(first)),
        "the first still thinks it leads"
    );
    assert_eq!(cluster.roles()?, [second, first]);
    cluster.ran_once("before")?;
    cluster.ran_once("meanwhile")?;
    assert_eq!(cluster.id()?, id);
    Ok(())
}

#[test]
fn sigterm_of_the_leader_hands_over_at_once() -> Result<()> {
    if skipped() || no_etcd() {
        return Ok(());
    }
    // Whoever waited for the lease would wait for longer than this test does.
    let mut cluster = Frameworks::start(&["--lease", "300s"])?;
    cluster.submit_array("array")?;
    assert!(cluster.has_started("array", 3));
    let [first, second] = cluster.roles()?;
    cluster.daemons.stop(first)?;
    assert!(wait_for(PATIENCE, || cluster.leads(second)), "nobody leads");
    cluster.ran_once("array")?;

    // A framework of another kind has keys of its own, and etcd is no place for a data directory.
    let store = cluster.daemons.store();
    let args = [
        "framework",
        "service",
        "--store",
        &store,
        "--data-dir",
        "/nowhere",
    ];
    let refused = cluster.daemons.command(&cluster.master, &args).output()?;
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    let args = [
        "framework",
        "service",
        "--master",
        &cluster.master,
        "--store",
        &store,
    ];
    cluster.daemons.daemon("service", &args)?;
    let is_served = || cluster.ok(&["service", "list"]).is_ok();
    assert!(wait_for(PATIENCE, is_served), "no services beside the jobs");
    assert!(cluster.is_served());
    Ok(())
}
