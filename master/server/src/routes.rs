//! Everything on the master's port: gRPC services, reflection, health, pages, and calls that are passed on.

use axum::Router;
use axum::middleware::map_response;
use axum::response::Response;
use http::HeaderValue;
use proffer_grpc::FILE_DESCRIPTOR_SET;
use proffer_grpc::v1::agent_link_server::AgentLinkServer;
use proffer_grpc::v1::operator_server::OperatorServer;
use proffer_grpc::v1::scheduler_server::SchedulerServer;
use proffer_wire::frame::MAX_MESSAGE_BYTES;
use tonic::Code;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_reflection::server::Builder;

use crate::agent_link::AgentLinks;
use crate::forward::{self, Forwarder};
use crate::http::{self as pages, Pages};
use crate::operator::OperatorApi;
use crate::scheduler_link::SchedulerLinks;

/// The services reflection lists: the master's own, and those frameworks serve through it.
const LISTED: [&str; 6] = [
    "grpc.health.v1.Health",
    "proffer.v1.AgentLink",
    "proffer.v1.Jobs",
    "proffer.v1.Operator",
    "proffer.v1.Scheduler",
    "proffer.v1.Services",
];

const GRPC_STATUS: &str = "grpc-status";

pub(crate) fn router(
    agents: AgentLinks,
    schedulers: SchedulerLinks,
    operator: OperatorApi,
    health: HealthServer<impl Health>,
    pages: Pages,
    forwarder: Forwarder,
) -> Result<Router, tonic_reflection::server::Error> {
    let grpc = Routes::new(AgentLinkServer::new(agents).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(SchedulerServer::new(schedulers).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(OperatorServer::new(operator).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(grpc
        .into_axum_router()
        .merge(pages::router(pages))
        .layer(map_response(oversized_is_exhausted))
        .fallback(move |request| forward::fallback(forwarder.clone(), request)))
}

fn reflection() -> Builder<'static> {
    let builder = Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    LISTED.into_iter().fold(builder, Builder::with_service_name)
}

/// tonic reports an oversized request as out of range; the word for a limit is resource exhausted.
async fn oversized_is_exhausted(mut response: Response) -> Response {
    let code = response
        .headers()
        .get(GRPC_STATUS)
        .map(|value| Code::from_bytes(value.as_bytes()));
    if code == Some(Code::OutOfRange) {
        let exhausted = HeaderValue::from(Code::ResourceExhausted as i32);
        response.headers_mut().insert(GRPC_STATUS, exhausted);
    }
    response
}
