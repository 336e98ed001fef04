//! What the master is asked for: of each role a shape for each version that has replicas waiting.
//!
//! It is stated anew in every step that changed it, after all that the step launched.

use std::collections::BTreeMap;

use proffer_session::Context;
use proffer_types::{Role, Shape, StatementRoom};

use crate::neighbours::Avoided;
use crate::service::Service;
use crate::services::Services;
use crate::version::Version;
use crate::wishes::Wish;

/// A statement by what it follows from.
pub(crate) type Stated = Vec<Wish>;

impl Services {
    /// States the demand of the roles where it changed.
    pub(crate) fn state_demand(&mut self, cx: &mut Context<'_>) {
        let avoided = Avoided::of(&self.services);
        let mut waiting: BTreeMap<&Role, Stated> = BTreeMap::new();
        for (version, wish) in self
            .services
            .values()
            .flat_map(|service| self.wanted(service, &avoided))
        {
            waiting.entry(&version.role).or_default().push(wish);
        }
        let now = |role: &Role| (role.clone(), waiting.remove(role).unwrap_or_default());
        let now: BTreeMap<_, _> = self.roles.iter().map(now).collect();
        for (role, _) in now
            .iter()
            .filter(|(role, stated)| self.stated.get(*role) != Some(*stated))
        {
            cx.state_demand(role, self.demand(role));
        }
        self.stated = now;
    }

    /// What waits in a role, by the names of the services, as far as one statement has room for it.
    pub(crate) fn demand(&self, role: &Role) -> Vec<Shape> {
        let mut room = StatementRoom::default();
        let avoided = Avoided::of(&self.services);
        let shapes = self.services.values().flat_map(|service| {
            let wanted = self.wanted(service, &avoided);
            let in_role = wanted.filter(|(version, _)| version.role == *role);
            in_role.filter_map(|(version, wish)| version.demand(&wish, service.spec.mode))
        });
        shapes
            .filter(|shape| room.take(std::slice::from_ref(shape)))
            .collect()
    }

    /// What a service wants, and of which version.
    fn wanted<'a>(
        &self,
        service: &'a Service,
        avoided: &Avoided,
    ) -> impl Iterator<Item = (&'a Version, Wish)> + use<'a> {
        let wishes = self.wishes(service, self.cluster.n_agents, avoided).into_iter();
        wishes.filter_map(|wish| Some((service.versions.get(&wish.version)?, wish)))
    }

    /// What a service wants, of so many agents.
    pub(crate) fn wishes(&self, service: &Service, n_agents: u32, avoided: &Avoided) -> Vec<Wish> {
        let rules = |version| avoided.neighbours(&self.services, &self.cluster, service, version);
        service.wishes(n_agents, rules, &self.cluster)
    }
}
