//! What the master is asked for: of each role a shape for each service that has replicas waiting.
//!
//! It is stated anew in every step that changed it, after all that the step launched.

use std::collections::BTreeMap;

use proffer_session::Context;
use proffer_types::{Role, Shape, StatementRoom};

use crate::services::Services;

/// A statement by what it follows from: each service of the role that has replicas waiting, its version, how many.
pub(crate) type Stated = Vec<(u64, u64, usize)>;

impl Services {
    /// States the demand of the roles where it changed.
    pub(crate) fn state_demand(&mut self, cx: &mut Context<'_>) {
        let mut waiting: BTreeMap<&Role, Stated> = BTreeMap::new();
        for service in self
            .services
            .values()
            .filter(|service| !service.index.waiting.is_empty())
        {
            let stated = (service.number, service.version, service.index.waiting.len());
            waiting.entry(&service.spec.role).or_default().push(stated);
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
        let in_role = self
            .services
            .values()
            .filter(|service| service.spec.role == *role);
        let shapes = in_role.filter_map(|service| service.shape());
        shapes
            .filter(|shape| room.take(std::slice::from_ref(shape)))
            .collect()
    }
}
