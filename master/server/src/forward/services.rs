//! Which services connected frameworks advertise, and where.

use std::sync::{Arc, PoisonError, RwLock};

use proffer_master_core::Event;
use proffer_types::{AdvertisedService, FrameworkId};

/// Frameworks in the order they subscribed.
type Connected = Vec<(FrameworkId, Vec<AdvertisedService>)>;

/// The table; cheap to clone. Of two frameworks with the same service, the later subscribed serves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Services {
    connected: Arc<RwLock<Connected>>,
}

impl Services {
    /// Where the live instance of a service listens, as `host:port`.
    pub(crate) fn address(&self, service: &str) -> Option<String> {
        let connected = self.connected.read().unwrap_or_else(PoisonError::into_inner);
        let advertised = connected.iter().rev().flat_map(|(_, services)| services);
        advertised
            .into_iter()
            .find(|advertised| advertised.name == service)
            .map(|advertised| advertised.address.clone())
    }

    /// Follows a committed event.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other events are of no concern here"
    )]
    pub(crate) fn observe(&self, event: &Event) {
        match event {
            Event::FrameworkSubscribed {
                framework_id, info, ..
            } => self.replace(framework_id, Some(info.services.clone())),
            Event::FrameworkDisconnected { framework_id, .. }
            | Event::FrameworkCompleted { framework_id }
            | Event::FrameworkForgotten { framework_id } => self.replace(framework_id, None),
            _ => {}
        }
    }

    /// Forgets all, with the core they were connected to.
    pub(crate) fn clear(&self) {
        self.connected
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn replace(&self, framework: &FrameworkId, services: Option<Vec<AdvertisedService>>) {
        let mut connected = self.connected.write().unwrap_or_else(PoisonError::into_inner);
        connected.retain(|(id, _)| id != framework);
        connected.extend(services.map(|services| (framework.clone(), services)));
    }
}
