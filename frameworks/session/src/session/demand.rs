//! What the scheduler states that it wants. The master forgets it with the link, so it is kept here and stated again on
//! every subscription.
//!
//! Statements go out after everything else of a step: the master lowers what is wanted by what is launched, so a
//! statement that came before the launches of its step would be lowered twice.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::demand::{MAX_GANG_TASKS, StatementRoom};
use proffer_types::scheduler_link::Call;
use proffer_types::{Demand, Role, Shape};

use super::Session;
use crate::{Output, Scheduler};

#[derive(Debug, Default)]
pub(super) struct Stated {
    stated: BTreeMap<Role, Demand>,
    /// Roles whose statement, or the lack of one, is still to be told.
    untold: BTreeSet<Role>,
}

impl<S: Scheduler> Session<S> {
    /// Takes a statement of one of the framework's roles.
    pub(super) fn state_demand(&mut self, role: Role, demand: Option<Demand>) {
        if !self.info.roles.contains(&role) {
            return;
        }
        let Some(demand) = demand else {
            if self.demand.stated.remove(&role).is_some() {
                self.demand.untold.insert(role);
            }
            return;
        };
        let demand = Demand {
            shapes: acceptable(demand.shapes),
            ..demand
        };
        self.demand.stated.insert(role.clone(), demand);
        self.demand.untold.insert(role);
    }

    /// Forgets the statements of roles the framework left; the master does, too.
    pub(super) fn forget_demand(&mut self) {
        let roles = &self.info.roles;
        self.demand.stated.retain(|role, _| roles.contains(role));
        self.demand.untold.retain(|role| roles.contains(role));
    }

    /// Has everything stated anew to a master that knows nothing of it.
    pub(super) fn restate_demand(&mut self) {
        self.demand.untold = self.demand.stated.keys().cloned().collect();
    }

    /// Tells what is untold, in place of what the same output was to tell of the role before.
    pub(super) fn tell_demand(&mut self, out: &mut Output) {
        if !self.is_subscribed() {
            return;
        }
        for role in std::mem::take(&mut self.demand.untold) {
            out.calls
                .retain(|call| !matches!(call, Call::Demand { role: told, .. } if *told == role));
            let demand = self.demand.stated.get(&role).cloned();
            out.calls.push(Call::Demand { role, demand });
        }
    }
}

/// Leaves out what would make the master end the subscription, and would again after each new one: shapes that are
/// wrong or have the id of an earlier one, and what a statement has no room for. A gang is left out whole.
fn acceptable(shapes: Vec<Shape>) -> Vec<Shape> {
    let mut ids = BTreeSet::new();
    let mut gangs = BTreeMap::new();
    let mut bundles: Vec<(bool, Vec<Shape>)> = Vec::new();
    for shape in shapes {
        let good = ids.insert(shape.id) && shape.check().is_ok();
        let new = bundles.len();
        let at = shape.gang.map_or(new, |gang| *gangs.entry(gang).or_insert(new));
        if at == new {
            bundles.push((true, Vec::new()));
        }
        let (all_good, bundle) = &mut bundles[at];
        *all_good &= good;
        bundle.push(shape);
    }
    let mut room = StatementRoom::default();
    let fits =
        |(all_good, bundle): &(bool, Vec<Shape>)| *all_good && is_small_enough(bundle) && room.take(bundle);
    bundles
        .into_iter()
        .filter(fits)
        .flat_map(|(_, bundle)| bundle)
        .collect()
}

fn is_small_enough(bundle: &[Shape]) -> bool {
    let n_tasks: u64 = bundle.iter().map(|shape| u64::from(shape.count)).sum();
    bundle.iter().all(|shape| shape.gang.is_none()) || n_tasks <= u64::from(MAX_GANG_TASKS)
}
