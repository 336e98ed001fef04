//! `/metrics` and `/healthz`.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use proffer_edge_core::pool::Pool;
use proffer_types::edge_report::{LATENCY_BOUNDS_MS, Traffic};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::error::EdgeError;
use crate::protocol_name;
use crate::state::Shared;

/// What prometheus-client writes.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Status {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    draining: CancellationToken,
}

/// Listens; the future serves until `ended`. From `draining` on, the edge says that it is not ready.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    address: SocketAddr,
    draining: CancellationToken,
    ended: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + 'static, EdgeError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| EdgeError::Status { address, source })?;
    let mut registry = Registry::with_prefix("proffer_edge");
    registry.register_collector(Box::new(Metrics(Arc::clone(&shared))));
    let status = Status {
        shared,
        registry: Arc::new(registry),
        draining,
    };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .with_state(status);
    Ok(async move {
        let served = axum::serve(listener, router);
        if let Some(Err(error)) = ended.run_until_cancelled(served.into_future()).await {
            warn!(%error, "the status is not served any more");
        }
    })
}

async fn health(State(status): State<Status>) -> (StatusCode, &'static str) {
    match (status.draining.is_cancelled(), status.shared.is_complete()) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "ending\n"),
        (false, false) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no master has told of services yet\n",
        ),
        (false, true) => (StatusCode::OK, "ok\n"),
    }
}

async fn metrics(State(status): State<Status>) -> Response {
    let mut body = String::new();
    match text::encode(&mut body, &status.registry) {
        Ok(()) => ([(CONTENT_TYPE, OPENMETRICS)], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Debug)]
struct Metrics(Arc<Shared>);

/// What is counted of a route, and under which name.
type Reading = fn(&Pool) -> u64;

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shared = &self.0;
        let known = u64::from(shared.is_connected.load(Ordering::Relaxed));
        gauge(
            &mut encoder,
            "connected",
            "Whether a master tells of services now",
            known,
        )?;
        let n_services = count(shared.services.load().len());
        gauge(&mut encoder, "services", "Services that are known", n_services)?;
        let n_failures = count(shared.failures.load().len());
        let help = "Listeners that the edge cannot have";
        gauge(&mut encoder, "listener_failures", help, n_failures)?;
        let n_questions = shared.n_questions.load(Ordering::Relaxed);
        let metric =
            encoder.encode_descriptor("dns_questions", "DNS questions", None, MetricType::Counter)?;
        ConstCounter::new(n_questions).encode(metric)?;

        let gauges: [(&str, &str, Reading); 3] = [
            (
                "route_in_flight",
                "Open connections, sessions and requests",
                Pool::in_flight,
            ),
            ("route_endpoints", "Endpoints", |pool| count(pool.n_endpoints().0)),
            (
                "route_endpoints_eligible",
                "Endpoints that can be chosen",
                |pool| count(pool.n_endpoints().1),
            ),
        ];
        for (name, help, reading) in gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            self.each(&mut family, |pool, metric| {
                ConstGauge::new(i64::try_from(reading(pool)).unwrap_or(i64::MAX)).encode(metric)
            })?;
        }
        let counters: [(&str, &str, Reading); 3] = [
            (
                "route_failures",
                "Those that could not be connected, were cut off or timed out",
                |pool| pool.total().failed,
            ),
            ("route_retries", "Attempts after the first", Pool::n_retries),
            (
                "route_ejections",
                "Endpoints that failed too often in a row",
                Pool::n_ejections,
            ),
        ];
        for (name, help, reading) in counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            self.each(&mut family, |pool, metric| {
                ConstCounter::new(reading(pool)).encode(metric)
            })?;
        }
        self.answers(&mut encoder)?;
        let help = "How long connections, sessions and the beginnings of answers took";
        let mut family = encoder.encode_descriptor("route_seconds", help, None, MetricType::Histogram)?;
        self.each(&mut family, |pool, mut metric| {
            let total = pool.total();
            let sum_s = std::time::Duration::from_micros(total.latency_sum_us).as_secs_f64();
            metric.encode_histogram::<NoLabelSet>(sum_s, total.count, &buckets(total), None)
        })
    }
}

impl Metrics {
    /// Encodes one metric of every route.
    fn each(
        &self,
        family: &mut MetricEncoder<'_>,
        encode: impl Fn(&Pool, MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        for (key, route) in self.0.routes.load().iter() {
            let port = key.port.to_string();
            let labels = [
                ("namespace", key.service.namespace.as_str()),
                ("service", key.service.name.as_str()),
                ("port", port.as_str()),
                ("protocol", protocol_name(key.protocol)),
            ];
            route.with_pool(|pool| encode(pool, family.encode_family(&labels)?))?;
        }
        Ok(())
    }

    /// Answers of HTTP by class.
    fn answers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Answers by the class of their status";
        let mut family = encoder.encode_descriptor("route_answers", help, None, MetricType::Counter)?;
        for (key, route) in self.0.routes.load().iter() {
            let port = key.port.to_string();
            let by_class = route.with_pool(|pool| pool.total().by_class);
            for (class, n) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(by_class) {
                let labels = [
                    ("namespace", key.service.namespace.as_str()),
                    ("service", key.service.name.as_str()),
                    ("port", port.as_str()),
                    ("class", class),
                ];
                ConstCounter::new(n).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric)
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// Upper bounds in seconds, and what is in each bucket alone.
fn buckets(total: &Traffic) -> Vec<(f64, u64)> {
    let bounds = LATENCY_BOUNDS_MS
        .iter()
        .map(|ms| std::time::Duration::from_millis(*ms).as_secs_f64());
    bounds.chain([f64::MAX]).zip(total.latency).collect()
}
