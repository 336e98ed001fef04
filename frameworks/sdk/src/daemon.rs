//! A framework as a daemon: one driver and one gRPC service of its own, ended together.
//!
//! The service listens on an address of its own and is advertised with it, so that clients reach it through the
//! master's port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use proffer_grpc::net::{ListenError, check_listen};
use proffer_session::{Scheduler, UnknownTasks};
use proffer_store::Store;
use proffer_types::framework::DEFAULT_FAILOVER_TIMEOUT;
use proffer_types::{AdvertisedService, FrameworkId};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tracing::{info, warn};

use crate::{Config, Driver, Handle, RunError};

/// What a daemon is told at its start.
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    /// `host:port` of each master, tried in turn.
    pub masters: Vec<String>,
    /// Where the master reaches the service; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Allows a `listen` that is not a loopback address.
    pub insecure_listen: bool,
    /// The framework's name.
    pub name: String,
    /// How long tasks outlive this daemon.
    pub failover_timeout: Duration,
    /// The id to take over, as in [`Config`].
    pub adopt: Option<FrameworkId>,
    /// What becomes of tasks without a record, as in [`Config`].
    pub unknown_tasks: UnknownTasks,
}

impl DaemonConfig {
    /// A free loopback port, and tasks that outlive the daemon for a week.
    #[must_use]
    pub fn new(masters: Vec<String>, name: &str) -> Self {
        Self {
            masters,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            insecure_listen: false,
            name: name.to_owned(),
            failover_timeout: DEFAULT_FAILOVER_TIMEOUT,
            adopt: None,
            unknown_tasks: UnknownTasks::default(),
        }
    }
}

/// Why a daemon ended before it was asked to.
#[derive(Debug, Error)]
pub enum DaemonError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot listen on {address}: the master has to dial it, so give one address, not all")]
    Unspecified { address: SocketAddr },
    #[error("cannot listen on {address}")]
    Bind {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("the gRPC server failed")]
    Serve(#[from] tonic::transport::Error),
    #[error(transparent)]
    Driver(#[from] RunError),
}

/// Runs a scheduler, and `api` over its handle under the gRPC name `service`, until `shutdown`. The store must be the
/// framework's own.
pub async fn serve<S: Scheduler + 'static>(
    config: DaemonConfig,
    store: Arc<dyn Store>,
    scheduler: S,
    service: &str,
    api: impl FnOnce(Handle<S>) -> Routes,
    shutdown: CancellationToken,
) -> Result<(), DaemonError> {
    let listener = bind(&config).await?;
    let address = listener.local_addr().map_err(|source| DaemonError::Bind {
        address: config.listen,
        source,
    })?;
    info!(%address, name = config.name, "framework listening");
    let driver = Driver::new(driver_config(config, service, address), store, scheduler);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status(service, ServingStatus::Serving).await;
    let server = Server::builder()
        .add_routes(api(driver.handle()).add_service(health_service))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    // Calls still open when the driver has ended could not be answered any more.
    tokio::select! {
        ended = driver.run(shutdown) => Ok(ended.map(drop)?),
        served = server => Ok(served?),
    }
}

async fn bind(config: &DaemonConfig) -> Result<TcpListener, DaemonError> {
    let address = config.listen;
    check_listen(address, config.insecure_listen)?;
    if address.ip().is_unspecified() {
        return Err(DaemonError::Unspecified { address });
    }
    if !address.ip().is_loopback() {
        warn!(%address, "listening off loopback without authentication");
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| DaemonError::Bind { address, source })
}

fn driver_config(config: DaemonConfig, service: &str, address: SocketAddr) -> Config {
    let mut driver = Config::new(config.masters, config.name);
    driver.info.failover_timeout = config.failover_timeout;
    driver.adopt = config.adopt;
    driver.unknown_tasks = config.unknown_tasks;
    driver.info.services = vec![AdvertisedService {
        name: service.to_owned(),
        address: address.to_string(),
    }];
    driver
}
