//! Static addresses, which no agent watches over: checked by connecting.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use proffer_types::discovery::{PortProtocol, ServiceName};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::clock;
use crate::state::{Down, Shared};

/// The pause between two checks of an address, and how long one may take.
const EVERY: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
/// Checks under way at a time.
const MAX_UNDER_WAY: usize = 64;

/// Checks until `shutdown`.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut changes = shared.changes();
    loop {
        if shutdown.run_until_cancelled(round(&shared)).await.is_none() {
            return;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = sleep(EVERY) => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// Checks every address once. One that has several ports is there if one of them is; UDP says nothing about that.
async fn round(shared: &Shared) {
    let mut checks = Vec::new();
    for service in shared.services.load().values() {
        let ports = service.ports.iter();
        let ports: Vec<_> = ports.filter(|port| port.protocol != PortProtocol::Udp).collect();
        for endpoint in service.endpoints.iter().filter(|endpoint| endpoint.probe) {
            let numbers = ports.iter().filter_map(|port| endpoint.port(port.name.as_ref()));
            let addresses = numbers.map(|number| SocketAddr::new(endpoint.address, number.get()));
            let addresses: Vec<SocketAddr> = addresses.collect();
            if !addresses.is_empty() {
                checks.push(((service.name.clone(), endpoint.id.clone()), addresses));
            }
        }
    }
    let checked = futures::stream::iter(checks)
        .map(|(key, addresses)| async move { (key, is_there(addresses).await) })
        .buffer_unordered(MAX_UNDER_WAY);
    let found: Vec<((ServiceName, Arc<str>), bool)> = checked.collect().await;
    let before = shared.down.load_full();
    let down: Down = found
        .iter()
        .filter(|(_, is_there)| !is_there)
        .map(|(key, _)| key.clone())
        .collect();
    for (service, id) in down.symmetric_difference(&before) {
        let is_there = !down.contains(&(service.clone(), id.clone()));
        info!(%service, address = %id, is_there, "a static address");
    }
    for (key, route) in shared.routes.load().iter() {
        for ((_, id), is_there) in found.iter().filter(|((service, _), _)| *service == key.service) {
            route.with_pool(|pool| pool.probed(id, *is_there, clock::now()));
        }
    }
    if *before != down {
        shared.down.store(Arc::new(down));
    }
}

async fn is_there(addresses: Vec<SocketAddr>) -> bool {
    let distinct: BTreeSet<SocketAddr> = addresses.into_iter().collect();
    for address in distinct {
        if let Ok(Ok(_)) = timeout(TIMEOUT, TcpStream::connect(address)).await {
            return true;
        }
    }
    false
}
