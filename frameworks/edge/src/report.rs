//! What the masters are told of what was found.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use proffer_grpc::v1::discovery_client::DiscoveryClient;
use proffer_types::edge_report::{EdgeReport, EndpointFinding, EndpointTraffic};
use proffer_wire::edge_report::{MAX_FINDINGS, MAX_TRAFFIC};
use proffer_wire::frame::FRAME_BYTES;
use proffer_wire::v1;
use prost::Message as _;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_stream::wrappers::IntervalStream;
use tonic::Status;
use tonic::transport::Channel;

use crate::clock;
use crate::state::Shared;

/// How often there may be a report.
const EVERY: Duration = Duration::from_secs(1);
/// A report comes at least so often, although there is no news.
const AT_LEAST: Duration = Duration::from_secs(10);

/// Reports until the master ends it.
pub(crate) async fn stream(shared: &Arc<Shared>, channel: Channel, name: &str) -> Result<(), Status> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reporter = Reporter {
        shared: Arc::clone(shared),
        name: name.to_owned(),
        last: None,
    };
    let reports =
        IntervalStream::new(ticks).flat_map(move |now| futures::stream::iter(reporter.reports(now.into())));
    DiscoveryClient::new(channel).report(reports).await?;
    Ok(())
}

struct Reporter {
    shared: Arc<Shared>,
    name: String,
    /// The last report without its traffic, and when it was.
    last: Option<(EdgeReport, Instant)>,
}

impl Reporter {
    /// The reports that are due now: several where one would be too large.
    fn reports(&mut self, now: std::time::Instant) -> Vec<v1::EdgeReport> {
        let now = Instant::from_std(now);
        let (mut report, in_flight) = self.report(now);
        let traffic = std::mem::take(&mut report.traffic);
        let interval = std::mem::take(&mut report.interval);
        let is_news = self.last.as_ref().is_none_or(|(last, at)| {
            in_flight > 0 || !traffic.is_empty() || *last != report || now.duration_since(*at) >= AT_LEAST
        });
        if !is_news {
            return Vec::new();
        }
        self.last = Some((report.clone(), now));
        let mut messages = Vec::new();
        let (mut room, mut part) = (0, v1::EdgeReport::from(&report));
        part.interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let head = part.clone();
        let mut n = 0;
        for of in traffic.iter().map(v1::EndpointTraffic::from) {
            let len = of.encoded_len() + 6;
            if n == MAX_TRAFFIC || room + len > FRAME_BYTES / 2 {
                messages.push(std::mem::replace(&mut part, head.clone()));
                (room, n) = (0, 0);
            }
            (room, n) = (room + len, n + 1);
            part.traffic.push(of);
        }
        messages.push(part);
        messages
    }

    fn report(&self, now: Instant) -> (EdgeReport, u64) {
        let routes = self.shared.routes.load();
        let mut endpoints = Vec::new();
        let mut traffic = Vec::new();
        let mut in_flight = 0;
        for (key, route) in routes.iter() {
            let (served, found) = route.with_pool(|pool| {
                let at = clock::now();
                let found = pool.findings(at).map(|(id, why)| (id.clone(), why));
                let found: Vec<_> = found
                    .take(MAX_FINDINGS - endpoints.len().min(MAX_FINDINGS))
                    .collect();
                (pool.take_served(at), found)
            });
            endpoints.extend(found.into_iter().map(|(endpoint, condition)| EndpointFinding {
                service: key.service.clone(),
                port: key.port.get(),
                endpoint,
                condition,
            }));
            for of in served {
                in_flight += u64::from(of.in_flight);
                traffic.push(EndpointTraffic {
                    service: key.service.clone(),
                    port: key.port.get(),
                    endpoint: of.endpoint,
                    traffic: of.traffic,
                    in_flight: of.in_flight.into(),
                });
            }
        }
        let mut listeners = self.shared.failures.load().as_ref().clone();
        listeners.truncate(MAX_FINDINGS);
        let since = self.last.as_ref().map(|(_, at)| now.duration_since(*at));
        let report = EdgeReport {
            edge: self.name.clone(),
            listeners,
            endpoints,
            traffic,
            interval: since.unwrap_or(EVERY),
            policy: self.shared.policy.load().as_ref().clone(),
        };
        (report, in_flight)
    }
}
