//! `/metrics` and `/healthz`, also while the process stands by.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use proffer_sdk::{CancellationToken, DaemonError, Handle};
use proffer_service_core::{Services, Tally};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::warn;

/// What prometheus-client writes.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The scheduler, once this process leads for the first time.
pub(crate) type Latest = watch::Receiver<Option<Handle<Services>>>;

/// Listens; the future serves until `ended`.
pub(crate) async fn serve(
    address: SocketAddr,
    latest: Latest,
    ended: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + 'static, DaemonError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| DaemonError::Bind { address, source })?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .with_state(latest);
    Ok(async move {
        let served = axum::serve(listener, router);
        if let Some(Err(error)) = ended.run_until_cancelled(served.into_future()).await {
            warn!(%error, "the status is not served any more");
        }
    })
}

async fn health(State(latest): State<Latest>) -> (StatusCode, &'static str) {
    let reading = Reading::take(&latest).await;
    match (reading.leads, reading.connected) {
        (false, _) => (StatusCode::OK, "standing by\n"),
        (true, false) => (StatusCode::SERVICE_UNAVAILABLE, "not connected to a master\n"),
        (true, true) => (StatusCode::OK, "ok\n"),
    }
}

async fn metrics(State(latest): State<Latest>) -> Response {
    let mut registry = Registry::with_prefix("proffer_service");
    registry.register_collector(Box::new(Reading::take(&latest).await));
    let mut body = String::new();
    match text::encode(&mut body, &registry) {
        Ok(()) => ([(CONTENT_TYPE, OPENMETRICS)], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// All that is told at one moment.
#[derive(Debug, Default)]
struct Reading {
    leads: bool,
    connected: bool,
    services: Arc<[Tally]>,
}

impl Reading {
    /// Of a process that does not lead: nothing.
    async fn take(latest: &Latest) -> Self {
        let handle = latest.borrow().clone();
        let Some(handle) = handle else {
            return Self::default();
        };
        let connected = handle.watch().borrow().subscribed;
        let services = handle.call(|services, cx| services.tallies(cx.now())).await;
        services.map_or_else(
            |_| Self::default(),
            |services| Self {
                leads: true,
                connected,
                services: services.into(),
            },
        )
    }
}

/// What is told of a service.
type Number = fn(&Tally) -> u32;

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let n_services = i64::try_from(self.services.len()).unwrap_or(i64::MAX);
        let gauges = [
            (
                "leads",
                "Whether this process leads; others know of no services",
                i64::from(self.leads),
            ),
            (
                "connected",
                "Whether it is subscribed with a master",
                i64::from(self.connected),
            ),
            ("services", "Services, those of replicas and daemons", n_services),
        ];
        for (name, help, value) in gauges {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)?;
        }
        let of_each: [(&str, &str, Number); 4] = [
            ("replicas_wanted", "Replicas that a service is to have", |tally| {
                tally.wanted
            }),
            (
                "replicas_available",
                "Replicas that have been well for long enough",
                |tally| tally.available,
            ),
            (
                "replicas_crash_looping",
                "Replicas that fail quickly again and again",
                |tally| tally.crash_looping,
            ),
            (
                "deployment_failed",
                "Whether the latest deployment failed, or takes back one that did",
                |tally| u32::from(tally.deployment_failed),
            ),
        ];
        for (name, help, number) in of_each {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for tally in &*self.services {
                let labels = [
                    ("namespace", tally.namespace.as_str()),
                    ("service", tally.name.as_str()),
                ];
                ConstGauge::new(i64::from(number(tally))).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
