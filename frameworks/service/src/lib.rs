//! The service framework's shell: its gRPC service, around the scheduler of `proffer-service-core`.
//!
//! An ordinary client of the SDK: it serves `proffer.v1.Services` on an address of its own and advertises it, so
//! that clients reach it through the master's port. A change is stored before it is answered. `proffer.v1.Discovery`, there too,
//! tells edges what they serve, and `proffer.v1.Configs` tells agents what their tasks are configured with.

mod api;
mod configs;
mod convert;
mod discovery;
mod hub;
mod measure;
mod status;

use std::net::SocketAddr;
use std::sync::Arc;

use proffer_grpc::v1::configs_server::{self, ConfigsServer};
use proffer_grpc::v1::discovery_server::{self, DiscoveryServer};
use proffer_grpc::v1::services_server::{self, ServicesServer};
use proffer_sdk::store::Store;
use proffer_sdk::{CancellationToken, DaemonConfig, DaemonError, Handle, serve};
pub use proffer_service_core::Pool;
use proffer_service_core::{Key, Services};
use tokio::sync::watch;
use tonic::service::Routes;

use crate::api::Api;
use crate::configs::Configs;
use crate::discovery::Discovery;
use crate::hub::Hub;

/// What is told to this framework alone.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The addresses of virtual services.
    pub addresses: Pool,
    /// Where `/metrics` and `/healthz` are; absent means nowhere.
    pub status_listen: Option<SocketAddr>,
}

/// Runs the service framework until `shutdown`. The store must be its own, and may be shared by several processes of it that
/// stand in an election.
pub async fn run(
    config: DaemonConfig,
    settings: Settings,
    store: Arc<dyn Store>,
    shutdown: CancellationToken,
) -> Result<(), DaemonError> {
    let masters = config.masters.clone();
    let (latest, known) = watch::channel(None);
    let ended = shutdown.child_token();
    let _ends_with_this = ended.clone().drop_guard();
    if let Some(address) = settings.status_listen {
        tokio::spawn(status::serve(address, known, ended).await?);
    }
    let api = |handle: Handle<Services>| {
        latest.send_replace(Some(handle.clone()));
        measure::start(&handle, &masters);
        let discovery = Discovery::new(handle.clone(), Hub::follow(handle.clone()));
        let configs = Configs::new(handle.clone());
        Routes::new(ServicesServer::new(Api::new(handle)))
            .add_service(DiscoveryServer::new(discovery))
            .add_service(ConfigsServer::new(configs))
    };
    let names = [
        services_server::SERVICE_NAME,
        discovery_server::SERVICE_NAME,
        configs_server::SERVICE_NAME,
    ];
    let scheduler = || Services::new(settings.addresses, Key::new(rand::random()));
    // The scheduler lies in the future; callers need not carry it about.
    Box::pin(serve(config, store, scheduler, &names, api, shutdown)).await
}
