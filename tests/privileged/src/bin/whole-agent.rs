//! The agent's daemon, with everything a task may have: `whole-agent [--traced] MASTER DIR`, until SIGTERM.
//!
//! On SIGUSR1 it writes the bytes it has allocated to DIR/allocated. Its data is in DIR/data, its log in DIR/agent.log; tasks may have what is in DIR/open, DIR/secrets, DIR/layout and DIR/cni.

use std::alloc::System;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cap::Cap;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use proffer_agent::{Config, FilePolicy, NetworkConfig, Pool};
use proffer_privileged_tests::steps;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

fn main() -> Result<()> {
    // A test that is killed has it end its tasks.
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|first| first == "--traced").is_some() {
        steps::stop_before_each()?;
    }
    let master = args.next().context("no master")?;
    let dir = PathBuf::from(args.next().context("no directory")?);
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("agent.log"))?;
    tracing_subscriber::fmt().with_ansi(false).with_writer(log).init();
    let mut config = Config {
        resources: "cpus:2;mem:512MiB;disk:1GiB;ports:[31000-31009]".parse()?,
        devices: Pool::new(["logs=/dev/kmsg".parse()?])?,
        kill_tasks_on_stop: true,
        files: FilePolicy {
            allowed_host_paths: vec![dir.join("open")],
            allowed_fetch_paths: vec![dir.join("open")],
            secrets: Some(dir.join("secrets")),
            ..FilePolicy::default()
        },
        network: NetworkConfig {
            cni_config_dir: dir.join("cni"),
            ..NetworkConfig::default()
        },
        ..Config::new(vec![master], "127.0.0.1:0".parse()?, dir.join("data"))
    };
    config.images.local = vec![dir.clone()];
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let mut term = signal(SignalKind::terminate())?;
        let stop = shutdown.clone();
        tokio::spawn(async move {
            term.recv().await;
            stop.cancel();
        });
        let mut asked = signal(SignalKind::user_defined1())?;
        tokio::spawn(async move {
            while asked.recv().await.is_some() {
                // Whoever waits for it sees that it does not come.
                let _ = tell(&dir);
            }
        });
        proffer_agent::run(config, shutdown).await?;
        Ok(())
    })
}

fn tell(dir: &Path) -> std::io::Result<()> {
    let file = dir.join("allocated.new");
    fs::write(&file, ALLOCATOR.allocated().to_string())?;
    fs::rename(file, dir.join("allocated"))
}
