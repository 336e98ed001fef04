//! How soon a new service answers through the balancer, and how soon a killed replica is replaced.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use proffer_cluster_tests::web::{self, free_port, nginx};
use proffer_cluster_tests::{Cluster, signal, text, wait_for};

use super::row;
use super::servers::{PATIENCE, Running, until_answers};
use crate::report::Report;

/// Who ends sooner is taken to fail quickly, and has to pause before the next start.
const STEADY: Duration = proffer_service_core::STEADY;
/// How often each is measured; the middle one counts.
const ROUNDS: usize = 5;
/// Seconds.
const AIM_S: f64 = 1.0;

pub(super) fn run(cluster: &Cluster, report: &mut Report) -> Result<()> {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    let (mut by_hand, mut by_loop) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let name = format!("web{round}");
        let port = free_port()?;
        let spec = exposed(&name, port);
        let start = Instant::now();
        let applied = cluster.run_with_input(&["service", "apply", "-f", "-"], &spec)?;
        ensure!(applied.status.success(), "{}", text(&applied.stderr));
        until_answers(port, |_| true)?;
        first.push(start.elapsed().as_secs_f64());
        thread::sleep(STEADY);
        again.push(replaced(&format!("{name}.0."), port)?);
        cluster.ok(&["service", "delete", &name])?;
        by_hand.push(started_by_hand()?);
        by_loop.push(restarted_by_a_loop()?);
    }
    report.add(
        row("apply to the first 200", middle(first), "s")
            .beside("nginx started by hand", Ok(middle(by_hand)))
            .aim(AIM_S),
    )?;
    report.add(
        row(
            "killed replica to its replacement's first 200",
            middle(again),
            "s",
        )
        .beside("nginx in a shell's loop", Ok(middle(by_loop)))
        .aim(AIM_S),
    )
}

fn exposed(name: &str, port: u16) -> String {
    let fields =
        format!("expose: [{{ port: 80, to: http, protocol: http, publish: {port} }}]\nshutdown_delay: 0s\n");
    web::service(name, &fields, "$PROFFER_TASK_ID")
}

/// Seconds from SIGKILL until another task answers.
fn replaced(task: &str, port: u16) -> Result<f64> {
    let [pid] = *web::processes(task)? else {
        bail!("no nginx of {task} runs");
    };
    let before = super::servers::get(port)?;
    let start = Instant::now();
    signal(pid, "KILL")?;
    until_answers(port, |body| body != before)?;
    Ok(start.elapsed().as_secs_f64())
}

fn started_by_hand() -> Result<f64> {
    let port = free_port()?;
    let start = Instant::now();
    let _nginx = Running::nginx(&server(port))?;
    until_answers(port, |_| true)?;
    Ok(start.elapsed().as_secs_f64())
}

fn server(port: u16) -> String {
    format!("server {{ listen {port}; location / {{ return 200 x; }} }}")
}

/// A loop of the shell that starts what ended; its end is awaited with the directory it works in.
struct Loop {
    shell: Child,
    dir: tempfile::TempDir,
}

impl Drop for Loop {
    fn drop(&mut self) {
        // First the loop, so that nothing is started again.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        if let Ok(pid) = self.pid() {
            let _ = signal(pid, "KILL");
        }
    }
}

impl Loop {
    /// That of its nginx.
    fn pid(&self) -> Result<u32> {
        let text = fs::read_to_string(self.dir.path().join("nginx.pid"))?;
        text.trim().parse().context("no pid")
    }
}

fn restarted_by_a_loop() -> Result<f64> {
    let (port, dir) = (free_port()?, tempfile::tempdir()?);
    fs::write(dir.path().join("conf"), nginx(&server(port)))?;
    let shell = Command::new("sh")
        .args(["-c", "while :; do nginx -e stderr -p $PWD -c $PWD/conf; done"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let running = Loop { shell, dir };
    until_answers(port, |_| true)?;
    let pid = running.pid()?;
    let start = Instant::now();
    signal(pid, "KILL")?;
    let is_new = || running.pid().is_ok_and(|now| now != pid);
    ensure!(wait_for(PATIENCE, is_new), "the loop does not start it again");
    until_answers(port, |_| true)?;
    Ok(start.elapsed().as_secs_f64())
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
