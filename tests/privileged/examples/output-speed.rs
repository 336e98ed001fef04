//! How fast output goes through pid 1 to its files, beside a file that the task writes itself; and what pid 1 weighs.
//!
//! `cargo run --release -p proffer-privileged-tests --example output-speed`
#![expect(clippy::print_stdout, reason = "its output is the figures")]

use std::fs;

use anyhow::{Context, Result};
use proffer_container::Logs;
use proffer_privileged_tests::{Host, eventually, on_host};
use proffer_types::{Limit, Limits};

const ROUNDS: usize = 5;

fn main() -> Result<()> {
    on_host(|host| {
        let (mut piped, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            piped.push(micros(host, "yes | head -c 1G")?);
            plain.push(micros(host, "yes | head -c 1G > file; rm file")?);
        }
        piped.sort_unstable();
        plain.sort_unstable();
        let (piped, plain) = (piped[ROUNDS / 2], plain[ROUNDS / 2]);
        println!("1 GiB through pid 1, rotated: {piped} us; to a file of the task's: {plain} us");
        println!(
            "per cent of the plain file's time: {}",
            piped * 100 / plain.max(1)
        );
        let container = host.launch(&host.config("weighed", &["sleep", "1000"]))?;
        let smaps = fs::read_to_string(format!("/proc/{}/smaps_rollup", container.launched.pid))?;
        let counted = |line: &&str| line.starts_with("Pss:") || line.starts_with("Private_Dirty:");
        smaps
            .lines()
            .filter(counted)
            .for_each(|line| println!("pid 1 alone: {line}"));
        host.containerizer.destroy(&container.id)?;
        Ok(())
    })
}

/// How long a script runs, by its exit record.
fn micros(host: &Host, script: &str) -> Result<u64> {
    let mut config = host.config("speed", &["sh", "-c", script]);
    config.limits = Limits {
        cpus: Some(Limit::Infinite),
        mem: Some(Limit::Infinite),
    };
    config.logs = Logs {
        max_bytes: 10 << 20,
        files: 5,
    };
    let container = host.launch(&config)?;
    let record = eventually("the end", || {
        Ok(host.containerizer.exit_record(&config.files.exit)?)
    })?;
    host.containerizer.destroy(&container.id)?;
    fs::remove_dir_all(&container.dir).context("its files")?;
    Ok(record.wall_time_us)
}
