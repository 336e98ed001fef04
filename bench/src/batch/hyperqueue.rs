//! HyperQueue, as it comes from PyPI: the Python package holds its server, its worker and its client. The server and a client are a
//! process each, in a network of their own.
//!
//! `scripts/hyperqueue.sh` puts the package into the cache. What only HyperQueue's command line has is missing: arrays (each
//! task is sent by itself) and the journal.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use serde::de::DeserializeOwned;

use super::array::Ended;
use super::enclosed::Enclosed;
use super::queued::Held;
use crate::fleet::cpu_ms_of_all;
use crate::reference::rss_mib;

const SCRIPT: &str = include_str!("hyperqueue_driver.py");

#[derive(Debug)]
pub(super) struct HyperQueue {
    // Ends before the server does.
    client: Talker,
    server: Talker,
    dir: tempfile::TempDir,
    _network: Enclosed,
}

/// A process of the script.
#[derive(Debug)]
struct Talker {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// The interpreter that has the package.
fn python() -> Result<PathBuf> {
    let cache = env::var_os("PROFFER_CACHE").context("PROFFER_CACHE is not set: run it by `make bench`")?;
    let python = Path::new(&cache).join("hyperqueue/bin/python");
    ensure!(python.exists(), "it is not installed; see scripts/hyperqueue.sh");
    Ok(python)
}

impl HyperQueue {
    /// A server with one worker of so many cores; without one, where they are none.
    pub(super) fn start(cores: u32) -> Result<Self> {
        let python = python()?;
        let network = Enclosed::new()?;
        let dir = tempfile::Builder::new().prefix("proffer-bench-").tempdir()?;
        let script = dir.path().join("hyperqueue_driver.py");
        fs::write(&script, SCRIPT)?;
        let talk = |args: &[&str]| Talker::start(&network, &python, &script, dir.path(), args);
        let mut server = talk(&["server", &cores.to_string()])?;
        let server_dir: String = server.hear()?;
        let client = talk(&["client", &server_dir])?;
        Ok(Self {
            client,
            server,
            dir,
            _network: network,
        })
    }

    pub(super) fn array(&mut self, n: u32) -> Result<Ended> {
        // The first makes everything warm.
        let _: f64 = self.client.ask("array 100")?;
        let before = self.cpu_ms()?;
        let rate = self.client.ask(&format!("array {n}"))?;
        let cpu_ms = (self.cpu_ms()? - before) / f64::from(n);
        Ok(Ended { rate, cpu_ms })
    }

    /// Milliseconds, of each of so many.
    pub(super) fn single(&mut self, program: &Path, n: usize) -> Result<Vec<f64>> {
        let out = self.dir.path().display();
        self.client
            .ask(&format!("single {} {out} {n}", program.display()))
    }

    pub(super) fn hold(&mut self, n: u32) -> Result<Held> {
        let _: Option<f64> = self.client.ask(&format!("hold {n}"))?;
        Ok(Held {
            mib: rss_mib(self.server.child.id())?,
            back_s: None,
        })
    }

    fn cpu_ms(&self) -> Result<f64> {
        cpu_ms_of_all(self.server.child.id())
    }
}

impl Talker {
    fn start(network: &Enclosed, python: &Path, script: &Path, dir: &Path, args: &[&str]) -> Result<Self> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(dir.join("log"))?;
        let mut child = network
            .command(python)
            .arg(script)
            .args(args)
            .current_dir(dir)
            // It removes nothing of what it puts there.
            .env("TMPDIR", dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("nsenter")?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    fn ask<T: DeserializeOwned>(&mut self, line: &str) -> Result<T> {
        writeln!(self.stdin, "{line}").context("HyperQueue ended")?;
        self.hear()
    }

    fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(!line.is_empty(), "HyperQueue ended");
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
