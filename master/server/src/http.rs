//! What a person or a monitor reads over HTTP.

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{StatusCode, header};

use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::metrics::Metrics;
use crate::readiness::Readiness;

const INDEX: &str = "\
proffer master

/metrics   counters and gauges, OpenMetrics text
/healthz   200 while the process answers
/readyz    200 while it serves, 503 with the cause while it does not

gRPC is on this same port, with reflection and health: proffer.v1.Operator, and the services of connected
frameworks, such as proffer.v1.Jobs and proffer.v1.Services.
";

#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pub(crate) inbox: Inbox,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) clock: Clock,
}

pub(crate) fn router(pages: Pages) -> Router {
    Router::new()
        .route("/", get(async || INDEX))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(pages)
}

async fn readyz(State(pages): State<Pages>) -> impl IntoResponse {
    match pages.readiness.check() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(unready) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", unready.cause)),
    }
}

async fn metrics(State(pages): State<Pages>) -> impl IntoResponse {
    let snapshot = pages.inbox.snapshot().await.ok();
    let text = pages
        .metrics
        .text(snapshot.as_deref(), pages.inbox.depth(), pages.clock.now());
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match text {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, content_type)], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain")],
            error.to_string(),
        ),
    }
}
