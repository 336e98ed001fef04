//! A real etcd on loopback for one test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use proffer_store::EtcdAddress;

/// A server that ends with the test.
pub(crate) struct EtcdServer {
    child: Child,
    port: u16,
    n_prefixes: AtomicU32,
    _directory: tempfile::TempDir,
}

#[expect(clippy::unwrap_used, reason = "a test ends by panicking")]
impl EtcdServer {
    /// `None`, said aloud, where there is no etcd.
    pub(crate) fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let free_port = || {
            TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port()
        };
        let (port, peer) = (free_port(), free_port());
        let (client, peer) = (
            format!("http://127.0.0.1:{port}"),
            format!("http://127.0.0.1:{peer}"),
        );
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
            // Shown by the test runner when it is asked for all output.
            eprintln!("skipped: there is no etcd here");
            return None;
        };
        let server = Self {
            child,
            port,
            n_prefixes: AtomicU32::new(0),
            _directory: directory,
        };
        server.wait();
        Some(server)
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "etcd does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// An empty store in it.
    pub(crate) fn new_prefix(&self) -> EtcdAddress {
        let n = self.n_prefixes.fetch_add(1, Ordering::Relaxed);
        format!("etcd://127.0.0.1:{}/test/{n}", self.port)
            .parse()
            .unwrap()
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
