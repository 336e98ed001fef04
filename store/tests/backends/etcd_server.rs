//! A real etcd on loopback for one test.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use proffer_store::EtcdAddress;

static N_SERVERS: AtomicU8 = AtomicU8::new(64);
const PORT: u16 = 2379;

/// A server that ends with the test.
pub(crate) struct EtcdServer {
    child: Child,
    host: String,
    n_prefixes: AtomicU32,
    _directory: tempfile::TempDir,
}

#[expect(clippy::unwrap_used, reason = "a test ends by panicking")]
#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
impl EtcdServer {
    /// `None`, said aloud, where there is no etcd.
    pub(crate) fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        // An address of loopback's that only one server of one process has: a port that is free now may be anybody's a
        // moment later.
        let n = N_SERVERS.fetch_add(1, Ordering::Relaxed);
        let [.., high, low] = std::process::id().to_be_bytes();
        let host = format!("127.{n}.{high}.{low}");
        let (client, peer) = (format!("http://{host}:{PORT}"), format!("http://{host}:2380"));
        let spawned = Command::new("etcd")
            .args(["--name", "test", "--log-level", "error", "--data-dir"])
            .arg(directory.path())
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &format!("test={peer}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = spawned else {
            println!("skipped: there is no etcd here");
            return None;
        };
        let server = Self {
            child,
            host,
            n_prefixes: AtomicU32::new(0),
            _directory: directory,
        };
        server.wait();
        Some(server)
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.health().is_none_or(|answer| !answer.contains("\"true\"")) {
            assert!(Instant::now() < deadline, "etcd does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn health(&self) -> Option<String> {
        self.get("/health")
    }

    /// How many calls of a method it has answered.
    pub(crate) fn n_calls(&self, method: &str) -> u64 {
        let metrics = self.get("/metrics").unwrap();
        let of_method = metrics
            .lines()
            .filter(|line| line.starts_with("grpc_server_handled_total"))
            .filter(|line| line.contains("grpc_code=\"OK\"") && line.contains(&format!("\"{method}\"")));
        let counts = of_method.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        counts.sum()
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect((self.host.as_str(), PORT)).ok()?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.host
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// An empty store in it.
    pub(crate) fn new_prefix(&self) -> EtcdAddress {
        let n = self.n_prefixes.fetch_add(1, Ordering::Relaxed);
        format!("etcd://{}:{PORT}/test/{n}", self.host).parse().unwrap()
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
