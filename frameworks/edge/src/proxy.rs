//! What goes through an edge: connections, datagrams and requests.

pub(crate) mod http;
pub(crate) mod tcp;
pub(crate) mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// How long an endpoint may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long what was sent to an endpoint may stay unacknowledged by its host: then that is gone, and the connection with it
/// (TCP_USER_TIMEOUT, RFC 5482).
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);
/// Connections open at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 32_768;
/// The pause after an accept that failed for want of something, such as descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A listener ends once nothing came for so long, and at the latest after this time.
const LAST_ACCEPT: Duration = Duration::from_millis(20);
const LAST_ACCEPTS: Duration = Duration::from_millis(500);

/// What all listeners have in common.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// Everything that goes on, and is waited for at the end.
    pub(crate) tasks: TaskTracker,
    pub(crate) client: http::Client,
    room: Arc<Semaphore>,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        Self {
            tasks: TaskTracker::new(),
            client: http::Client::new(),
            room: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }
}

/// Hands every connection to `serve` until `stop`, and those that the kernel had accepted by then.
async fn accept(
    listener: TcpListener,
    proxy: &Proxy,
    stop: &CancellationToken,
    serve: impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit),
) {
    let next = async || {
        // The semaphore is never closed.
        let permit = Arc::clone(&proxy.room).acquire_owned().await.ok()?;
        match listener.accept().await {
            Ok((stream, peer)) => Some((stream, peer, permit)),
            Err(error) if is_of_the_peer(&error) => None,
            Err(error) => {
                warn!(%error, "cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    };
    let take = |accepted: Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)>| {
        // Answers are small and wanted now.
        if let Some((stream, peer, permit)) = accepted.filter(|(stream, ..)| stream.set_nodelay(true).is_ok())
        {
            serve(stream, peer, permit);
        }
    };
    while let Some(accepted) = stop.run_until_cancelled(next()).await {
        take(accepted);
    }
    let ended_at = Instant::now();
    while ended_at.elapsed() < LAST_ACCEPTS
        && let Ok(accepted) = timeout(LAST_ACCEPT, next()).await
    {
        take(accepted);
    }
}

/// A connection that was over before it was accepted.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
