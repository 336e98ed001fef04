//! Whether a gRPC server says that it serves, by the standard `grpc.health.v1.Health`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Network;
use crate::containers::chain;

/// An answer holds one number.
const MAX_ANSWER_BYTES: usize = 1024;

/// The headers of an answer, and the words of a refusal among them.
const MAX_HEADER_BYTES: u32 = 16 << 10;

/// Succeeds with SERVING.
pub(super) async fn ask(network: &Network, port: u16, service: &str) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))
        .map_err(|error| error.to_string())?
        .http2_max_header_list_size(MAX_HEADER_BYTES);
    let connector = Connector {
        network: network.clone(),
        port,
    };
    let channel = endpoint
        .connect_with_connector(connector)
        .await
        .map_err(|error| chain(&error))?;
    let mut client = HealthClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = client
        .check(request)
        .await
        .map_err(|status| format!("it answered with {:?}: {}", status.code(), status.message()))?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        status @ (ServingStatus::Unknown | ServingStatus::NotServing | ServingStatus::ServiceUnknown) => {
            Err(format!("it answered with {}", status.as_str_name()))
        }
    }
}

/// Connects in the container's network instead of the agent's own.
#[derive(Debug, Clone)]
struct Connector {
    network: Network,
    port: u16,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { network, port } = self.clone();
        Box::pin(async move { network.connect(port).await.map(TokioIo::new) })
    }
}
