//! Requests through the edge, nginx and haproxy, to the same nginx.

use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use proffer_cluster_tests::web::free_port;
use proffer_cluster_tests::{Cluster, text};

use super::row;
use super::servers::{Running, until_answers};
use crate::report::Report;

/// Seconds of each measurement, and how often each is made; the best counts, as others disturb only downwards.
const SECONDS: u32 = 5;
const ROUNDS: usize = 3;
const CONNECTIONS: u32 = 32;
/// Of the better of the two.
const AIM: f64 = 1.5;

#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Requests a second.
    rate: f64,
    p99_ms: f64,
}

pub(super) fn run(cluster: &Cluster, report: &mut Report) -> Result<()> {
    let (upstream, edge, by_nginx, by_haproxy) = (free_port()?, free_port()?, free_port()?, free_port()?);
    let body = "x".repeat(512);
    let nginx = Running::nginx(&format!(
        "server {{ listen {upstream}; location / {{ return 200 \"{body}\"; }} }}"
    ));
    let Ok(_upstream) = nginx else {
        return report.add(row("proxy", 0.0, "requests/s").invalid("there is no nginx"));
    };
    publish(cluster, edge, upstream)?;
    let _nginx = Running::nginx_with_workers(&format!(
        "upstream u {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }} server {{ listen {by_nginx}; location / {{ \
         proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}"
    ))?;
    let haproxy = Running::start(
        "haproxy",
        &["-db", "-f", "conf"],
        &format!(
            "global\n maxconn 4000\ndefaults\n mode http\n timeout connect 2s\n timeout client 60s\n timeout server 60s\n http-reuse \
             always\nlisten l\n bind 127.0.0.1:{by_haproxy}\n server s 127.0.0.1:{upstream}\n"
        ),
    );
    let is_body = |answer: &str| answer == body;
    until_answers(edge, is_body)?;
    until_answers(by_nginx, is_body)?;
    if haproxy.is_ok() {
        until_answers(by_haproxy, is_body)?;
    }
    let (mut ours, mut nginx, mut other, mut direct) = (None, None, None, None);
    for _ in 0..ROUNDS {
        better(&mut ours, wrk(edge)?);
        better(&mut nginx, wrk(by_nginx)?);
        if haproxy.is_ok() {
            better(&mut other, wrk(by_haproxy)?);
        }
        better(&mut direct, wrk(upstream)?);
    }
    let ours = ours.context("nothing was measured")?;
    let nginx = nginx.context("nothing was measured")?;
    let missing = haproxy
        .err()
        .map_or_else(String::new, |error| format!("{error:#}"));
    let haproxy = other.ok_or_else(|| anyhow!("{missing}"));
    let best = haproxy.as_ref().map_or(nginx, |haproxy| Measured {
        rate: nginx.rate.max(haproxy.rate),
        p99_ms: nginx.p99_ms.min(haproxy.p99_ms),
    });
    let case = |what: &str| format!("proxy, {CONNECTIONS} connections, {what}");
    let of = |measured: &Result<Measured>, field: fn(&Measured) -> f64| match measured {
        Ok(measured) => Ok(field(measured)),
        Err(error) => Err(anyhow!("{error:#}")),
    };
    let rate = |measured: &Measured| measured.rate;
    let p99 = |measured: &Measured| measured.p99_ms;
    report.add(
        row(case("nginx"), nginx.rate, "requests/s").beside("no proxy", Ok(direct.map_or(0.0, |of| of.rate))),
    )?;
    report.add(row(case("edge"), ours.rate, "requests/s").beside("haproxy", of(&haproxy, rate)))?;
    report.add(
        row(case("edge"), ours.rate, "requests/s")
            .beside("the better of nginx and haproxy", Ok(best.rate))
            .aim_of_ratio(1.0 / AIM),
    )?;
    report.add(row(case("p99, edge"), ours.p99_ms, "ms").beside("haproxy", of(&haproxy, p99)))?;
    report.add(
        row(case("p99, edge"), ours.p99_ms, "ms")
            .beside("the better of nginx and haproxy", Ok(best.p99_ms))
            .aim_of_ratio(AIM),
    )
}

/// Has the edge publish a port that leads to another one of this host.
fn publish(cluster: &Cluster, port: u16, upstream: u16) -> Result<()> {
    let manifest = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: bench }}\nspec:\n  type: LoadBalancer\n  ports: [{{ name: http, port: {port}, \
         targetPort: {upstream}, appProtocol: http }}]\n---\napiVersion: v1\nkind: Endpoints\nmetadata: {{ name: bench }}\nsubsets:\n- \
         addresses: [{{ ip: 127.0.0.1 }}]\n  ports: [{{ name: http, port: {upstream} }}]\n"
    );
    let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], &manifest)?;
    ensure!(applied.status.success(), "{}", text(&applied.stderr));
    Ok(())
}

fn better(best: &mut Option<Measured>, now: Measured) {
    *best = Some(best.map_or(now, |best| Measured {
        rate: best.rate.max(now.rate),
        p99_ms: best.p99_ms.min(now.p99_ms),
    }));
}

/// Asks a port for some seconds.
fn wrk(port: u16) -> Result<Measured> {
    let output = Command::new("wrk")
        .args([
            "-t1",
            &format!("-c{CONNECTIONS}"),
            &format!("-d{SECONDS}s"),
            "--latency",
        ])
        .arg(format!("http://127.0.0.1:{port}/"))
        .output()
        .context("cannot start wrk")?;
    let told = text(&output.stdout);
    ensure!(output.status.success(), "{}", text(&output.stderr));
    ensure!(
        !told.contains("Socket errors") && !told.contains("Non-2xx"),
        "{told}"
    );
    let after = |key: &str| {
        let line = told.lines().find_map(|line| line.trim().strip_prefix(key));
        line.map(|rest| rest.trim().to_owned())
            .with_context(|| told.clone())
    };
    Ok(Measured {
        rate: after("Requests/sec:")?.parse()?,
        p99_ms: millis(&after("99%")?)?,
    })
}

/// `1.25ms`, `870.00us`, `1.01s`.
fn millis(text: &str) -> Result<f64> {
    for (unit, factor) in [("us", 1e-3), ("ms", 1.0), ("s", 1e3)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Ok(number.parse::<f64>()? * factor);
        }
    }
    Err(anyhow!("`{text}` is no time"))
}
