//! What edges tell of services.

use std::sync::Arc;
use std::time::Duration;

use proffer_types::discovery::ServiceName;
use proffer_types::edge_report::{
    EdgeReport, EndpointCondition, EndpointFinding, EndpointTraffic, ListenerFailure, PolicyReport, Traffic,
};

use crate::error::{At as _, ConvertError};
use crate::text::{at_most, message as cut, millis, name};
use crate::v1;

/// The most listeners, and the most endpoints, that one report names.
pub const MAX_FINDINGS: usize = 1000;
/// The most endpoints of whose traffic one report tells.
pub const MAX_TRAFFIC: usize = 10_000;

impl TryFrom<v1::EdgeReport> for EdgeReport {
    type Error = ConvertError;

    fn try_from(message: v1::EdgeReport) -> Result<Self, ConvertError> {
        let n_listeners = message.listeners.len();
        at_most("listeners", n_listeners, MAX_FINDINGS, "listeners")?;
        at_most("endpoints", message.endpoints.len(), MAX_FINDINGS, "endpoints")?;
        at_most("traffic", message.traffic.len(), MAX_TRAFFIC, "endpoints")?;
        Ok(Self {
            edge: name("edge", message.edge)?,
            listeners: all("listeners", message.listeners)?,
            endpoints: all("endpoints", message.endpoints)?,
            traffic: all("traffic", message.traffic)?,
            interval: Duration::from_millis(message.interval_ms),
            policy: message.policy.unwrap_or_default().try_into().at("policy")?,
        })
    }
}

/// Converts every item of a repeated field.
fn all<M, T: TryFrom<M, Error = ConvertError>>(field: &str, items: Vec<M>) -> Result<Vec<T>, ConvertError> {
    let items = items.into_iter().enumerate();
    items
        .map(|(index, item)| T::try_from(item).at_item(field, index))
        .collect()
}

impl From<&EdgeReport> for v1::EdgeReport {
    fn from(report: &EdgeReport) -> Self {
        Self {
            edge: report.edge.clone(),
            listeners: report.listeners.iter().map(Into::into).collect(),
            endpoints: report.endpoints.iter().map(Into::into).collect(),
            traffic: report.traffic.iter().map(Into::into).collect(),
            interval_ms: millis(report.interval),
            policy: (report.policy != PolicyReport::default()).then(|| (&report.policy).into()),
        }
    }
}

fn service(message: Option<v1::ServiceName>) -> Result<ServiceName, ConvertError> {
    let message = message.ok_or_else(|| ConvertError::missing("service"))?;
    message.try_into().at("service")
}

fn port(number: u32) -> Result<u16, ConvertError> {
    u16::try_from(number).map_err(|_| ConvertError::new("port", format_args!("{number} is not a port")))
}

fn endpoint_id(id: String) -> Result<Arc<str>, ConvertError> {
    name("endpoint_id", id).map(Arc::from)
}

impl TryFrom<v1::ListenerFailure> for ListenerFailure {
    type Error = ConvertError;

    fn try_from(message: v1::ListenerFailure) -> Result<Self, ConvertError> {
        Ok(Self {
            service: service(message.service)?,
            port: port(message.port)?,
            address: name("address", message.address)?,
            reason: cut(message.reason),
        })
    }
}

impl From<&ListenerFailure> for v1::ListenerFailure {
    fn from(failure: &ListenerFailure) -> Self {
        Self {
            service: Some((&failure.service).into()),
            port: u32::from(failure.port),
            address: failure.address.clone(),
            reason: failure.reason.clone(),
        }
    }
}

impl TryFrom<v1::EndpointFinding> for EndpointFinding {
    type Error = ConvertError;

    fn try_from(message: v1::EndpointFinding) -> Result<Self, ConvertError> {
        let condition = match v1::EndpointCondition::try_from(message.condition) {
            Ok(v1::EndpointCondition::EndpointEjected) => EndpointCondition::Ejected,
            Ok(v1::EndpointCondition::EndpointUnreachable) => EndpointCondition::Unreachable,
            Ok(v1::EndpointCondition::Unspecified) | Err(_) => {
                return Err(ConvertError::unknown_number("condition", message.condition));
            }
        };
        Ok(Self {
            service: service(message.service)?,
            port: port(message.port)?,
            endpoint: endpoint_id(message.endpoint_id)?,
            condition,
        })
    }
}

impl From<&EndpointFinding> for v1::EndpointFinding {
    fn from(finding: &EndpointFinding) -> Self {
        let condition = match finding.condition {
            EndpointCondition::Ejected => v1::EndpointCondition::EndpointEjected,
            EndpointCondition::Unreachable => v1::EndpointCondition::EndpointUnreachable,
        };
        Self {
            service: Some((&finding.service).into()),
            port: u32::from(finding.port),
            endpoint_id: finding.endpoint.to_string(),
            condition: condition.into(),
        }
    }
}

/// As many counts as there must be, or none, which is all zero.
fn counts<const N: usize>(field: &str, counts: Vec<u64>) -> Result<[u64; N], ConvertError> {
    if counts.is_empty() {
        return Ok([0; N]);
    }
    let n = counts.len();
    let problem = |_| ConvertError::new(field, format_args!("has {n} counts, not {N}"));
    counts.try_into().map_err(problem)
}

impl TryFrom<v1::EndpointTraffic> for EndpointTraffic {
    type Error = ConvertError;

    fn try_from(message: v1::EndpointTraffic) -> Result<Self, ConvertError> {
        Ok(Self {
            service: service(message.service)?,
            port: port(message.port)?,
            endpoint: endpoint_id(message.endpoint_id)?,
            traffic: Traffic {
                count: message.count,
                by_class: counts("by_class", message.by_class)?,
                failed: message.failed,
                latency: counts("latency", message.latency)?,
                latency_sum_us: message.latency_sum_us,
            },
            in_flight: message.in_flight,
        })
    }
}

impl From<&EndpointTraffic> for v1::EndpointTraffic {
    fn from(of: &EndpointTraffic) -> Self {
        let listed = |counts: &[u64]| match counts.iter().all(|count| *count == 0) {
            true => Vec::new(),
            false => counts.to_vec(),
        };
        Self {
            service: Some((&of.service).into()),
            port: u32::from(of.port),
            endpoint_id: of.endpoint.to_string(),
            count: of.traffic.count,
            by_class: listed(&of.traffic.by_class),
            failed: of.traffic.failed,
            latency: listed(&of.traffic.latency),
            latency_sum_us: of.traffic.latency_sum_us,
            in_flight: of.in_flight,
        }
    }
}
