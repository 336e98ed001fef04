//! Programs that are started beside the cluster, and ended with what holds them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail, ensure};
use proffer_cluster_tests::web::{free_port, nginx};
use proffer_cluster_tests::{Cluster, signal, wait_for};
use tempfile::TempDir;

/// How long anything may take to answer at first.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(2);

/// A process that ends with this.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    // Removed after the process has ended.
    _dir: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        // nginx ends its workers when it is asked to; it may have ended by itself.
        let _ = signal(self.child.id(), "TERM");
        let has_ended = wait_for(Duration::from_secs(5), || {
            matches!(self.child.try_wait(), Ok(Some(_)))
        });
        if !has_ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Running {
    /// Starts a program with its configuration in a directory of its own.
    pub(super) fn start(program: &str, args: &[&str], config: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("conf"), config)?;
        let child = Command::new(program)
            .args(args)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(fs::File::create(dir.path().join("out"))?)
            .stderr(fs::File::create(dir.path().join("err"))?)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self { child, _dir: dir })
    }

    /// nginx with that server, as one process.
    pub(super) fn nginx(server: &str) -> Result<Self> {
        Self::nginx_of(nginx(server))
    }

    /// nginx with that server, with a worker for each processor, as Debian sets it.
    pub(super) fn nginx_with_workers(server: &str) -> Result<Self> {
        let config = nginx(server);
        Self::nginx_of(config.replace("master_process off;", "worker_processes auto; user root;"))
    }

    fn nginx_of(config: String) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("conf"), config)?;
        let conf = dir.path().join("conf");
        let child = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(dir.path())
            .arg("-c")
            .arg(conf)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("err"))?)
            .spawn()
            .context("cannot start nginx")?;
        Ok(Self { child, _dir: dir })
    }
}

/// `proffer edge` as a plain process.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) dns: u16,
    _running: Running,
}

impl Edge {
    pub(super) fn new(binary: &Path, cluster: &Cluster) -> Result<Self> {
        let dns = free_port()?;
        let (master, listen) = (cluster.master()?, format!("127.0.0.1:{dns}"));
        let binary = binary.to_str().context("the binary's path is not UTF-8")?;
        let binary = fs::canonicalize(binary)?.display().to_string();
        let args = [
            "edge",
            "--master",
            &master,
            "--dns-listen",
            &listen,
            "--drain",
            "1s",
        ];
        let running = Running::start(&binary, &args, "")?;
        Ok(Self {
            dns,
            _running: running,
        })
    }
}

/// The body of an answer; none when it is not 200.
pub(super) fn get(port: u16) -> Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: bench\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.split(' ').nth(1) == Some("200"), "{head}");
    Ok(body.to_owned())
}

/// Seconds until a port answers with that.
pub(super) fn until_answers(port: u16, is_good: impl Fn(&str) -> bool) -> Result<f64> {
    let start = Instant::now();
    let mut last = None;
    while start.elapsed() < PATIENCE {
        match get(port) {
            Ok(body) if is_good(&body) => return Ok(start.elapsed().as_secs_f64()),
            Ok(body) => last = Some(body),
            Err(error) => last = Some(format!("{error:#}")),
        }
        thread::sleep(LOOK);
    }
    bail!("no answer within {PATIENCE:?}: {last:?}")
}
