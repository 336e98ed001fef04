//! The edge: DNS and a balancer for the services of a cluster, one process a host.
//!
//! It knows what `proffer.v1.Discovery` tells it, and serves that on while there is nobody to tell it anything. What it
//! decides is in `proffer-edge-core`; here are its sockets.

mod addresses;
mod clock;
mod dns;
mod error;
mod listeners;
mod nft;
mod policy;
mod probe;
mod proxy;
mod report;
mod route;
mod sockets;
mod state;
mod status;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proffer_types::discovery::PortProtocol;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

pub use self::error::EdgeError;
use self::proxy::Proxy;
use self::state::Shared;

/// What an edge is started with.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// Addresses of the masters, `host:port`.
    pub masters: Vec<String>,
    /// What the masters' people call it.
    pub name: String,
    /// Where it answers DNS, by UDP and TCP.
    pub dns_listen: Vec<SocketAddr>,
    /// Who is asked for names outside of our zone; nobody, where there is none.
    pub upstreams: Vec<SocketAddr>,
    /// Where it serves `/metrics` and `/healthz`.
    pub status_listen: Option<SocketAddr>,
    /// How long what is under way at the end may take.
    pub drain: Duration,
}

/// Runs an edge until `shutdown`; then it listens no more, and ends with what is under way, at the latest after
/// [`EdgeConfig::drain`].
pub async fn run(config: EdgeConfig, shutdown: CancellationToken) -> Result<(), EdgeError> {
    let masters = watch::masters(&config.masters)?;
    let shared = Arc::new(Shared::new());
    let tasks = TaskTracker::new();
    // The status outlives the end of serving: draining is seen there.
    let ended = CancellationToken::new();
    if let Some(address) = config.status_listen {
        let served = status::serve(Arc::clone(&shared), address, shutdown.clone(), ended.clone());
        tasks.spawn(served.await?);
    }
    let proxy = Proxy::new();
    let addresses = Arc::new(addresses::Addresses);
    let upstreams: Arc<[SocketAddr]> = config.upstreams.into();
    for address in config.dns_listen {
        let upstreams = Arc::clone(&upstreams);
        tasks.spawn(dns::run(
            Arc::clone(&shared),
            address,
            upstreams,
            shutdown.clone(),
        ));
    }
    tasks.spawn(probe::run(Arc::clone(&shared), shutdown.clone()));
    tasks.spawn(policy::run(Arc::clone(&shared), shutdown.clone()));
    // Reports go on while what is under way ends.
    tasks.spawn(watch::run(
        Arc::clone(&shared),
        masters,
        config.name,
        ended.clone(),
    ));
    let listeners = listeners::run(
        Arc::clone(&shared),
        proxy.clone(),
        Arc::clone(&addresses),
        shutdown.clone(),
    );
    listeners.await;

    proxy.tasks.close();
    info!(under_way = proxy.tasks.len(), "ending");
    if timeout(config.drain, proxy.tasks.wait()).await.is_err() {
        warn!(cut_off = proxy.tasks.len(), "not everything ended in time");
    }
    ended.cancel();
    addresses.tidy(&std::collections::BTreeSet::new()).await;
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// A port's protocol as metrics name it.
fn protocol_name(protocol: PortProtocol) -> &'static str {
    match protocol {
        PortProtocol::Tcp => "tcp",
        PortProtocol::Udp => "udp",
        PortProtocol::Http => "http",
    }
}
