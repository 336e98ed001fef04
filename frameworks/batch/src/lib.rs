//! The batch framework's shell: its gRPC service, around the scheduler of `proffer-batch-core`.
//!
//! An ordinary client of the SDK: it serves `proffer.v1.Jobs` on an address of its own and advertises it, so that clients
//! reach it through the master's port. A job is stored before its submission is answered.

mod api;
mod convert;
mod wall_clock;

use std::sync::Arc;

use proffer_batch_core::Batch;
pub use proffer_batch_core::MAX_JOB_BYTES;
use proffer_grpc::v1::jobs_server::{JobsServer, SERVICE_NAME};
use proffer_sdk::store::Store;
use proffer_sdk::{CancellationToken, DaemonConfig, DaemonError, Handle, serve};
use tonic::service::Routes;

use crate::api::Api;

/// Runs the batch framework until `shutdown`. The store must be its own, and may be shared by several processes of it that
/// stand in an election.
pub async fn run(
    config: DaemonConfig,
    store: Arc<dyn Store>,
    shutdown: CancellationToken,
) -> Result<(), DaemonError> {
    let api = |handle: Handle<Batch>| {
        tokio::spawn(wall_clock::follow(handle.clone()));
        Routes::new(JobsServer::new(Api::new(handle)).max_decoding_message_size(MAX_JOB_BYTES))
    };
    // The scheduler lies in the future; callers need not carry it about.
    Box::pin(serve(config, store, Batch::new, &[SERVICE_NAME], api, shutdown)).await
}
