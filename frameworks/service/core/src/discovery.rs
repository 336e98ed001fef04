//! What edges are told of services: names, ports, and the endpoints behind them.
//!
//! Every service is known by its name, with its replicas that serve: healthy and ready, as far as they have such checks, not
//! about to stop, and of a blue-green deployment of the one colour that has its turn. A service that is exposed, and a virtual
//! service, has ports and an address of its own, too. What may have changed is noted as it happens, and taken by the shell.

mod addresses;
mod edges;
mod endpoints;
mod policy;
mod reach;
mod virtual_service;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proffer_session::Context;
use proffer_types::Timestamp;
use proffer_types::discovery::{DEFAULT_NAMESPACE, DiscoveredService, MAX_ENDPOINTS, ServiceName};
use proffer_types::edge_report::EdgeReport;
use thiserror::Error;

use crate::records;
use crate::service::Service;
use crate::services::Services;

pub use self::addresses::{ParsePoolError, Pool};
pub(crate) use self::edges::Edges;
use self::endpoints::{implicit_ports, replicas};
pub use self::policy::{ApplyPolicyError, NoSuchPolicyError, PolicyView};
pub(crate) use self::policy::{Policies, own_address};
pub(crate) use self::reach::Reach;
pub use self::virtual_service::{
    MAX_SELECTOR_LABELS, MAX_STATIC_ENDPOINTS, MAX_VIRTUAL_PORTS, Target, VirtualPort, VirtualService,
    VirtualServiceError,
};
pub(crate) use self::virtual_service::{check_ports, check_targets};

/// The most names that edges know.
pub const MAX_NAMES: usize = proffer_types::discovery::MAX_SERVICES;

/// What stands beside the services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Discovery {
    pub(crate) virtuals: BTreeMap<String, VirtualService>,
    /// Of virtual services and exposed services.
    pub(crate) addresses: BTreeMap<String, Ipv4Addr>,
    pub(crate) pool: Pool,
    /// Names whose service may not be as it was told. Not durable.
    pub(crate) touched: BTreeSet<String>,
    pub(crate) policies: Policies,
    /// Not durable.
    pub(crate) edges: Edges,
}

/// A virtual service, or an exposed service, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualServiceView {
    pub spec: VirtualService,
    /// Whether it is the one of a service that is exposed.
    pub is_of_service: bool,
    pub address: Option<Ipv4Addr>,
    /// The services that it leads to.
    pub services: Vec<String>,
    /// What is told of it.
    pub told: DiscoveredService,
    /// What keeps it from serving as it is meant to, in sentences.
    pub problems: Vec<String>,
}

/// Why a virtual service was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyVirtualError {
    #[error(transparent)]
    Spec(#[from] VirtualServiceError),
    #[error("service `{0}` is exposed under its name already; take one of the two away")]
    Exposed(String),
    #[error("there are {MAX_NAMES} names of services, and no room for another")]
    Full,
    #[error("all names together would lead to {0} endpoints, at most {MAX_ENDPOINTS} are allowed")]
    Endpoints(usize),
    #[error("no address of {0} is free")]
    NoAddress(Pool),
}

/// Nothing has that name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no virtual service `{0}`")]
pub struct NoSuchVirtualError(pub(crate) String);

impl Services {
    /// Creates a virtual service or changes it to match; tells whether it is new.
    pub fn apply_virtual(
        &mut self,
        spec: VirtualService,
        cx: &mut Context<'_>,
    ) -> Result<bool, ApplyVirtualError> {
        spec.check()?;
        let name = spec.name.clone();
        if self.services.get(&name).is_some_and(Service::is_exposed) {
            return Err(ApplyVirtualError::Exposed(name));
        }
        self.check_names(&name)?;
        let before = self.discovery.virtuals.get(&name);
        if before == Some(&spec) {
            return Ok(false);
        }
        let created = before.is_none();
        let wants_address = !spec.headless;
        self.check_address(&name, wants_address)?;
        let n = self.n_endpoints_but(&name) + self.n_behind(&spec);
        if n > MAX_ENDPOINTS {
            return Err(ApplyVirtualError::Endpoints(n));
        }
        cx.put(records::virtual_key(&name), records::virtual_service(&spec));
        self.discovery.virtuals.insert(name.clone(), spec);
        self.set_address(&name, wants_address, cx);
        self.discovery.touched.insert(name);
        Ok(created)
    }

    /// Takes a virtual service away.
    pub fn delete_virtual(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), NoSuchVirtualError> {
        if self.discovery.virtuals.remove(name).is_none() {
            return Err(NoSuchVirtualError(name.chars().take(80).collect()));
        }
        cx.delete(records::virtual_key(name));
        self.set_address(name, false, cx);
        self.discovery.touched.insert(name.to_owned());
        Ok(())
    }

    /// Takes what an edge found, and what it served. What it found before counts no more.
    pub fn reported(&mut self, report: EdgeReport, now: Timestamp) {
        self.count_traffic(&report, now);
        self.discovery.edges.reported(report, now);
    }

    /// All that have ports or an address of their own, by name.
    #[must_use]
    pub fn list_virtual(&self, now: Timestamp) -> Vec<VirtualServiceView> {
        let exposed = self.services.values().filter(|service| service.is_exposed());
        let names: BTreeSet<&String> = exposed
            .map(|service| &service.spec.name)
            .chain(self.discovery.virtuals.keys())
            .collect();
        names
            .into_iter()
            .filter_map(|name| self.virtual_view(name, now))
            .collect()
    }

    /// One of them.
    pub fn get_virtual(&self, name: &str, now: Timestamp) -> Result<VirtualServiceView, NoSuchVirtualError> {
        let view = self.virtual_view(name, now);
        view.ok_or_else(|| NoSuchVirtualError(name.chars().take(80).collect()))
    }

    /// What changed since the last call, each service as it is now; nothing of those that are not any more. All there is the first
    /// time.
    pub fn take_changes(&mut self) -> Vec<(ServiceName, Option<DiscoveredService>)> {
        let mut touched = std::mem::take(&mut self.discovery.touched);
        for (name, service) in &mut self.services {
            if std::mem::take(&mut service.touched) {
                touched.insert(name.clone());
                let selecting = self.discovery.virtuals.values();
                let selecting = selecting.filter(|of| of.selects(&service.spec));
                touched.extend(selecting.map(|of| of.name.clone()));
            }
        }
        let told = touched.into_iter().filter_map(|name| {
            let told = self.discovered(&name);
            Some((name.parse().ok()?, told))
        });
        told.collect()
    }

    /// Refuses one name too many.
    pub(crate) fn check_names(&self, name: &str) -> Result<(), ApplyVirtualError> {
        let virtuals = &self.discovery.virtuals;
        let is_known = self.services.contains_key(name) || virtuals.contains_key(name);
        let only_virtual = virtuals.keys().filter(|name| !self.services.contains_key(*name));
        match is_known || self.services.len() + only_virtual.count() < MAX_NAMES {
            true => Ok(()),
            false => Err(ApplyVirtualError::Full),
        }
    }

    /// Refuses what is to have an address when none is free.
    pub(crate) fn check_address(&self, name: &str, wanted: bool) -> Result<(), ApplyVirtualError> {
        let Discovery { addresses, pool, .. } = &self.discovery;
        let is_free = || pool.free(addresses.values().copied()).is_some();
        match !wanted || addresses.contains_key(name) || is_free() {
            true => Ok(()),
            false => Err(ApplyVirtualError::NoAddress(*pool)),
        }
    }

    /// Gives it an address, or takes it back.
    pub(crate) fn set_address(&mut self, name: &str, wanted: bool, cx: &mut Context<'_>) {
        let Discovery { addresses, pool, .. } = &mut self.discovery;
        if !wanted && addresses.remove(name).is_some() {
            cx.delete(records::address_key(name));
        } else if wanted
            && !addresses.contains_key(name)
            && let Some(free) = pool.free(addresses.values().copied())
        {
            addresses.insert(name.to_owned(), free);
            cx.put(records::address_key(name), records::address(free));
        }
    }

    /// Has every virtual service of the namespace of a service looked at anew: it may select it now, or not any more.
    pub(crate) fn touch_selecting(&mut self, name: &str) {
        let namespace = namespace(name);
        let virtuals = self.discovery.virtuals.keys();
        let near = virtuals.filter(|of| self::namespace(of) == namespace);
        let near: Vec<_> = near.cloned().collect();
        self.discovery.touched.extend(near);
    }

    /// How many endpoints there may be of all names but one.
    fn n_endpoints_but(&self, name: &str) -> usize {
        let virtuals = self.discovery.virtuals.values().filter(|of| of.name != name);
        let of_services = self.services.values().filter(|service| service.spec.name != name);
        let of_services: usize = of_services.map(|service| service.n_wanted() as usize).sum();
        of_services + virtuals.map(|of| self.n_behind(of)).sum::<usize>()
    }

    fn n_behind(&self, of: &VirtualService) -> usize {
        let selected = self.selected(of).map(|service| service.n_wanted() as usize);
        of.endpoints.len() + selected.sum::<usize>()
    }

    fn selected<'a>(&'a self, of: &'a VirtualService) -> impl Iterator<Item = &'a Service> {
        self.services.values().filter(|service| of.selects(&service.spec))
    }

    /// What edges are told of a name.
    fn discovered(&self, name: &str) -> Option<DiscoveredService> {
        let address = self.discovery.addresses.get(name).copied();
        let (ports, endpoints, behind) = if let Some(of) = self.discovery.virtuals.get(name) {
            let services: Vec<&Service> = self.selected(of).collect();
            let behind = services.iter().flat_map(|service| replicas(service, &of.ports));
            let endpoints = behind.chain(of.endpoints.iter().cloned()).collect();
            (of.ports.clone(), endpoints, services)
        } else {
            let service = self.services.get(name)?;
            let ports = match service.is_exposed() {
                true => service.spec.expose.clone(),
                false => implicit_ports(&service.spec.task.container.network),
            };
            let endpoints = replicas(service, &ports);
            (ports, endpoints, vec![service])
        };
        Some(DiscoveredService {
            name: name.parse().ok()?,
            virtual_address: address,
            network: self.service_network(name, &ports, &behind),
            ports: ports.into_iter().map(|port| port.port).collect(),
            endpoints,
        })
    }

    fn virtual_view(&self, name: &str, now: Timestamp) -> Option<VirtualServiceView> {
        let of_service = || {
            let service = self.services.get(name).filter(|service| service.is_exposed())?;
            Some(VirtualService::of_service(&service.spec))
        };
        let known = self.discovery.virtuals.get(name);
        let spec = known.cloned().or_else(of_service)?;
        let services: Vec<&Service> = match known {
            Some(known) => self.selected(known).collect(),
            None => self.services.get(name).into_iter().collect(),
        };
        let told = self.discovered(name)?;
        let edges = &self.discovery.edges;
        let mut problems = spec.problems(&services);
        if edges.count(now) == 0 {
            problems.push(
                "no edge reports: its address and ports are served nowhere (`proffer edge`)".to_owned(),
            );
        }
        problems.extend(edges.findings(&told.name, now));
        Some(VirtualServiceView {
            is_of_service: known.is_none(),
            address: self.discovery.addresses.get(name).copied(),
            services: services.iter().map(|service| service.spec.name.clone()).collect(),
            problems,
            told,
            spec,
        })
    }
}

/// Of `NAME.NAMESPACE`, or of `NAME` alone.
pub(crate) fn namespace(name: &str) -> &str {
    name.split_once('.')
        .map_or(DEFAULT_NAMESPACE, |(_, namespace)| namespace)
}
