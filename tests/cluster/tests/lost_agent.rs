//! A host with replicas of a service is cut off while the service is asked: no request fails, and the replicas run elsewhere.
//!
//! Each host is a network namespace; the edge is on that of the master, the clients at the switch.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::lan::{Cut, Lan, SWITCH};
use proffer_cluster_tests::web::{self, Load};
use proffer_cluster_tests::{built_binary, signal, skipped, text, wait_for};
use serde_json::Value;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const HEAD: &str = "10.78.0.1";
const AGENTS: [&str; 2] = ["10.78.0.11", "10.78.0.12"];
/// The service, on every host with an edge.
const PORT: u16 = 8080;

struct Hosts {
    lan: Lan,
    binary: PathBuf,
    children: Vec<Child>,
    dir: tempfile::TempDir,
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // Agents end their tasks when they are asked to stop, and only then.
        for child in self.children.iter_mut().rev() {
            let _ = signal(child.id(), "TERM");
            if !wait_for(PATIENCE, || matches!(child.try_wait(), Ok(Some(_)))) {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

impl Hosts {
    fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("proffer-lost-").tempdir()?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let all: Vec<_> = [HEAD].into_iter().chain(AGENTS).collect();
        let mut hosts = Self {
            lan: Lan::new(dir.path().join("hosts"), &all)?,
            binary: built_binary()?,
            children: Vec::new(),
            dir,
        };
        let master = format!("{HEAD}:5050");
        let listen = |host: &str, port: u16| {
            vec![
                "--insecure-listen".to_owned(),
                "--listen".to_owned(),
                format!("{host}:{port}"),
            ]
        };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        hosts.daemon(
            HEAD,
            "master",
            [words("master --heartbeat-interval 1s"), listen(HEAD, 5050)].concat(),
        )?;
        let service = format!("framework service --virtual-addresses 10.213.79.0/28 --master {master}");
        hosts.daemon(HEAD, "service", [words(&service), listen(HEAD, 0)].concat())?;
        for host in AGENTS {
            let agent = format!(
                "agent --kill-tasks-on-stop --resources cpus:2;mem:512MiB;ports:[31000-31100] --master {master}"
            );
            hosts.daemon(
                host,
                &format!("agent-{host}"),
                [words(&agent), listen(host, 5051)].concat(),
            )?;
        }
        hosts.daemon(HEAD, "edge", words(&format!("edge --master {master}")))?;
        let is_whole = || {
            hosts
                .json(&["agents"])
                .is_ok_and(|agents| agents.as_array().map(Vec::len) == Some(AGENTS.len()))
        };
        ensure!(wait_for(PATIENCE, is_whole), "the agents do not come");
        Ok(hosts)
    }

    fn daemon(&mut self, host: &str, name: &str, args: Vec<String>) -> Result<()> {
        let log = File::create(self.dir.path().join(format!("{name}.log")))?;
        let mut command = self.lan.on(host, &self.binary);
        command
            .args(args)
            .stdout(log.try_clone()?)
            .stderr(log)
            .env("PROFFER_DATA_DIR", self.dir.path().join(name));
        if name == "edge" {
            command.env_remove("PROFFER_DATA_DIR");
        }
        self.children
            .push(command.spawn().with_context(|| name.to_owned())?);
        Ok(())
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        let mut command = self.lan.on(SWITCH, &self.binary);
        Ok(command
            .args(args)
            .env("PROFFER_MASTER", format!("{HEAD}:5050"))
            .output()?)
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self.run(&[args, &["-o", "json"]].concat())?;
        ensure!(output.status.success(), "{}", text(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// On how many agents replicas serve, as edges are told.
    fn served_by(&self) -> Result<Vec<String>> {
        let view = self.json(&["service", "endpoints", "far"])?;
        let endpoints = view["endpoints"].as_array().cloned().unwrap_or_default();
        let addresses = endpoints
            .iter()
            .filter_map(|endpoint| endpoint["address"].as_str());
        Ok(addresses.map(str::to_owned).collect())
    }

    fn logs(&self) -> String {
        let names = ["service", "edge"];
        let logs = names
            .map(|name| fs::read_to_string(self.dir.path().join(format!("{name}.log"))).unwrap_or_default());
        logs.concat()
    }
}

#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
fn is_impossible() -> bool {
    let missing = web::missing(&["ip", "nft", "nsenter", "nginx", "wrk"]);
    if let Some(missing) = missing {
        println!("skipped: there is no {missing} here");
    }
    missing.is_some() || skipped()
}

#[test]
fn no_request_fails_when_a_host_with_replicas_is_cut_off() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let hosts = Hosts::start()?;
    let file = hosts.dir.path().join("web.yaml");
    let fields = format!(
        "replicas: 4\nlost_after: 3s\nexpose: [{{ port: 80, to: http, protocol: http, publish: {PORT} }}]\n"
    );
    fs::write(&file, web::service("far", &fields, "here"))?;
    let applied = hosts.run(&["service", "apply", "-f", &file.to_string_lossy()])?;
    ensure!(applied.status.success(), "{}", text(&applied.stderr));
    let on = |host: &str| {
        hosts
            .served_by()
            .unwrap_or_default()
            .iter()
            .filter(|address| *address == host)
            .count()
    };
    let is_spread = wait_for(PATIENCE, || AGENTS.iter().all(|host| on(host) == 2));
    ensure!(is_spread, "{:?}\n{}", hosts.served_by(), hosts.logs());

    let wrk = hosts.lan.on(SWITCH, "wrk".as_ref());
    let load = Load::start(wrk, &format!("http://{HEAD}:{PORT}/"))?;
    std::thread::sleep(Duration::from_secs(3));
    hosts.lan.cut(AGENTS[1], Cut::Both)?;
    let has_moved = wait_for(PATIENCE, || on(AGENTS[0]) == 4 && on(AGENTS[1]) == 0);
    ensure!(has_moved, "{:?}\n{}", hosts.served_by(), hosts.logs());
    // What hung at the host that is gone is tried elsewhere by then.
    std::thread::sleep(Duration::from_secs(8));
    load.end().with_context(|| hosts.logs())
}
