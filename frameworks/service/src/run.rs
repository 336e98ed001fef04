//! The service framework as a daemon: one driver, one gRPC server, ended together.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use proffer_sdk::store::Store;
use proffer_sdk::{CancellationToken, Driver};
use proffer_service_core::Services;
use proffer_types::AdvertisedService;
use proffer_types::framework::DEFAULT_FAILOVER_TIMEOUT;
use proffer_wire::net::{ListenError, check_listen};
use proffer_wire::v1::services_server::{SERVICE_NAME, ServicesServer};
use thiserror::Error;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tracing::{info, warn};

use crate::api::Api;

/// What the daemon is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// `host:port` of each master, tried in turn.
    pub masters: Vec<String>,
    /// Where the master reaches the API; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Allows a `listen` that is not a loopback address.
    pub insecure_listen: bool,
    pub name: String,
    /// How long replicas outlive this daemon.
    pub failover_timeout: Duration,
}

impl Config {
    /// A free loopback port, replicas that outlive the daemon for a week.
    #[must_use]
    pub fn new(masters: Vec<String>) -> Self {
        Self {
            masters,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            insecure_listen: false,
            name: "service".to_owned(),
            failover_timeout: DEFAULT_FAILOVER_TIMEOUT,
        }
    }
}

/// Why the daemon ended before it was asked to.
#[derive(Debug, Error)]
pub enum RunError {
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
    Driver(#[from] proffer_sdk::RunError),
}

/// Runs the service framework until `shutdown`. The store must be its own.
pub async fn run(config: Config, store: Arc<dyn Store>, shutdown: CancellationToken) -> Result<(), RunError> {
    let listener = bind(&config).await?;
    let address = listener.local_addr().map_err(|source| RunError::Bind {
        address: config.listen,
        source,
    })?;
    info!(%address, "service framework listening");
    let driver = Driver::new(driver_config(config, address), store, Services::new());
    let api = ServicesServer::new(Api::new(driver.handle()));
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<ServicesServer<Api>>().await;
    let server = Server::builder()
        .add_service(health_service)
        .add_service(api)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    // Calls still open when the driver has ended could not be answered any more.
    tokio::select! {
        ended = driver.run(shutdown) => Ok(ended.map(drop)?),
        served = server => Ok(served?),
    }
}

async fn bind(config: &Config) -> Result<TcpListener, RunError> {
    let address = config.listen;
    check_listen(address, config.insecure_listen)?;
    if address.ip().is_unspecified() {
        return Err(RunError::Unspecified { address });
    }
    if !address.ip().is_loopback() {
        warn!(%address, "listening off loopback without authentication");
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Bind { address, source })
}

fn driver_config(config: Config, address: SocketAddr) -> proffer_sdk::Config {
    let mut driver = proffer_sdk::Config::new(config.masters, config.name);
    driver.info.failover_timeout = config.failover_timeout;
    driver.info.services = vec![AdvertisedService {
        name: SERVICE_NAME.to_owned(),
        address: address.to_string(),
    }];
    driver
}
