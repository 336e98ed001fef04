//! Services behind their edge: a real web server, under real load, while everything about it changes.
//!
//! The edge is a daemon service of the cluster itself, with an image of nothing but the host's files.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use proffer_cluster_tests::web::{self, Load};
use proffer_cluster_tests::{Cluster, built_binary, signal, skipped, text, wait_for};

/// How long a change may take to settle on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Not of the default pool: other clusters may be on this machine.
const ADDRESSES: &str = "10.213.77.0/28";

/// What the whole test is about.
struct World {
    cluster: Cluster,
    /// Where the service is published.
    published: u16,
    dns: u16,
}

impl World {
    /// A cluster whose agent allows edges, and an edge on it; nothing where this machine lacks what it takes.
    fn new() -> Result<Option<Self>> {
        if skipped() || lacks() {
            return Ok(None);
        }
        let cluster = Cluster::start_with_env(&[
            ("PROFFER_VIRTUAL_ADDRESSES", ADDRESSES),
            ("PROFFER_ALLOW_CAPABILITIES", "NET_ADMIN,NET_BIND_SERVICE"),
            ("PROFFER_ALLOW_UNCONFINED", "true"),
        ])?;
        let world = Self {
            cluster,
            published: web::free_port()?,
            dns: web::free_port()?,
        };
        world.apply(&world.edge("5s")?)?;
        let is_ready = || {
            world
                .states("edge.proffer")
                .is_ok_and(|states| states == ["ready"])
        };
        ensure!(
            wait_for(PATIENCE, is_ready),
            "{:?}",
            world.cluster.run(&["service", "status", "edge.proffer"])
        );
        Ok(Some(world))
    }

    fn apply(&self, spec: &str) -> Result<()> {
        let applied = self
            .cluster
            .run_with_input(&["service", "apply", "-f", "-"], spec)?;
        ensure!(applied.status.success(), "{}", text(&applied.stderr));
        Ok(())
    }

    /// Another `drain` is another version.
    fn edge(&self, drain: &str) -> Result<String> {
        let (binary, master, dns) = (built_binary()?, self.cluster.master()?, self.dns);
        let binary = binary.display();
        Ok(format!(
            "name: edge.proffer\nmode: daemon\nupdate: {{ min_healthy_time: 1s }}\ntask:\n  cpus: 0.1\n  mem: 128MiB\n  ports: [{{ \
             name: status }}]\n  command: [sh, -c, \"exec {binary} edge --master {master} --dns-listen 127.0.0.1:{dns} --drain \
             {drain} --status-listen 127.0.0.1:$PROFFER_PORT_STATUS\"]\n  user: root\n  network: {{ mode: host }}\n  user_namespace: \
             host\n  capabilities: {{ add: [NET_ADMIN, NET_BIND_SERVICE] }}\n  kill_grace: 10s\n  readiness: {{ http: {{ port: \
             status, path: /healthz }}, interval: 200ms }}\n"
        ))
    }

    fn web(&self, name: &str, replicas: u32, version: &str) -> String {
        let port = self.published;
        let fields = format!(
            "replicas: {replicas}\nexpose: [{{ port: 80, to: http, protocol: http, publish: {port} }}]\nupdate: {{ min_healthy_time: 500ms }}\n"
        );
        web::service(name, &fields, version)
    }

    fn load(&self) -> Result<Load> {
        Load::start(
            Command::new("wrk"),
            &format!("http://127.0.0.1:{}/", self.published),
        )
    }

    /// Of the replicas that run, whether they are ready, or the version they are of.
    fn states(&self, name: &str) -> Result<Vec<String>> {
        let service = self.cluster.json(&["service", "status", name])?;
        let replicas = service["replicas"].as_array().cloned().unwrap_or_default();
        let running = replicas.iter().filter(|replica| replica["state"] == "running");
        Ok(running
            .map(|replica| {
                if replica["available"] == true {
                    "ready"
                } else {
                    "no"
                }
                .to_owned()
            })
            .collect())
    }

    fn settles_at(&self, name: &str, n: usize, version: u64) -> Result<()> {
        let is_there = || {
            let Ok(service) = self.cluster.json(&["service", "status", name]) else {
                return false;
            };
            let replicas = service["replicas"].as_array().cloned().unwrap_or_default();
            let is_good =
                |replica: &serde_json::Value| replica["available"] == true && replica["version"] == version;
            replicas.len() == n && replicas.iter().all(is_good)
        };
        let settled = wait_for(PATIENCE, is_there);
        ensure!(settled, "{}", self.cluster.ok(&["service", "status", name])?);
        Ok(())
    }

    fn get(&self, address: &str) -> Result<String> {
        let address: SocketAddr = address.parse()?;
        let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        std::io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\nHost: web\r\n\r\n")?;
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer)?;
        Ok(answer)
    }

    /// The answer to a question for a service's addresses: its code, and how many records.
    fn dns(&self, name: &str) -> Result<(u8, u16)> {
        let question = web::dns_question(name)?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.send_to(&question, ("127.0.0.1", self.dns))?;
        let mut answer = [0; 512];
        let n = socket.recv(&mut answer)?;
        ensure!(n >= 12 && answer[1] == 7, "no answer to the question");
        Ok((answer[3] & 15, u16::from_be_bytes([answer[6], answer[7]])))
    }
}

#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
fn lacks() -> bool {
    let missing = web::missing(&["nginx", "wrk"]);
    if let Some(missing) = missing {
        println!("skipped: there is no {missing}");
    }
    missing.is_some()
}

#[test]
fn no_request_fails_while_a_service_is_scaled_updated_and_killed() -> Result<()> {
    let Some(world) = World::new()? else {
        return Ok(());
    };
    let applied = Instant::now();
    world.apply(&world.web("web", 2, "one"))?;
    let published = format!("127.0.0.1:{}", world.published);
    let serves = |what: &str| {
        wait_for(PATIENCE, || {
            world.get(&published).is_ok_and(|answer| answer.ends_with(what))
        })
    };
    assert!(serves("one"), "{:?}", world.get(&published));
    let took = applied.elapsed();
    assert!(
        took < Duration::from_secs(30),
        "it took {took:?} until the first answer"
    );
    world.settles_at("web", 2, 1)?;

    // It has an address of its own, and names that lead to where it is.
    let exposed = world.cluster.json(&["service", "endpoints", "web"])?;
    let address = exposed["address"].as_str().context("it has no address")?;
    assert!(address.starts_with("10.213.77."), "{exposed}");
    let answer = world.get(&format!("{address}:80"))?;
    assert!(answer.ends_with("one"), "{answer}");
    assert_eq!(exposed["problems"], serde_json::json!([]), "{exposed}");
    assert_eq!(
        world.dns("web.service.proffer")?,
        (0, 1),
        "two replicas of one host have one address"
    );
    assert_eq!(world.dns("nobody.service.proffer")?.0, 3);

    let load = world.load()?;
    world.cluster.ok(&["service", "scale", "web", "4"])?;
    world.settles_at("web", 4, 1)?;
    world.cluster.ok(&["service", "scale", "web", "2"])?;
    world.settles_at("web", 2, 1)?;
    world.apply(&world.web("web", 2, "two"))?;
    world.settles_at("web", 2, 2)?;
    assert!(serves("two"), "{:?}", world.get(&published));
    let killed = web::processes("web.0.")?;
    let [pid] = *killed else {
        bail!("web.0 has the processes {killed:?}")
    };
    signal(pid, "KILL")?;
    let is_new = || web::processes("web.0.").is_ok_and(|now| now.len() == 1 && now != [pid]);
    assert!(wait_for(PATIENCE, is_new), "the killed replica was not replaced");
    world.settles_at("web", 2, 2)?;
    load.end()?;

    world.cluster.ok(&["service", "delete", "web"])?;
    let is_gone = || world.dns("web.service.proffer").is_ok_and(|(code, _)| code == 3);
    assert!(wait_for(PATIENCE, is_gone), "its name is still there");
    Ok(())
}

#[test]
fn an_edge_is_replaced_by_a_rolling_update_like_any_service() -> Result<()> {
    let Some(world) = World::new()? else {
        return Ok(());
    };
    world.apply(&world.web("site", 1, "one"))?;
    world.settles_at("site", 1, 1)?;
    let published = format!("127.0.0.1:{}", world.published);
    assert!(wait_for(PATIENCE, || world.get(&published).is_ok()));
    world.apply(&world.edge("6s")?)?;
    let mut n_answers = 0;
    let is_replaced = || {
        let status = world.cluster.json(&["service", "status", "edge.proffer"]);
        status.is_ok_and(|status| {
            status["deployment"]["state"] == "done"
                && status["replicas"].as_array().is_some_and(|of| of.len() == 1)
        })
    };
    let until = Instant::now() + PATIENCE;
    while !is_replaced() {
        let answer = world.get(&published)?;
        assert!(answer.ends_with("one"), "{answer}");
        n_answers += 1;
        assert!(Instant::now() < until, "the edge was not replaced");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(n_answers > 3, "it was replaced before anybody looked");
    Ok(())
}
