//! What edges told lately. Not durable: they tell about every second.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use proffer_types::Timestamp;
use proffer_types::discovery::ServiceName;
use proffer_types::edge_report::{
    EdgeReport, EndpointCondition, EndpointFinding, ListenerFailure, PolicyReport,
};

/// What an edge told counts for so long.
const FRESH: Duration = Duration::from_secs(30);
/// The most edges that are listened to; one is on each host.
const MAX_EDGES: usize = 10_000;
/// The most findings that are shown of one kind.
const MAX_SHOWN: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Edges {
    by_name: BTreeMap<String, Told>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    at: Timestamp,
    listeners: Vec<ListenerFailure>,
    endpoints: Vec<EndpointFinding>,
    policy: PolicyReport,
}

impl Edges {
    pub(crate) fn reported(&mut self, report: EdgeReport, now: Timestamp) {
        self.by_name.retain(|_, told| now.since(told.at) < FRESH);
        if self.by_name.len() >= MAX_EDGES && !self.by_name.contains_key(&report.edge) {
            return;
        }
        let told = Told {
            at: now,
            listeners: report.listeners,
            endpoints: report.endpoints,
            policy: report.policy,
        };
        self.by_name.insert(report.edge, told);
    }

    /// How many edges there are, as far as they tell.
    pub(crate) fn count(&self, now: Timestamp) -> usize {
        self.fresh(now).count()
    }

    fn fresh(&self, now: Timestamp) -> impl Iterator<Item = (&String, &Told)> {
        self.by_name
            .iter()
            .filter(move |(_, told)| now.since(told.at) < FRESH)
    }

    /// The addresses of agents for which they enforce network policies, and where they cannot, in sentences.
    pub(crate) fn policy(&self, now: Timestamp) -> (BTreeSet<IpAddr>, Vec<String>) {
        let fresh = || self.fresh(now).map(|(edge, told)| (edge, &told.policy));
        let hosts = fresh().flat_map(|(_, policy)| policy.hosts.iter().copied());
        let failing = fresh().filter(|(_, policy)| !policy.problem.is_empty());
        let failing =
            failing.map(|(edge, policy)| format!("not enforced by edge {edge}: {}", policy.problem));
        (hosts.collect(), failing.take(MAX_SHOWN).collect())
    }

    /// What they found of a service, in sentences.
    pub(crate) fn findings(&self, service: &ServiceName, now: Timestamp) -> Vec<String> {
        let fresh = || self.fresh(now);
        let listeners = fresh().flat_map(|(edge, told)| {
            let of = told.listeners.iter().filter(|of| of.service == *service);
            of.map(move |of| {
                format!(
                    "edge {edge} cannot listen on {} for port {}: {}",
                    of.address, of.port, of.reason
                )
            })
        });
        let endpoints = fresh().flat_map(|(edge, told)| {
            let of = told.endpoints.iter().filter(|of| of.service == *service);
            of.map(move |of| {
                let found = match of.condition {
                    EndpointCondition::Ejected => {
                        "has failed too often in a row, and gets nothing for a while"
                    }
                    EndpointCondition::Unreachable => "cannot be connected to, so it is unhealthy",
                };
                format!(
                    "endpoint {} of port {} {found} (edge {edge})",
                    of.endpoint, of.port
                )
            })
        });
        listeners
            .take(MAX_SHOWN)
            .chain(endpoints.take(MAX_SHOWN))
            .collect()
    }
}
