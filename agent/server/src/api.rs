//! The agent's own port: gRPC (logs, exec, files, statistics, health, reflection) and plain HTTP beside it.

mod exec;
mod files;
mod http;
mod images;
mod log;
mod statistics;

use std::sync::Arc;

use axum::serve::ListenerExt as _;
use proffer_grpc::v1::agent_server::AgentServer;
use proffer_grpc::v1::exec_server::ExecServer;
use proffer_grpc::v1::files_server::FilesServer;
use proffer_grpc::v1::images_server::ImagesServer;
use proffer_grpc::v1::stats_server::StatsServer;
use proffer_image::ImageStore;
use proffer_types::AgentInfo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tracing::debug;

use crate::AgentError;
use crate::containers::Containers;
use crate::data_dir::DataDir;
use crate::driver::Input;
use crate::metrics::Metrics;
use crate::shared::Shared;

/// What every request may read.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) data_dir: Arc<DataDir>,
    pub(crate) images: ImageStore,
    pub(crate) info: AgentInfo,
    pub(crate) driver: mpsc::Sender<Input>,
    /// Ends open streams.
    pub(crate) end: CancellationToken,
}

/// Serves the port until the state's token ends it.
pub(crate) async fn serve(
    listener: TcpListener,
    state: State,
    containers: Containers,
) -> Result<(), AgentError> {
    let reader = statistics::Reader::new(Arc::clone(&state.shared), containers.clone());
    let (health_reporter, health) = tonic_health::server::health_reporter();
    let logs = AgentServer::new(log::Logs::new(state.clone()));
    health_reporter.set_serving::<AgentServer<log::Logs>>().await;
    let statistics = StatsServer::new(statistics::Service::new(reader.clone(), state.end.clone()));
    health_reporter
        .set_serving::<StatsServer<statistics::Service>>()
        .await;
    let images = ImagesServer::new(images::Images::new(state.clone()));
    health_reporter
        .set_serving::<ImagesServer<images::Images>>()
        .await;
    let files = FilesServer::new(files::Files::new(state.clone()));
    health_reporter.set_serving::<FilesServer<files::Files>>().await;
    let exec = ExecServer::new(exec::Service::new(state.clone(), containers));
    health_reporter.set_serving::<ExecServer<exec::Service>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proffer_grpc::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let grpc = Routes::new(health)
        .add_service(reflection)
        .add_service(logs)
        .add_service(statistics)
        .add_service(images)
        .add_service(files)
        .add_service(exec)
        .prepare()
        .into_axum_router();
    let end = state.end.clone();
    let router = http::router(state, reader).merge(grpc).fallback(http::fallback);
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "cannot turn off Nagle's algorithm");
        }
    });
    axum::serve(listener, router)
        .with_graceful_shutdown(end.cancelled_owned())
        .await
        .map_err(|source| AgentError::Api { source })
}
