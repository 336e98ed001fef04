//! A framework as a daemon: one driver and one gRPC service of its own, ended together.
//!
//! The service listens on an address of its own and is advertised with it, so that clients reach it through the
//! master's port. Of several processes on one store only the one that leads listens, and is known to the master.
//!
//! `stand -> listen, begin a term, load, run --the lead or the store is lost--> stand ..`

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use proffer_grpc::net::{ListenError, check_listen};
use proffer_session::{Scheduler, UnknownTasks};
use proffer_store::{Leadership, ReadError, Standing, Store};
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
    /// Absent means that this process alone uses the store. Otherwise it stands by until it is elected, and again when it
    /// has lost the lead.
    pub election: Option<Standing>,
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
            election: None,
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

/// How often who stands by looks who leads, to say it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Before it stands again whose store failed: another process may reach it.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs a scheduler, and `api` over its handle with the gRPC services of those names, until `shutdown`. The store must be the
/// framework's own.
///
/// To have the framework highly available, run several processes with [`DaemonConfig::election`] on one store: with the
/// feature `etcd`, an etcd and a prefix of the framework's own in it.
///
/// ```ignore
/// let address: EtcdAddress = "etcd://10.0.0.7:2379,10.0.0.8:2379/mine".parse()?;
/// let election = Candidate::new(&address, Duration::from_secs(3)).await?; // of proffer_sdk::store
/// config.election = Some(Standing { election: Arc::new(election), says: "host1".to_owned() });
/// serve(config, Arc::new(Etcd::open(address).await?), Mine::new, &[SERVICE_NAME], api, shutdown).await
/// ```
///
/// One of them is elected. It alone reads the records, subscribes under the framework's id, and listens; `scheduler` and
/// `api` are called for each time it leads. When it is not certain to lead any more it says nothing further, to master or
/// clients, and what it still writes is refused by the store; then it stands again. At the `shutdown` it resigns, so that
/// another one leads at once. A scheduler needs nothing for this but records from which it recovers.
pub async fn serve<S: Scheduler + 'static>(
    config: DaemonConfig,
    store: Arc<dyn Store>,
    scheduler: impl Fn() -> S,
    services: &[&str],
    api: impl Fn(Handle<S>) -> Routes,
    shutdown: CancellationToken,
) -> Result<(), DaemonError> {
    check(&config)?;
    loop {
        let leadership = match &config.election {
            None => None,
            Some(standing) => match shutdown.run_until_cancelled(stand(standing)).await {
                Some(leadership) => Some(leadership),
                None => return Ok(()),
            },
        };
        let is_elected = leadership.is_some();
        let run = run(
            &config,
            store.clone(),
            scheduler(),
            services,
            &api,
            leadership,
            &shutdown,
        );
        match run.await {
            Err(error) if is_elected && is_passing(&error) => warn!(%error, "standing by"),
            ended => return ended,
        }
        if shutdown
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_none()
        {
            return Ok(());
        }
    }
}

/// Whether another process, or this one later, may do better.
fn is_passing(error: &DaemonError) -> bool {
    let DaemonError::Driver(error) = error else {
        return false;
    };
    matches!(
        error,
        RunError::Deposed | RunError::Term(_) | RunError::Store(ReadError::Unavailable { .. })
    )
}

/// Waits to be elected, and says meanwhile who leads.
async fn stand(standing: &Standing) -> Box<dyn Leadership> {
    let leadership = tokio::select! {
        leadership = standing.election.campaign(&standing.says) => leadership,
        never = tell(standing) => match never {},
    };
    info!(as = standing.says, "elected");
    leadership
}

async fn tell(standing: &Standing) -> Infallible {
    let mut known = None;
    loop {
        let leader = standing.election.leader().await;
        if known.as_ref() != Some(&leader) {
            info!(leader = leader.as_deref().unwrap_or("none"), "standing by");
            known = Some(leader);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Runs until the shutdown, or for as long as this process leads.
async fn run<S: Scheduler + 'static>(
    config: &DaemonConfig,
    store: Arc<dyn Store>,
    scheduler: S,
    services: &[&str],
    api: impl Fn(Handle<S>) -> Routes,
    leadership: Option<Box<dyn Leadership>>,
    shutdown: &CancellationToken,
) -> Result<(), DaemonError> {
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().map_err(|source| DaemonError::Bind {
        address: config.listen,
        source,
    })?;
    info!(%address, name = config.name, "framework listening");
    let mut driver = Driver::new(driver_config(config.clone(), services, address), store, scheduler);
    if let Some(leadership) = leadership {
        driver = driver.leading(leadership);
    }
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in services {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
    let server = Server::builder()
        .add_routes(api(driver.handle()).add_service(health_service))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    // Calls still open when the driver has ended could not be answered any more.
    tokio::select! {
        ended = driver.run(shutdown.clone()) => Ok(ended.map(drop)?),
        served = server => Ok(served?),
    }
}

/// Whether it may listen where it is to; known from the start, long before it leads.
fn check(config: &DaemonConfig) -> Result<(), DaemonError> {
    let address = config.listen;
    check_listen(address, config.insecure_listen)?;
    if address.ip().is_unspecified() {
        return Err(DaemonError::Unspecified { address });
    }
    if !address.ip().is_loopback() {
        warn!(%address, "listening off loopback without authentication");
    }
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, DaemonError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| DaemonError::Bind { address, source })
}

fn driver_config(config: DaemonConfig, services: &[&str], address: SocketAddr) -> Config {
    let mut driver = Config::new(config.masters, config.name);
    driver.info.failover_timeout = config.failover_timeout;
    driver.adopt = config.adopt;
    driver.unknown_tasks = config.unknown_tasks;
    let advertised = services.iter().map(|service| AdvertisedService {
        name: (*service).to_owned(),
        address: address.to_string(),
    });
    driver.info.services = advertised.collect();
    driver
}
