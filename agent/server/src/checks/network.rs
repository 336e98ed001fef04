//! The network a check is made in: the container's own, or the host's.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use proffer_agent_core::Process;
use proffer_linux::netns;
use tokio::net::{TcpSocket, TcpStream};

const OWN: &str = "/proc/self/ns/net";

/// Where a container's ports are, seen from its own loopback interface.
#[derive(Debug, Clone)]
pub(crate) enum Network {
    /// That of the agent.
    Host,
    /// The open file keeps it from being another one's.
    Namespace(Arc<File>),
}

impl Network {
    /// The network of a container's first process; none when that has ended. Blocks, shortly.
    pub(crate) fn of(process: Process) -> Option<Self> {
        let file = File::open(format!("/proc/{}/ns/net", process.pid)).ok()?;
        // After the file was opened: while this is the process, the file was its own.
        let stat = procfs::process::Process::new(i32::try_from(process.pid).ok()?).and_then(|it| it.stat());
        if stat.ok()?.starttime != process.start_time {
            return None;
        }
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let is_own = fs::metadata(OWN).ok().map(id) == file.metadata().ok().map(id);
        Some(if is_own {
            Self::Host
        } else {
            Self::Namespace(Arc::new(file))
        })
    }

    /// Connects to a port of its loopback interface.
    pub(super) async fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let socket = match self {
            Self::Host => TcpSocket::new_v4()?,
            Self::Namespace(file) => {
                let file = Arc::clone(file);
                // Only the socket is made in there; it may be used from anywhere.
                tokio::task::spawn_blocking(move || socket_in(&file)).await??
            }
        };
        let stream = socket
            .connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn socket_in(file: &File) -> io::Result<TcpSocket> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    netns::run_in(path.as_ref(), TcpSocket::new_v4).map_err(io::Error::other)?
}
