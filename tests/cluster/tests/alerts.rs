//! The alert rules that are shipped: what they say of made-up samples, and that each fires in a real cluster that gives cause.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::web::{free_port, missing};
use proffer_cluster_tests::{Cluster, get, signal, skipped, text, wait_for};
use serde_json::Value;

/// How long a change may take to settle on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// In which whatever fires without cause would.
const QUIET: Duration = Duration::from_secs(5);

const ALERTS: [&str; 5] = [
    "ProfferAgentLost",
    "ProfferDeploymentFailed",
    "ProfferPendingTooLong",
    "ProfferQuotaFull",
    "ProfferServiceCrashLoop",
];

fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/alerts")
}

/// Whether the programs of Debian's `prometheus` are not there; says so.
#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
fn is_without_prometheus() -> bool {
    let missing = missing(&["prometheus", "promtool"]);
    if let Some(program) = missing {
        println!("skipped: there is no {program}");
    }
    missing.is_some()
}

#[test]
fn the_rules_are_well_formed_and_fire_for_what_they_watch_and_nothing_else() -> Result<()> {
    if is_without_prometheus() {
        return Ok(());
    }
    for (what, file) in [("check", "proffer.rules.yaml"), ("test", "proffer.test.yaml")] {
        let output = Command::new("promtool")
            .args([what, "rules", file])
            .current_dir(rules())
            .output()?;
        let said = text(&output.stdout) + &text(&output.stderr);
        ensure!(output.status.success(), "{said}");
    }
    Ok(())
}

/// A server of Prometheus, ended with the test.
struct Prometheus {
    process: Child,
    address: String,
}

impl Prometheus {
    /// Scrapes the targets each second, and goes by the rules that are shipped but for their patience.
    fn start(dir: &Path, targets: [&str; 2]) -> Result<Self> {
        let shipped = fs::read_to_string(rules().join("proffer.rules.yaml"))?;
        let lines = shipped
            .replace("_waiting_seconds > 900", "_waiting_seconds > 2")
            .lines()
            .map(|line| match line.trim_start().starts_with("for:") {
                true => "        for: 2s".to_owned(),
                false => line.to_owned(),
            })
            .collect::<Vec<_>>();
        fs::write(dir.join("rules.yaml"), lines.join("\n"))?;
        let [master, services] = targets;
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yaml]\nscrape_configs:\n  - job_name: \
             proffer\n    static_configs: [{{ targets: ['{master}', '{services}'] }}]\n"
        );
        fs::write(dir.join("prometheus.yaml"), config)?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let log = fs::File::create(dir.join("prometheus.log"))?;
        let process = Command::new("prometheus")
            .current_dir(dir)
            .arg("--config.file=prometheus.yaml")
            .arg("--storage.tsdb.path=tsdb")
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start prometheus")?;
        Ok(Self { process, address })
    }

    fn ask(&self, path: &str) -> Result<Value> {
        let (_, body) = get(&self.address, path)?;
        // A long answer comes in chunks; the lines between them are no JSON.
        let json: String = body.lines().filter(|line| line.starts_with('{')).collect();
        let answer: Value = serde_json::from_str(&json).with_context(|| body.clone())?;
        Ok(answer["data"].clone())
    }

    /// Whether it has read both targets.
    fn is_up(&self) -> bool {
        let Ok(up) = self.ask("/api/v1/query?query=sum(up)") else {
            return false;
        };
        up["result"][0]["value"][1] == "2"
    }

    /// The alerts that fire, with the value of that label each.
    fn firing(&self, label: &str) -> Result<Vec<(String, String)>> {
        let told = self.ask("/api/v1/alerts")?;
        let alerts = told["alerts"].as_array().context("no alerts")?;
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut firing: Vec<_> = firing
            .map(|alert| (word(&alert["labels"]["alertname"]), word(&alert["labels"][label])))
            .collect();
        firing.sort();
        Ok(firing)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn each_alert_fires_by_what_the_daemons_say_of_a_cluster_in_trouble() -> Result<()> {
    if skipped() || is_without_prometheus() {
        return Ok(());
    }
    let status = format!("127.0.0.1:{}", free_port()?);
    let cluster = Cluster::start_with_env(&[("PROFFER_STATUS_LISTEN", &status), ("PROFFER_AGENTS", "2")])?;
    let dir = cluster.scratch().join("prometheus");
    fs::create_dir_all(&dir)?;
    let prometheus = Prometheus::start(&dir, [&cluster.master()?, &status])?;
    let log = || fs::read_to_string(dir.join("prometheus.log")).unwrap_or_default();
    ensure!(wait_for(PATIENCE, || prometheus.is_up()), "{}", log());
    let health = get(&status, "/healthz")?;
    ensure!(health.1 == "ok\n", "{health:?}");

    let well = "name: well\nupdate: { min_healthy_time: 1s }\ntask: { cpus: 0.1, mem: 16MiB, command: [sleep, '5000'] }\n";
    let crashing = "name: crashing.shop\ntask: { cpus: 0.1, mem: 16MiB, command: ['false'] }\n";
    let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], well)?;
    ensure!(applied.status.success(), "{}", text(&applied.stderr));
    let is_well = || {
        let service = cluster.json(&["service", "status", "well"]);
        service.is_ok_and(|service| service["replicas"][0]["available"] == true)
    };
    ensure!(
        wait_for(PATIENCE, is_well),
        "{}",
        cluster.ok(&["service", "status", "well"])?
    );
    std::thread::sleep(QUIET);
    let fires_nothing = || prometheus.firing("service").is_ok_and(|firing| firing.is_empty());
    ensure!(
        wait_for(PATIENCE, fires_nothing),
        "of a cluster that is well: {:?}",
        prometheus.firing("service")?
    );

    // One task of the job takes what the role may have, the other waits.
    cluster.ok(&["role", "set", "ads", "--limit", "cpus:0.2"])?;
    let job = "name: ads\nrole: ads\ntasks:\n  - { name: t, count: 2, cpus: 0.2, mem: 16MiB, command: [sleep, '5000'] }\n";
    let submitted = cluster.run_with_input(&["job", "submit", "-"], job)?;
    ensure!(submitted.status.success(), "{}", text(&submitted.stderr));
    let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], crashing)?;
    ensure!(applied.status.success(), "{}", text(&applied.stderr));
    let agent = cluster.pid("agent-2")?;
    signal(agent, "STOP")?;
    let fires_all = || {
        let firing = prometheus.firing("alertname").unwrap_or_default();
        let names: BTreeSet<_> = firing.iter().map(|(name, _)| name.as_str()).collect();
        names.into_iter().eq(ALERTS)
    };
    let fired = wait_for(PATIENCE, fires_all);
    signal(agent, "CONT")?;
    ensure!(fired, "{:?}\n{}", prometheus.firing("role")?, log());
    let of = |label| prometheus.firing(label);
    let has = |firing: &[(String, String)], name: &str, value: &str| {
        firing.iter().any(|(alert, of)| alert == name && of == value)
    };
    let (roles, services) = (of("role")?, of("service")?);
    ensure!(
        has(&roles, "ProfferQuotaFull", "ads") && has(&roles, "ProfferPendingTooLong", "ads"),
        "{roles:?}"
    );
    ensure!(
        has(&services, "ProfferServiceCrashLoop", "crashing")
            && !has(&services, "ProfferServiceCrashLoop", "well"),
        "{services:?}"
    );

    // What is cured fires no more.
    let is_cured = || {
        let firing = prometheus.firing("alertname").unwrap_or_default();
        !firing.is_empty() && firing.iter().all(|(name, _)| name != "ProfferAgentLost")
    };
    ensure!(
        wait_for(PATIENCE, is_cured),
        "{:?}",
        prometheus.firing("alertname")?
    );
    Ok(())
}
