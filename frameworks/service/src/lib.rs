//! The service framework's shell: its gRPC service, around the scheduler of `proffer-service-core`.
//!
//! An ordinary client of the SDK: it serves `proffer.v1.Services` on an address of its own and advertises it, so
//! that clients reach it through the master's port. A change is stored before it is answered.

mod api;
mod convert;

use std::sync::Arc;

use proffer_grpc::v1::services_server::{SERVICE_NAME, ServicesServer};
use proffer_sdk::store::Store;
use proffer_sdk::{CancellationToken, DaemonConfig, DaemonError, serve};
use proffer_service_core::Services;
use tonic::service::Routes;

use crate::api::Api;

/// Runs the service framework until `shutdown`. The store must be its own, and may be shared by several processes of it that
/// stand in an election.
pub async fn run(
    config: DaemonConfig,
    store: Arc<dyn Store>,
    shutdown: CancellationToken,
) -> Result<(), DaemonError> {
    let api = |handle| Routes::new(ServicesServer::new(Api::new(handle)));
    // The scheduler lies in the future; callers need not carry it about.
    Box::pin(serve(config, store, Services::new, SERVICE_NAME, api, shutdown)).await
}
