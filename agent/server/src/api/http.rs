//! Plain HTTP: an index, metrics, and whether the agent lives and is ready.

use axum::Router;
use axum::extract::{Request, State as Extract};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::oneshot;

use super::State;
use super::statistics::Reader;
use crate::driver::Input;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn router(state: State, reader: Reader) -> Router {
    let metrics = move |Extract(state): Extract<State>| async move { metrics(&state, &reader).await };
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(state)
}

/// Answers what no route takes, in the caller's own protocol.
pub(super) async fn fallback(request: Request) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    if content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
        return tonic::Status::unimplemented(format!("no method `{}`", request.uri().path())).into_http();
    }
    (StatusCode::NOT_FOUND, "not found; `/` lists what is here\n").into_response()
}

async fn index(Extract(state): Extract<State>) -> String {
    let info = &state.info;
    format!(
        "proffer agent {version} on {hostname}\n\
         resources: {resources}\n\
         limits are enforced by {cgroups}, those of the disk by measuring\n\
         {registered}\n\n\
         /metrics  Prometheus\n\
         /healthz  the process lives\n\
         /readyz   it is registered with a master\n\
         gRPC      proffer.v1.Agent, proffer.v1.Files, proffer.v1.Stats, reflection, health\n",
        version = info.version,
        hostname = info.hostname,
        resources = state.shared.total(),
        cgroups = info.cgroups,
        registered = registered(&state),
    )
}

fn registered(state: &State) -> &'static str {
    if state.shared.is_registered() {
        "registered with a master"
    } else {
        "not registered: no master has answered yet, or the link to it is lost"
    }
}

async fn metrics(state: &State, reader: &Reader) -> impl IntoResponse + use<> {
    let (done, observed) = oneshot::channel();
    // At the end of the agent there is nobody to look; what was found last holds.
    if state.driver.send(Input::Observe(done)).await.is_ok() {
        let _ = observed.await;
    }
    let running = reader.all().await;
    (
        [(header::CONTENT_TYPE, OPEN_METRICS)],
        state.metrics.encode(&running),
    )
}

async fn ready(Extract(state): Extract<State>) -> (StatusCode, String) {
    let code = if state.shared.is_registered() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, format!("{}\n", registered(&state)))
}
