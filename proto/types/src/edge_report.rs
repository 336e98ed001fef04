//! What edges tell of services: listeners they cannot have, endpoints that fail, and traffic.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::discovery::ServiceName;

/// The classes of HTTP statuses: 1xx to 5xx.
pub const N_CLASSES: usize = 5;

/// The upper bounds of the latency buckets, in milliseconds; what took longer is in one more.
pub const LATENCY_BOUNDS_MS: [u64; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/// The buckets of a latency histogram.
pub const N_LATENCY_BUCKETS: usize = LATENCY_BOUNDS_MS.len() + 1;

/// Everything that keeps an edge from serving, and what it served since its report before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeReport {
    /// The edge's name, for people.
    pub edge: String,
    pub listeners: Vec<ListenerFailure>,
    pub endpoints: Vec<EndpointFinding>,
    pub traffic: Vec<EndpointTraffic>,
    /// The time that the traffic is of.
    pub interval: Duration,
    pub policy: PolicyReport,
}

/// What became of network policies on the edge's host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyReport {
    /// The addresses of agents for which it enforces them.
    pub hosts: Vec<IpAddr>,
    /// Why they are not enforced as they should be; empty where they are.
    pub problem: String,
}

/// A listener that the edge cannot have now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerFailure {
    pub service: ServiceName,
    /// The port's number in the service.
    pub port: u16,
    /// `address:port` that was to be listened on.
    pub address: String,
    pub reason: String,
}

/// An endpoint that gets nothing of a port now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointFinding {
    pub service: ServiceName,
    /// The port's number in the service.
    pub port: u16,
    pub endpoint: Arc<str>,
    pub condition: EndpointCondition,
}

/// Why an endpoint gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointCondition {
    /// It failed too often in a row.
    Ejected,
    /// A static address that cannot be connected to.
    Unreachable,
}

/// What an endpoint served of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointTraffic {
    pub service: ServiceName,
    /// The port's number in the service.
    pub port: u16,
    pub endpoint: Arc<str>,
    pub traffic: Traffic,
    /// Open when the report was made.
    pub in_flight: u64,
}

/// Counts of connections, sessions or requests that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    pub count: u64,
    /// By the class of their HTTP status; all zero for TCP and UDP.
    pub by_class: [u64; N_CLASSES],
    /// Could not be connected, were cut off, or timed out.
    pub failed: u64,
    /// How many took at most each of [`LATENCY_BOUNDS_MS`] and no less, and how many longer.
    pub latency: [u64; N_LATENCY_BUCKETS],
    pub latency_sum_us: u64,
}
