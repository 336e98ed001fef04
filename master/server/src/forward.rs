//! Calls of frameworks' own services, passed on byte for byte to the live instance.
//!
//! A framework advertises full names of gRPC services with an address; calls of those names that arrive at the
//! master's port go there, streams and trailers included. The table is a fold of the core's committed events.

mod services;

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::uri::{PathAndQuery, Scheme};
use http::{StatusCode, Uri, Version, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tonic::Status;
use tracing::debug;

pub(crate) use services::Services;

use crate::readiness::Readiness;

/// How long an instance may take to accept a connection; it is on the cluster's network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often an open connection is probed, and how long the answer may take: an instance that vanished without
/// a word must not hold its callers.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Passes calls on.
#[derive(Debug, Clone)]
pub(crate) struct Forwarder {
    services: Services,
    readiness: Readiness,
    client: Client<HttpConnector, Body>,
}

impl Forwarder {
    pub(crate) fn new(services: Services, readiness: Readiness) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http2_only(true)
            .http2_keep_alive_interval(PROBE_INTERVAL)
            .http2_keep_alive_timeout(PROBE_TIMEOUT)
            .build(connector);
        Self {
            services,
            readiness,
            client,
        }
    }

    async fn forward(&self, request: Request) -> Result<Response, Status> {
        let service = service_name(request.uri().path())
            .ok_or_else(|| Status::unimplemented("the path is not `/<service>/<method>`"))?;
        self.readiness.elected().await;
        self.readiness.check().map_err(|unready| unready.status())?;
        let address = self
            .services
            .address(service)
            .ok_or_else(|| Status::unavailable(format!("no connected framework serves `{service}`")))?;
        let describe = format!("the framework that serves `{service}` does not answer at {address}");
        let request = redirect(request, &address)?;
        match self.client.request(request).await {
            Ok(response) => Ok(response.map(Body::new)),
            Err(error) => {
                debug!(error = &error as &dyn std::error::Error, %address, "forwarding failed");
                Err(Status::unavailable(describe))
            }
        }
    }
}

/// Answers whatever no service of the master's own takes.
pub(crate) async fn fallback(forwarder: Forwarder, request: Request) -> Response {
    if !is_grpc(&request) {
        let body = "not found; `/` lists what is here\n";
        return plain(StatusCode::NOT_FOUND, body);
    }
    forwarder
        .forward(request)
        .await
        .unwrap_or_else(|status| status.into_http())
}

fn plain(status: StatusCode, body: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}

fn is_grpc(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The `a.b.C` of `/a.b.C/Method`.
fn service_name(path: &str) -> Option<&str> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    (!service.is_empty() && !method.is_empty() && !method.contains('/')).then_some(service)
}

fn redirect(mut request: Request, address: &str) -> Result<Request, Status> {
    let path = request.uri().path_and_query().cloned();
    let uri = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(address)
        .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
        .build()
        .map_err(|_| {
            Status::unavailable(format!(
                "the framework advertises `{address}`, which is no address"
            ))
        })?;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(header::HOST);
    Ok(request)
}
