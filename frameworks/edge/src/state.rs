//! What all parts of an edge share: the services as they were last told, their routes, and what was found of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use proffer_edge_core::catalog::Services;
use proffer_types::discovery::{DiscoveredService, Endpoint, ServiceName};
use proffer_types::edge_report::{ListenerFailure, PolicyReport};
use proffer_types::policy::ClusterNetwork;
use tokio::sync::watch;

use crate::route::{Route, RouteKey};

pub(crate) type Routes = BTreeMap<RouteKey, Arc<Route>>;
/// Static addresses that cannot be connected to.
pub(crate) type Down = BTreeSet<(ServiceName, Arc<str>)>;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) services: ArcSwap<Services>,
    pub(crate) network: ArcSwap<ClusterNetwork>,
    /// What became of network policies.
    pub(crate) policy: ArcSwap<PolicyReport>,
    pub(crate) routes: ArcSwap<Routes>,
    pub(crate) down: ArcSwap<Down>,
    pub(crate) failures: ArcSwap<Vec<ListenerFailure>>,
    /// All there is has been told at least once.
    is_complete: AtomicBool,
    /// A stream is open on which it is told now.
    pub(crate) is_connected: AtomicBool,
    pub(crate) n_questions: AtomicU64,
    /// Counts the changes of services.
    changes: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            services: ArcSwap::default(),
            network: ArcSwap::default(),
            policy: ArcSwap::default(),
            routes: ArcSwap::default(),
            down: ArcSwap::default(),
            failures: ArcSwap::default(),
            is_complete: AtomicBool::new(false),
            is_connected: AtomicBool::new(false),
            n_questions: AtomicU64::new(0),
            changes: watch::Sender::new(0),
        }
    }

    /// Takes over the services as they are now: only one caller at a time.
    pub(crate) fn publish(&self, services: Services, network: Arc<ClusterNetwork>) {
        let (before, routes_before) = (self.services.load_full(), self.routes.load_full());
        let mut routes = Routes::new();
        for (name, service) in &services {
            let is_same = before
                .get(name)
                .is_some_and(|before| Arc::ptr_eq(before, service));
            for port in &service.ports {
                let key = RouteKey {
                    service: name.clone(),
                    port: port.number,
                    protocol: port.protocol,
                };
                let known = routes_before.get(&key).cloned();
                let is_new = known.is_none();
                let route = known.unwrap_or_else(|| Arc::new(Route::new(key.clone())));
                if is_new || !is_same {
                    route.update(service, port);
                }
                routes.insert(key, route);
            }
        }
        self.routes.store(Arc::new(routes));
        self.services.store(Arc::new(services));
        self.network.store(network);
        self.is_complete.store(true, Ordering::Release);
        self.changes.send_modify(|n| *n += 1);
    }

    /// Tells of every change of services from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How often services have changed.
    pub(crate) fn n_changes(&self) -> u64 {
        *self.changes.borrow()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Acquire)
    }

    /// Whether an endpoint is one to tell of.
    pub(crate) fn is_up(down: &Down, service: &DiscoveredService, endpoint: &Endpoint) -> bool {
        !endpoint.probe || down.is_empty() || !down.contains(&(service.name.clone(), endpoint.id.clone()))
    }
}
