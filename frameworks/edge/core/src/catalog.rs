//! What an edge was told of services, frame by frame.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use proffer_types::discovery::{DiscoveredService, Frame, MAX_ENDPOINTS, MAX_SERVICES, ServiceName};
use proffer_types::policy::ClusterNetwork;

/// The most tasks of all services together: where a slot is replaced, it has two.
const MAX_MEMBERS: usize = 2 * MAX_ENDPOINTS;

/// The services by name, shared with whoever reads them while the next ones come.
pub type Services = BTreeMap<ServiceName, Arc<DiscoveredService>>;

/// A frame that cannot be taken over. The catalog is as it was before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogError {
    TooManyServices,
    TooManyEndpoints,
    /// Two endpoints of a service have one id, over all its parts.
    DuplicateEndpoint(ServiceName, Arc<str>),
    /// Something else came where the next part of this service was announced.
    MissingPart(ServiceName),
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyServices => write!(f, "more than {MAX_SERVICES} services"),
            Self::TooManyEndpoints => write!(f, "more than {MAX_ENDPOINTS} endpoints"),
            Self::DuplicateEndpoint(service, id) => write!(f, "{service} has two endpoints `{id}`"),
            Self::MissingPart(service) => {
                write!(f, "{service} was announced in parts, of which one is missing")
            }
        }
    }
}

impl std::error::Error for CatalogError {}

/// Everything that was told.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    known: Services,
    network: Arc<ClusterNetwork>,
    /// What a stream has told before it said that this is all; `None` once it has.
    coming: Option<Services>,
    coming_network: Arc<ClusterNetwork>,
    /// A service of which parts are missing.
    partial: Option<DiscoveredService>,
    is_complete: bool,
}

impl Catalog {
    /// A catalog that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new stream begins: what is known stays until the stream has told all there is.
    pub fn begin(&mut self) {
        self.coming = Some(Services::new());
        self.coming_network = Arc::default();
        self.partial = None;
    }

    /// Whether all there is has ever been told.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// What is known.
    #[must_use]
    pub fn services(&self) -> &Services {
        &self.known
    }

    /// What is known of the cluster for the sake of network policies.
    #[must_use]
    pub fn network(&self) -> &Arc<ClusterNetwork> {
        &self.network
    }

    /// Takes a frame over; returns whether what is known may have changed. Fails without a change, and so then must the
    /// stream.
    pub fn apply(&mut self, frame: Frame) -> Result<bool, CatalogError> {
        let mut services = self.coming.as_ref().unwrap_or(&self.known).clone();
        let mut partial = self.partial.clone();
        for name in &frame.removed {
            services.remove(name);
        }
        for (part, more) in frame.services {
            let service = join(partial.take(), part)?;
            if service.endpoints.len() > MAX_ENDPOINTS || service.network.members.len() > MAX_MEMBERS {
                return Err(CatalogError::TooManyEndpoints);
            }
            match more {
                true => partial = Some(service),
                false => drop(services.insert(service.name.clone(), Arc::new(service))),
            }
        }
        if services.len() > MAX_SERVICES {
            return Err(CatalogError::TooManyServices);
        }
        let n_endpoints: usize = services.values().map(|service| service.endpoints.len()).sum();
        let members = services.values().map(|service| service.network.members.len());
        if n_endpoints > MAX_ENDPOINTS || members.sum::<usize>() > MAX_MEMBERS {
            return Err(CatalogError::TooManyEndpoints);
        }
        if let (true, Some(partial)) = (frame.complete, &partial) {
            return Err(CatalogError::MissingPart(partial.name.clone()));
        }
        self.partial = partial;
        let network = frame.network.map(Arc::new);
        if self.coming.is_some() && !frame.complete {
            self.coming = Some(services);
            self.coming_network = network.unwrap_or_else(|| Arc::clone(&self.coming_network));
            return Ok(false);
        }
        let before = match self.coming.take() {
            Some(_) => std::mem::take(&mut self.coming_network),
            None => Arc::clone(&self.network),
        };
        self.network = network.unwrap_or(before);
        self.is_complete = true;
        self.known = services;
        Ok(true)
    }
}

/// A service with its next part.
fn join(
    partial: Option<DiscoveredService>,
    part: DiscoveredService,
) -> Result<DiscoveredService, CatalogError> {
    let Some(mut service) = partial else {
        return Ok(part);
    };
    if service.name != part.name {
        return Err(CatalogError::MissingPart(service.name));
    }
    service.endpoints.extend(part.endpoints);
    service.network.members.extend(part.network.members);
    service.network.doors.extend(part.network.doors);
    let mut ids: Vec<&Arc<str>> = service.endpoints.iter().map(|endpoint| &endpoint.id).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(CatalogError::DuplicateEndpoint(
            service.name.clone(),
            pair[0].clone(),
        ));
    }
    Ok(service)
}

#[cfg(test)]
mod tests;
